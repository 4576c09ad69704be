"""FlaskOtpAuth: ``init_app``, the handler decorators, and the Python API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from flask import Flask, current_app
from flask_limiter import Limiter
from flask_pymongo import PyMongo

from . import cli, flow, openapi, test_identifiers, tokens, weaknesses
from .clock import utc_now
from .config import Settings
from .connection import close_with, connect
from .exceptions import ConfigurationError, InvalidRequest
from .handlers import Handlers
from .http import schemas, token_views, views
from .http.client_limits import limiter_for
from .http.language import preferred_language
from .keys import require_jwt_key
from .login.page import add_page
from .state import AppState, build_state
from .store.database import database_of
from .types import (
    GetUserHandler,
    InitiateResult,
    Method,
    Payload,
    SendCodeHandler,
    Session,
    VerifyResult,
    VerifySuccessHandler,
)

_NAME = "otp_auth"

SendCode = TypeVar("SendCode", bound=SendCodeHandler)
GetUser = TypeVar("GetUser", bound=GetUserHandler)
VerifySuccess = TypeVar("VerifySuccess", bound=VerifySuccessHandler)


class FlaskOtpAuth:
    """Sign in with a one-time code sent by SMS or email.

    The handlers are kept here; all that is built from configuration is kept on the application,
    so one instance may serve several.

    :param app: initialise at once; otherwise call :meth:`init_app` later.
    :param mongo: see :meth:`init_app`.
    :param limiter: see :meth:`init_app`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        mongo: PyMongo | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self._handlers = Handlers()
        if app is not None:
            self.init_app(app, mongo=mongo, limiter=limiter)

    def init_app(
        self, app: Flask, *, mongo: PyMongo | None = None, limiter: Limiter | None = None
    ) -> None:
        """Read the options of *app*, check them, and register the endpoints.

        No database is touched before the first request.

        :param mongo: the initialised PyMongo of the host; without it one is made from
            ``MONGO_URI``, and the host's JSON provider stays as it is.
        :param limiter: the Limiter of the host, which the rules of ``OTP_AUTH_CLIENT_LIMITS`` are
            attached to and which may be initialised later; without it the one that *app* has, else
            one of our own over the same MongoDB.
        :raises ConfigurationError: an option is wrong; the error names it.
        :raises RuntimeError: *app* has been initialised before.
        """
        if _NAME in app.extensions:
            raise RuntimeError(
                "Flask-OTP-Auth has been initialised on this app before; "
                "use that FlaskOtpAuth, or call init_app only once."
            )
        settings = Settings.from_config(app.config)
        if not self._handlers.makes_own_tokens:
            require_jwt_key(app.config)
        close = None
        if mongo is None:
            mongo = connect(app)
            close = close_with(app, mongo)
        try:
            state = build_state(settings, self._handlers, mongo, database_of(mongo), close=close)
            tokens.ensure_manager(app)
            if settings.register_routes:
                # Without rules no Limiter is made, which would look at each request of the host.
                chosen = limiter_for(app, limiter, state) if settings.client_limits else None
                views.register(app, state, chosen, pages=[add_page])
                if settings.openapi:
                    openapi.serve(app, settings.url_prefix)
        except ConfigurationError:
            if close is not None:
                close()
            raise
        token_views.refuse_logged_out(app)
        app.extensions[_NAME] = state
        cli.register(app)
        test_identifiers.announce(settings.test_identifiers, utc_now())
        weaknesses.announce(app, settings, makes_own_tokens=self._handlers.makes_own_tokens)

    def send_code_handler(self, function: SendCode) -> SendCode:
        """Register the sender; required.

        It is called as ``(code, identifier, method, payload)`` and returns ``True`` once the
        message is on its way. Anything else, an exception included, ends the session.

        :raises HandlerSignatureError: it cannot be called so.
        """
        self._handlers.set_send_code(function)
        return function

    def get_user_handler(self, function: GetUser) -> GetUser:
        """Register the function that finds, or signs up, the user of an identifier; required.

        It is called as ``(identifier, method, payload)`` after the right code and returns the
        user, or ``None``. The payload is the client's word: take no rights from it.

        :raises HandlerSignatureError: it cannot be called so.
        """
        self._handlers.set_get_user(function)
        return function

    def verify_success_handler(self, function: VerifySuccess) -> VerifySuccess:
        """Register the function that signs a user in; without it JWTs are made.

        It is called as ``(user, identifier, method, payload)`` and returns
        ``{"user": ..., "token": ...}``.

        :raises HandlerSignatureError: it cannot be called so.
        """
        self._handlers.set_verify_success(function)
        return function

    def initiate(
        self,
        identifier: str,
        method: Method,
        payload: Payload | None = None,
        *,
        device_token: str | None = None,
    ) -> InitiateResult:
        """Start a session and have its code sent, as ``POST /otp/initiate`` does.

        :param identifier: a phone number or email address, in any accepted form.
        :param method: ``"sms"`` or ``"email"``.
        :param payload: JSON object for the handlers, at most 2 KiB.
        :param device_token: what ``VerifyResult.device_token`` was at an earlier sign-in on
            the same device, with ``OTP_AUTH_TRUSTED_DEVICES``; any other value is the same as none.
        :raises RequestError: what HTTP answers with an error object.
        """
        state = self._state()
        body = {"identifier": identifier, "method": method, "payload": payload}
        return flow.initiate(
            state,
            **_checked_initiate(state, body),
            device_tokens=[device_token],
            locale=preferred_language(),
        )

    def resend(self, session_id: str) -> InitiateResult:
        """Send another code for a pending session, as ``POST /otp/resend`` does.

        The codes sent before keep working; tries and lifetime do not grow.

        :param session_id: what :meth:`initiate` returned.
        :raises RequestError: what HTTP answers with an error object, and besides SessionNotFound
            and SessionExpired.
        """
        checked = schemas.load(schemas.resend_request, {"sessionId": session_id})
        return flow.resend(self._state(), checked["session_id"])

    def unlock(self, identifier: str, method: Method) -> bool:
        """Forget the failures and the sends of an account, so that it gets new codes again.

        :param identifier: any identifier of the account.
        :param method: ``"sms"`` or ``"email"``.
        :returns: whether there were any.
        :raises InvalidIdentifier: the identifier has no accepted form.
        :raises ServiceUnavailable: the database is away.
        """
        state = self._state()
        checked = _checked_initiate(state, {"identifier": identifier, "method": method})
        return flow.unlock(state, checked["identifier"], method)

    def verify(self, session_id: str, code: str) -> VerifyResult:
        """Judge a typed code, as ``POST /otp/verify`` does.

        :param session_id: what :meth:`initiate` returned.
        :param code: what the person typed; spaces and hyphens do not matter.
        :raises RequestError: what HTTP answers with an error object.
        """
        body = {"sessionId": session_id, "code": code}
        checked = schemas.load(schemas.verify_request, body)
        return flow.verify(self._state(), checked["session_id"], checked["code"])

    def get_session(self, session_id: str) -> Session | None:
        """Return a session as it stands, or ``None``; nothing in it helps to guess the code.

        :raises InvalidRequest: the id is no text.
        :raises ServiceUnavailable: the database is away.
        """
        if not isinstance(session_id, str):
            raise InvalidRequest(fields={"sessionId": ["Not a valid string."]})
        return flow.find_session(self._state(), session_id)

    def close(self, app: Flask) -> None:
        """Let *app* go: finish what is being sent, and close the connections that we opened.

        A long-lived app needs no call; its connections are closed when the process ends. Tests
        and scripts that make many apps call it when they are done with one. A PyMongo that
        :meth:`init_app` was given stays open.

        :param app: an app that this FlaskOtpAuth has been initialised on; it cannot be used for
            sign-ins any more if its PyMongo was ours.
        """
        state = self._state_of(app)
        if state.background is not None:
            state.background.drain()
        if state.close is not None:
            state.close()

    def is_logged_out(self, jwt_payload: Mapping[str, Any]) -> bool:
        """Tell whether a token was logged out, or its login has ended.

        ``jwt_required`` asks this by itself, unless the app has a ``token_in_blocklist_loader`` of
        its own, which should ask it then.

        :param jwt_payload: the claims of a token whose signature has been checked.
        :raises ServiceUnavailable: the database is away.
        """
        return flow.is_logged_out(self._state(), jwt_payload)

    def _state(self) -> AppState:
        return self._state_of(current_app)

    def _state_of(self, app: Flask) -> AppState:
        state = app.extensions.get(_NAME)
        if state is None or state.handlers is not self._handlers:
            raise RuntimeError(
                "This FlaskOtpAuth has not been initialised on the current app; "
                "call init_app(app) first."
            )
        return cast(AppState, state)


def _checked_initiate(state: AppState, body: dict[str, Any]) -> dict[str, Any]:
    return schemas.load(
        schemas.initiate_request(state.settings.methods, trusts_devices=False), body
    )
