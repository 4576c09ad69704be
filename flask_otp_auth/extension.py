"""FlaskOtpAuth: ``init_app``, the handler decorators, and the Python API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from bson import Decimal128, ObjectId
from flask import Flask, current_app, has_request_context, request
from flask_limiter import Limiter
from flask_pymongo import PyMongo

from . import cli, findings, flow, openapi, tokens
from .delivery.providers import require_usable_urls
from .exceptions import ConfigurationError, InvalidRequest
from .findings.options import options_in
from .handlers import Handlers
from .http import schemas, views
from .http.blocklist import is_logged_out, refuse_logged_out
from .http.client_limits import limiter_for
from .http.json_text import json_form
from .http.limited_views import LimitedViews, View
from .language import preferred_language
from .settings import read_settings
from .settings.keys import require_jwt_key
from .state import EXTENSION, AppState, build_state
from .store.database import close_with, connect, database_of
from .subjects import UserId
from .types import (
    GetUserHandler,
    InitiateResult,
    Login,
    Method,
    Payload,
    SendCodeHandler,
    Session,
    VerifyResult,
    VerifySuccessHandler,
)

# So that the floor of HTTP needs no type of the database.
for _type in (ObjectId, Decimal128):
    json_form.register(_type, str)

SendCode = TypeVar("SendCode", bound=SendCodeHandler)
GetUser = TypeVar("GetUser", bound=GetUserHandler)
VerifySuccess = TypeVar("VerifySuccess", bound=VerifySuccessHandler)

# The argument of @otp.get_user_handler(), whose brackets are refused with a sentence.
_NO_FUNCTION: Any = None


class FlaskOtpAuth:
    """Sign in with a one-time code sent by SMS or email.

    An instance keeps the handlers. Everything that depends on configuration is kept on the
    application, so one instance can serve several applications.

    :param app: an application to initialise at once; otherwise call :meth:`init_app` later.
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
        self._limited_views = LimitedViews()
        if app is not None:
            self.init_app(app, mongo=mongo, limiter=limiter)

    def init_app(
        self, app: Flask, *, mongo: PyMongo | None = None, limiter: Limiter | None = None
    ) -> None:
        """Check the options of *app*, and register the endpoints and the ``flask otp`` commands.

        The database is not used before the first request.

        :param app: the application.
        :param mongo: the initialised PyMongo of *app*. Without it, one is created from
            ``MONGO_URI``, and the JSON provider of *app* is left as it is.
        :param limiter: the Limiter for the rules of ``OTP_AUTH_CLIENT_LIMITS``; it may be
            initialised later. Without it, the Limiter of *app* is used if there is exactly one.
            Otherwise one is created that counts in the same MongoDB database, or in
            ``RATELIMIT_STORAGE_URI``.
        :raises ConfigurationError: an option is missing, unknown or not allowed; the error names
            its key.
        :raises RuntimeError: *app* has been initialised before.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError(
                "Flask-OTP-Auth has been initialised on this app before; "
                "use that FlaskOtpAuth, or call init_app only once."
            )
        settings = read_settings(app.config)
        require_usable_urls(settings)
        if not self._handlers.makes_own_tokens:
            require_jwt_key(app.config)
        close = None
        if mongo is None:
            mongo = connect(app)
            close = close_with(app, mongo)
        try:
            state = build_state(
                settings,
                self._handlers,
                mongo,
                database_of(mongo),
                close=close,
                given=options_in(app),
            )
            tokens.ensure_manager(app)
            state = replace(state, limiter=limiter_for(app, limiter, state))
            if settings.register_routes:
                views.register(app, state)
                if settings.openapi:
                    openapi.serve(app, settings.url_prefix)
        except ConfigurationError:
            if close is not None:
                close()
            raise
        if state.limiter is not None:
            self._limited_views.attach(state.limiter)
        refuse_logged_out(app, can_refresh=settings.refresh_token)
        app.extensions[EXTENSION] = state
        cli.register(app)
        # Not by app.before_request, which refuses an application that has served a request.
        before_request = findings.announce_at_start(app, state)
        app.before_request_funcs.setdefault(None, []).append(before_request)

    def send_code_handler(self, function: SendCode = _NO_FUNCTION) -> SendCode:
        """Register the function that sends a code. Required.

        It is called as ``(code, identifier, method, payload)`` and returns ``True`` once the
        message is on its way. A false value or an exception means that the code was not sent.

        :param function: a plain or an ``async`` function.
        :returns: *function* itself.
        :raises HandlerSignatureError: it cannot be called with these arguments, or has parameters
            of these names in another order.
        """
        self._handlers.set_send_code(function)
        return function

    def get_user_handler(self, function: GetUser = _NO_FUNCTION) -> GetUser:
        """Register the function that finds the user of an identifier, or signs them up. Required.

        It is called as ``(identifier, method, payload)`` and returns the user, or ``None``. It is
        called after a correct code and, with ``OTP_AUTH_SEND_TO_UNKNOWN = False``, also before a
        code is sent, when :attr:`is_asking_before_send` is true. The payload comes from the client:
        do not grant any rights because of it. Raise :exc:`~flask_otp_auth.exceptions.Refused` for a
        user who must not sign in.

        :param function: a plain or an ``async`` function.
        :returns: *function* itself.
        :raises HandlerSignatureError: it cannot be called with these arguments, or has parameters
            of these names in another order.
        """
        self._handlers.set_get_user(function)
        return function

    def verify_success_handler(self, function: VerifySuccess = _NO_FUNCTION) -> VerifySuccess:
        """Register the function that completes a sign-in. Without it, JWTs are issued.

        It is called as ``(user, identifier, method, payload)`` and returns
        ``{"user": ..., "token": ...}``. If the application keeps track of logins in another way,
        ``token`` may be left out. If it has no key for JWTs, register the function before
        :meth:`init_app`.

        :param function: a plain or an ``async`` function.
        :returns: *function* itself.
        :raises HandlerSignatureError: it cannot be called with these arguments, or has parameters
            of these names in another order.
        """
        self._handlers.set_verify_success(function)
        return function

    def limit_client(self, view: View) -> View:
        """Decorate a view of the application that calls :meth:`initiate` or :meth:`resend`.

        The rules of ``OTP_AUTH_CLIENT_LIMITS`` apply to it, and it is counted together with the
        endpoints. A client over a limit gets the application's answer to a 429
        (``flask_limiter.RateLimitExceeded``), with ``Retry-After``::

            @app.post("/sign-in")
            @otp.limit_client
            def sign_in(): ...

        :param view: a plain or an ``async`` view function.
        :returns: the view with the limits, which can be registered as a route.
        """
        return self._limited_views.add(view)

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
        :param payload: a JSON object for the handlers, at most 2 KiB.
        :param device_token: with ``OTP_AUTH_TRUSTED_DEVICES``, the ``VerifyResult.device_token`` of
            an earlier sign-in on the same device. Any other value has no effect.
        :returns: the new session.
        :raises RequestError: the endpoint would answer with an error object.
        """
        state = self._state()
        body = {"identifier": identifier, "method": method, "payload": payload}
        return flow.initiate(
            state,
            **_checked_initiate(state, body),
            device_tokens=[device_token],
            locale=preferred_language(state.settings.texts),
            client=_client(),
        )

    def resend(self, session_id: str) -> InitiateResult:
        """Send another code for a pending session, as ``POST /otp/resend`` does.

        The earlier codes stay valid. The session gets no additional attempts and no more time.

        :param session_id: the id that :meth:`initiate` returned.
        :returns: the session, with the remaining seconds as ``ttl``.
        :raises SessionNotFound: there is no such session, or it is no longer pending.
        :raises SessionExpired: the session has expired.
        :raises RequestError: the endpoint would answer with an error object.
        """
        checked = schemas.load(schemas.resend_request, {"sessionId": session_id})
        return flow.resend(self._state(), checked["session_id"], _client())

    def unlock(self, identifier: str, method: Method) -> bool:
        """Clear the failures, the lock and the send counts of an account and its trusted devices.

        :param identifier: any identifier of the account.
        :param method: ``"sms"`` or ``"email"``.
        :returns: whether there was anything to clear.
        :raises InvalidIdentifier: *identifier* does not have an accepted form.
        :raises InvalidRequest: *method* is not one of ``OTP_AUTH_METHODS``.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        state = self._state()
        checked = _checked_initiate(state, {"identifier": identifier, "method": method})
        return flow.unlock(state, checked["identifier"], method)

    def forget_devices(self, identifier: str, method: Method) -> int:
        """Forget all trusted devices of an account, so that each has to sign in again to be one.

        :param identifier: any identifier of the account.
        :param method: ``"sms"`` or ``"email"``.
        :returns: how many devices there were.
        :raises InvalidIdentifier: *identifier* does not have an accepted form.
        :raises InvalidRequest: *method* is not one of ``OTP_AUTH_METHODS``.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        state = self._state()
        checked = _checked_initiate(state, {"identifier": identifier, "method": method})
        return flow.forget_devices(state, checked["identifier"], method)

    def verify(self, session_id: str, code: str) -> VerifyResult:
        """Check a code that somebody typed, as ``POST /otp/verify`` does.

        :param session_id: the id that :meth:`initiate` returned.
        :param code: the code as it was typed or pasted, at most 64 characters; white space,
            dashes and invisible characters are ignored, and digits of any script count.
        :returns: the outcome; a wrong code is not an error.
        :raises RequestError: the endpoint would answer with an error object.
        """
        body = {"sessionId": session_id, "code": code}
        checked = schemas.load(schemas.verify_request, body)
        return flow.verify(self._state(), checked["session_id"], checked["code"])

    def get_session(self, session_id: str) -> Session | None:
        """Return the present state of a session, without anything that helps to guess its code.

        :param session_id: the id that :meth:`initiate` returned.
        :returns: the session, or ``None`` if there is no such session.
        :raises InvalidRequest: *session_id* is not a string.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        if not isinstance(session_id, str):
            raise InvalidRequest(fields={"sessionId": ["Not a valid string."]})
        return flow.find_session(self._state(), session_id)

    def close(self, app: Flask) -> None:
        """Wait until no code is being sent in the background, and close the connections of *app*.

        Call this in tests and scripts that create many applications. Otherwise there is no need
        to, since the connections are closed when the process ends. A PyMongo that was given to
        :meth:`init_app` stays open. Without one, *app* cannot be used for sign-ins afterwards.

        :param app: an application that this instance has been initialised on.
        :raises RuntimeError: this instance has not been initialised on *app*.
        """
        state = self._state_of(app)
        if state.background is not None:
            state.background.drain()
        if state.close is not None:
            state.close()

    def is_logged_out(self, jwt_payload: Mapping[str, Any]) -> bool:
        """Return whether a token has been revoked by a logout or by the end of its login.

        ``jwt_required`` asks this by itself, also beside a ``token_in_blocklist_loader`` of the
        application.

        :param jwt_payload: the claims of a token whose signature has been verified.
        :returns: ``True`` if the token must not be accepted.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        self._state()
        return is_logged_out({}, jwt_payload)

    def logins(self, user_id: UserId) -> list[Login]:
        """Return the logins of a user that can be refreshed, the newest first.

        :param user_id: the subject of the user's tokens, a str, int, UUID or ObjectId.
        :raises InvalidRequest: *user_id* is no id.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        return flow.logins_of(self._state(), user_id)

    def end_logins(self, user_id: UserId, keep: Mapping[str, Any] | None = None) -> int:
        """End all logins of a user, and refuse every token that was made for them before.

        A login after this call is not affected. The order is that of the clock of the database, in
        milliseconds. Tokens that the application made itself have only whole seconds, so those of
        the present second are refused as well.

        :param user_id: the subject of the user's tokens, a str, int, UUID or ObjectId.
        :param keep: the claims of a token of this user, such as ``get_jwt()``, whose login goes on.
            If it has no login that can be refreshed, the token itself goes on.
        :returns: how many logins have ended that could be refreshed.
        :raises InvalidRequest: *user_id* is no id.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        return flow.end_logins(self._state(), user_id, keep)

    @property
    def is_asking_before_send(self) -> bool:
        """Whether the ``get_user_handler`` is being called before a code is sent.

        Nobody has shown then that the identifier is theirs, so a handler that signs people up must
        not do so. This only happens with ``OTP_AUTH_SEND_TO_UNKNOWN = False``.
        """
        return self._handlers.is_asking_before_send

    def _state(self) -> AppState:
        return self._state_of(current_app)

    def _state_of(self, app: Flask) -> AppState:
        state = app.extensions.get(EXTENSION)
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


def _client() -> str | None:
    """Return the address of the client of the current request, if there is one."""
    return request.remote_addr if has_request_context() else None
