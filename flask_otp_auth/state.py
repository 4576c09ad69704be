"""AppState: what one application has of the extension; nothing passes through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from flask_pymongo import PyMongo
from pymongo.database import Database

from .codes import CodeDigester, derive_key
from .config import Settings
from .devices import DeviceTokens
from .handlers import Handlers
from .sending.background import BackgroundSender
from .store.account import AccountRules
from .store.accounts import AccountStore
from .store.database import Document
from .store.families import FamilyStore
from .store.indexes import Indexes
from .store.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class AppState:
    """What one application has of the extension: ``app.extensions["otp_auth"]``.

    :param handlers: the host's functions.
    :param mongo: the PyMongo that all of it is stored through.
    :param indexes: of the collections, made at the first use.
    :param background: runs a sender after the answer, or ``None`` to send before it.
    :param close: closes the connections of *mongo* if we opened them, else ``None``.
    :param devices: the tokens of trusted devices, or ``None`` if there are none.
    """

    settings: Settings
    handlers: Handlers
    mongo: PyMongo = field(repr=False)
    database: Database[Document] = field(repr=False)
    sessions: SessionStore
    accounts: AccountStore
    families: FamilyStore
    indexes: Indexes
    digester: CodeDigester
    background: BackgroundSender | None
    devices: DeviceTokens | None
    close: Callable[[], object] | None


def build_state(
    settings: Settings,
    handlers: Handlers,
    mongo: PyMongo,
    database: Database[Document],
    *,
    close: Callable[[], object] | None,
) -> AppState:
    """Return the state of one application; no database is touched."""
    sessions = SessionStore(database, settings.collection, keep=settings.keep_sessions)
    accounts = _account_store(settings, database)

    families = FamilyStore(
        database,
        f"{settings.collection}.families",
        lifetime=settings.refresh_lifetime,
        idle=settings.refresh_idle,
    )

    def create_indexes() -> None:
        sessions.create_indexes()
        accounts.create_indexes()
        families.create_indexes()

    return AppState(
        settings=settings,
        handlers=handlers,
        mongo=mongo,
        database=database,
        sessions=sessions,
        accounts=accounts,
        families=families,
        indexes=Indexes(create_indexes),
        digester=CodeDigester(settings.secret_keys),
        background=BackgroundSender() if settings.send_in_background else None,
        devices=(
            DeviceTokens(settings.secret_keys, settings.trusted_devices)
            if settings.trusted_devices is not None
            else None
        ),
        close=close,
    )


def without_send_limits(state: AppState) -> AppState:
    """Return the state of an app that sends to anybody at any time; for its tests."""
    settings = replace(state.settings, client_limits=(), identifier_limits=())
    return replace(state, settings=settings, accounts=_account_store(settings, state.database))


def _account_store(settings: Settings, database: Database[Document]) -> AccountStore:
    return AccountStore(
        database,
        f"{settings.collection}.accounts",
        # The oldest, so that a new key in front forgets no lock and no send.
        key=derive_key(settings.secret_keys[-1], "flask-otp-auth accounts"),
        rules=account_rules(settings),
    )


def account_rules(settings: Settings) -> AccountRules:
    """Return what the options allow an account."""
    return AccountRules(
        sends=[
            (rule.amount, timedelta(seconds=rule.get_expiry()))
            for rule in settings.identifier_limits
        ],
        lockout_threshold=settings.lockout_threshold,
        disable_after=settings.disable_after,
        step=settings.max_attempts,
        count_within=timedelta(seconds=settings.db_timeout),
    )
