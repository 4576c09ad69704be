"""AppState: all that is built from one application's configuration."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from flask_pymongo import PyMongo
from limits.storage import Storage
from pymongo.database import Database

from . import flow, signals, tokens
from .admission import Admission, CountedBeside, CountedElsewhere, Unlimited
from .codes import CodeDigester, derive_key
from .config import Settings
from .handlers import Handlers
from .http import schemas
from .limit_mongo import MongoWindows
from .limit_storage import Place
from .limit_windows import windows_in
from .limits import Buckets
from .lockouts import LockoutStore
from .parts import Parts
from .sending.background import BackgroundSender
from .store.database import Document
from .store.sessions import SessionStore
from .types import AuthResult, InitiateResult, Method, Session, VerifyResult


class AppState:
    """What one application has of the extension: ``app.extensions["otp_auth"]``."""

    def __init__(
        self,
        handlers: Handlers,
        settings: Settings,
        mongo: PyMongo,
        database: Database[Document],
        store: Storage | Place,
    ) -> None:
        self.mongo = mongo
        self.handlers = handlers
        self.background = BackgroundSender() if settings.send_in_background else None
        self.settings = settings
        lockouts = _lockouts(settings, database)
        self.parts = Parts(
            settings=settings,
            sessions=SessionStore(
                database,
                settings.collection,
                keep=settings.keep_sessions,
                timeout=settings.db_timeout,
            ),
            lockouts=lockouts,
            admission=_admission(settings, database, lockouts, store),
            unlimited=Unlimited(lockouts),
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


def _lockouts(settings: Settings, database: Database[Document]) -> LockoutStore:
    return LockoutStore(
        database,
        _counts(settings),
        key=derive_key(_oldest_key(settings), "flask-otp-auth lockouts"),
        threshold=settings.lockout_threshold,
        disable_after=settings.disable_after,
        step=settings.max_attempts,
        timeout=settings.db_timeout,
    )


def _admission(
    settings: Settings, database: Database[Document], lockouts: LockoutStore, store: Storage | Place
) -> Admission:
    buckets = Buckets(
        settings.client_limits,
        settings.identifier_limits,
        key=derive_key(_oldest_key(settings), "flask-otp-auth send limits"),
    )
    if store is Place.NOWHERE or buckets.unlimited:
        return Unlimited(lockouts)
    if isinstance(store, Place):
        windows = MongoWindows(database, _counts(settings), timeout=settings.db_timeout)
        return CountedBeside(lockouts, windows, buckets)
    return CountedElsewhere(lockouts, windows_in(store, settings.db_timeout), buckets)


def _counts(settings: Settings) -> str:
    return f"{settings.collection}.limits"


def _oldest_key(settings: Settings) -> bytes:
    # So that a new key in front forgets no lock and no send.
    return settings.secret_keys[-1]
