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
    """Login with a one-time code sent by SMS or email.

    The object holds the handlers. Everything that is built from configuration is stored on the
    application, so one object may serve several applications.

    :param app: the application to initialise; without it, call :meth:`init_app` later.
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
        """Read and check the options of an application, and register the endpoints.

        The database is not used before the first request.

        :param app: the application.
        :param mongo: an initialised PyMongo object. Without it, a connection to ``MONGO_URI`` is
            made, which does not change the application's JSON provider.
        :param limiter: the Limiter to which the rules of ``OTP_AUTH_CLIENT_LIMITS`` are attached;
            it may be initialised later. Without it, the Limiter of *app* is used or, if there is
            none, a new one over the same MongoDB database.
        :raises ConfigurationError: an option is wrong; the error names it.
        :raises RuntimeError: *app* has already been initialised.
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
        """Register the function that sends a code. This handler is required.

        It is called with ``(code, identifier, method, payload)`` and returns ``True`` once the
        message is on its way. A false value or an exception ends the session.

        :param function: the handler, a plain function or an ``async def`` function.
        :returns: the function itself.
        :raises HandlerSignatureError: the function cannot be called with these arguments.
        """
        self._handlers.set_send_code(function)
        return function

    def get_user_handler(self, function: GetUser) -> GetUser:
        """Register the function that finds, or signs up, a user. This handler is required.

        It is called with ``(identifier, method, payload)`` after a correct code and returns the
        user, or ``None``. The payload comes from the client and must not be trusted.

        :param function: the handler, a plain function or an ``async def`` function.
        :returns: the function itself.
        :raises HandlerSignatureError: the function cannot be called with these arguments.
        """
        self._handlers.set_get_user(function)
        return function

    def verify_success_handler(self, function: VerifySuccess) -> VerifySuccess:
        """Register the function that issues the token. Without it, the token is a JWT.

        It is called with ``(user, identifier, method, payload)`` and returns
        ``{"user": ..., "token": ...}``. The token may be left out.

        :param function: the handler, a plain function or an ``async def`` function.
        :returns: the function itself.
        :raises HandlerSignatureError: the function cannot be called with these arguments.
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
        """Start a session and send its code, as ``POST /otp/initiate`` does.

        :param identifier: a phone number or email address, in any accepted form.
        :param method: ``"sms"`` or ``"email"``.
        :param payload: a JSON object for the handlers, of at most 2 KiB.
        :param device_token: the ``VerifyResult.device_token`` of an earlier login on the same
            device, with ``OTP_AUTH_TRUSTED_DEVICES``. An invalid token is ignored.
        :raises RequestError: the request is refused, or the code could not be sent.
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

        Earlier codes keep working. There are no additional attempts and no additional time.

        :param session_id: the ``session_id`` that :meth:`initiate` returned.
        :raises RequestError: the request is refused, or the code could not be sent. This includes
            SessionNotFound and SessionExpired.
        """
        checked = schemas.load(schemas.resend_request, {"sessionId": session_id})
        return flow.resend(self._state(), checked["session_id"])

    def unlock(self, identifier: str, method: Method) -> bool:
        """Clear the failures of an account and the codes counted for it, so that it gets new ones.

        :param identifier: any identifier of the account.
        :param method: ``"sms"`` or ``"email"``.
        :returns: whether there was anything to clear.
        :raises InvalidIdentifier: the identifier does not have an accepted form.
        :raises ServiceUnavailable: the database is unavailable.
        """
        state = self._state()
        checked = _checked_initiate(state, {"identifier": identifier, "method": method})
        return flow.unlock(state, checked["identifier"], method)

    def verify(self, session_id: str, code: str) -> VerifyResult:
        """Check a typed code, as ``POST /otp/verify`` does.

        :param session_id: the ``session_id`` that :meth:`initiate` returned.
        :param code: what the person typed; spaces and hyphens are ignored.
        :raises RequestError: an argument is not valid, the session has already been verified, a
            handler failed, or the database is unavailable. A wrong code is not an error.
        """
        body = {"sessionId": session_id, "code": code}
        checked = schemas.load(schemas.verify_request, body)
        return flow.verify(self._state(), checked["session_id"], checked["code"])

    def get_session(self, session_id: str) -> Session | None:
        """Return a stored session, or ``None``. It contains nothing that helps to guess the code.

        :param session_id: the ``session_id`` that :meth:`initiate` returned.
        :raises InvalidRequest: the id is not a string.
        :raises ServiceUnavailable: the database is unavailable.
        """
        if not isinstance(session_id, str):
            raise InvalidRequest(fields={"sessionId": ["Not a valid string."]})
        return flow.find_session(self._state(), session_id)

    def close(self, app: Flask) -> None:
        """Finish sending codes in the background, and close the connections of :meth:`init_app`.

        A long-lived application does not need this; its connections are closed when the process
        ends. Call it in tests and scripts that create many applications. A PyMongo object that was
        passed to :meth:`init_app` stays open.

        :param app: an application on which this object has been initialised. Nobody can sign in to
            it any more, unless it has a PyMongo object of its own.
        """
        state = self._state_of(app)
        if state.background is not None:
            state.background.drain()
        if state.close is not None:
            state.close()

    def is_logged_out(self, jwt_payload: Mapping[str, Any]) -> bool:
        """Return whether a token was logged out or its login has ended.

        ``jwt_required`` checks this by itself, unless the application has a
        ``token_in_blocklist_loader`` of its own, which should then call this method.

        :param jwt_payload: the claims of a token whose signature has been verified.
        :raises ServiceUnavailable: the database is unavailable.
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
