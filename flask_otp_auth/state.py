"""AppState: all that is built from one application's configuration."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from flask_pymongo import PyMongo
from limits.storage import Storage

from . import flow, schemas, signals, tokens
from .background import BackgroundSender
from .codes import CodeDigester, derive_key
from .config import Settings
from .database import database_of
from .handlers import Handlers
from .limits import SendLimits
from .lockouts import LockoutStore
from .parts import Parts
from .sessions import SessionStore
from .types import AuthResult, InitiateResult, Method, Session, VerifyResult


class AppState:
    """What one application has of the extension: ``app.extensions["otp_auth"]``."""

    def __init__(
        self, handlers: Handlers, settings: Settings, mongo: PyMongo, storage: Storage | None
    ) -> None:
        self.mongo = mongo
        self.handlers = handlers
        self.background = BackgroundSender() if settings.send_in_background else None
        database = database_of(mongo)
        # The oldest, so that a new key in front forgets no lock and no send.
        oldest = settings.secret_keys[-1]
        self.settings = settings
        self.parts = Parts(
            settings=settings,
            sessions=SessionStore(
                database,
                settings.collection,
                keep=settings.keep_sessions,
                timeout=settings.db_timeout,
            ),
            lockouts=LockoutStore(
                database,
                f"{settings.collection}.lockouts",
                key=derive_key(oldest, "flask-otp-auth lockouts"),
                threshold=settings.lockout_threshold,
                disable_after=settings.disable_after,
                step=settings.max_attempts,
                timeout=settings.db_timeout,
            ),
            limits=None
            if storage is None
            else SendLimits(
                storage,
                {"client": settings.client_limits, "identifier": settings.identifier_limits},
                key=derive_key(oldest, "flask-otp-auth send limits"),
                timeout=settings.db_timeout,
            ),
            digester=CodeDigester(settings.secret_keys),
            handlers=handlers,
            sign_in=self._sign_in,
            notify=signals.notify,
            later=self.background.submit if self.background else None,
        )
        self._initiate_request = schemas.initiate_request(settings.methods)

    @property
    def default_tokens(self) -> bool:
        """Whether tokens are made by our default."""
        return not self.handlers.makes_own_tokens

    def initiate(self, body: dict[str, Any], client: str | None) -> InitiateResult:
        """Check the body of an initiate and go through the flow."""
        checked = schemas.load(self._initiate_request, body)
        return flow.initiate(self.parts, **checked, client=client)

    def resend(self, body: dict[str, Any], client: str | None) -> InitiateResult:
        """Check the body of a resend and go through the flow."""
        checked = schemas.load(schemas.resend_request, body)
        return flow.resend(self.parts, checked["session_id"], client)

    def check_identifier(self, identifier: str, method: Method) -> str:
        """Return *identifier* if it and *method* can be those of a request."""
        body = {"identifier": identifier, "method": method}
        return cast(str, schemas.load(self._initiate_request, body)["identifier"])

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
