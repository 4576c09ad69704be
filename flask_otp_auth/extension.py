"""FlaskOtpAuth: ``init_app``, the handler decorators, and the Python API."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar, cast

from flask import Flask, current_app
from flask_pymongo import PyMongo
from pymongo.database import Database

from . import flow, schemas, tokens, views
from .codes import CodeDigester
from .config import Settings, require_jwt_key
from .exceptions import ConfigurationError
from .handlers import Handlers
from .sessions import SessionStore
from .types import (
    AuthResult,
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
    """

    def __init__(self, app: Flask | None = None, *, mongo: PyMongo | None = None) -> None:
        self._handlers = Handlers()
        if app is not None:
            self.init_app(app, mongo=mongo)

    def init_app(self, app: Flask, *, mongo: PyMongo | None = None) -> None:
        """Read the options of *app*, check them, and register the endpoints.

        No database is touched before the first request.

        :param mongo: the initialised PyMongo of the host; without it one is made from
            ``MONGO_URI``, and the host's JSON provider stays as it is.
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
        state = AppState(self._handlers, settings, mongo or _connect(app))
        tokens.ensure_manager(app)
        if settings.register_routes:
            views.register(app, state, settings.url_prefix)
        app.extensions[_NAME] = state

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
        self, identifier: str, method: Method, payload: Payload | None = None
    ) -> InitiateResult:
        """Start a session and have its code sent, as ``POST /otp/initiate`` does.

        :param identifier: a phone number or email address, in any accepted form.
        :param method: ``"sms"`` or ``"email"``.
        :param payload: JSON object for the handlers, at most 2 KiB.
        :raises RequestError: what HTTP answers with an error object.
        """
        body = {"identifier": identifier, "method": method, "payload": payload}
        return self._state().initiate(body)

    def verify(self, session_id: str, code: str) -> VerifyResult:
        """Judge a typed code, as ``POST /otp/verify`` does.

        :param session_id: what :meth:`initiate` returned.
        :param code: what the person typed; spaces and hyphens do not matter.
        :raises RequestError: what HTTP answers with an error object.
        """
        return self._state().verify({"sessionId": session_id, "code": code})

    def get_session(self, session_id: str) -> Session | None:
        """Return a session as it stands, or ``None``; nothing in it helps to guess the code.

        :raises ServiceUnavailable: the database is away.
        """
        return flow.find_session(self._state().parts, session_id)

    def _state(self) -> AppState:
        state = current_app.extensions.get(_NAME)
        if state is None or state.handlers is not self._handlers:
            raise RuntimeError(
                "This FlaskOtpAuth has not been initialised on the current app; "
                "call init_app(app) first."
            )
        return cast(AppState, state)


class AppState:
    """What one application has of the extension: ``app.extensions["otp_auth"]``."""

    def __init__(self, handlers: Handlers, settings: Settings, mongo: PyMongo) -> None:
        self.mongo = mongo
        self.handlers = handlers
        self.settings = settings
        self.parts = flow.Parts(
            settings=settings,
            sessions=SessionStore(
                _database(mongo),
                settings.collection,
                keep=settings.keep_sessions,
                timeout=settings.db_timeout,
            ),
            digester=CodeDigester(settings.secret_keys),
            handlers=handlers,
            sign_in=self._sign_in,
        )
        self._initiate_request = schemas.initiate_request(settings.methods)

    @property
    def default_tokens(self) -> bool:
        """Whether tokens are made by our default."""
        return not self.handlers.makes_own_tokens

    def initiate(self, body: dict[str, Any]) -> InitiateResult:
        """Check the body of an initiate and go through the flow."""
        return flow.initiate(self.parts, **schemas.load(self._initiate_request, body))

    def verify(self, body: dict[str, Any]) -> VerifyResult:
        """Check the body of a verify and go through the flow."""
        checked = schemas.load(schemas.verify_request, body)
        return flow.verify(self.parts, checked["session_id"], checked["code"])

    def _sign_in(self, user: Any, session: Session, now: datetime) -> AuthResult:
        if self.default_tokens:
            return tokens.issue(user, session.method, now, refresh=self.settings.refresh_token)
        return self.handlers.verify_success(
            user, session.identifier, session.method, session.payload
        )


def _database(mongo: PyMongo) -> Database[dict[str, Any]]:
    """Return the database that the URI of *mongo* names."""
    if mongo.cx is None:
        raise ConfigurationError(
            "mongo", "is a PyMongo without a connection: call mongo.init_app(app) before"
        )
    if mongo.db is None:
        raise ConfigurationError(
            "MONGO_URI", "names no database: write mongodb://host:port/DATABASE"
        )
    return cast("Database[dict[str, Any]]", mongo.db)


def _connect(app: Flask) -> PyMongo:
    if not app.config.get("MONGO_URI"):
        raise ConfigurationError(
            "MONGO_URI",
            "is not set: set it to mongodb://host:port/DATABASE, "
            "or give init_app the PyMongo of the app",
        )
    provider = app.json
    try:
        mongo = PyMongo(app)
    except Exception as error:
        raise ConfigurationError(
            "MONGO_URI", f"is not accepted by PyMongo ({type(error).__name__})"
        ) from None
    # PyMongo replaces the JSON provider of the whole app, which a host that did not ask for
    # PyMongo does not expect of its own views.
    app.json = provider
    return mongo
