"""AppState: everything that the extension keeps for one application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from flask import Flask
from flask_limiter import Limiter
from flask_pymongo import PyMongo
from pymongo.database import Database

from .background import BackgroundSender
from .codes import CodeDigester, derive_key
from .devices import DeviceTokens
from .handlers import Handlers
from .settings import Settings
from .store.account import AccountRules
from .store.accounts import AccountStore
from .store.database import Document
from .store.indexes import Indexes
from .store.logins import LoginStore
from .store.sessions import SessionStore

#: The key of the state in ``app.extensions``.
EXTENSION = "otp_auth"


@dataclass(frozen=True, slots=True)
class AppState:
    """Everything that the extension keeps for one application: ``app.extensions["otp_auth"]``.

    :param settings: the validated options.
    :param owner: the FlaskOtpAuth that ``init_app`` was called on.
    :param handlers: the functions that the application registered.
    :param mongo: the PyMongo that connects to the database.
    :param database: the database that the URI of *mongo* names.
    :param sessions: stores the sessions.
    :param accounts: stores the accounts.
    :param logins: stores the logins whose tokens can be refreshed or were revoked.
    :param indexes: creates the indexes of all collections on first use.
    :param digester: computes the digests of codes.
    :param background: sends codes after the answer, or ``None`` if they are sent before it.
    :param devices: issues and reads the tokens of trusted devices, or ``None`` without these.
    :param close: closes the connections of *mongo* if ``init_app`` opened them, else ``None``.
    :param given: the debug mode and the options as ``init_app`` found them.
    :param limiter: counts the clients, or ``None`` without rules for them.
    """

    settings: Settings
    owner: object = field(repr=False)
    handlers: Handlers
    mongo: PyMongo = field(repr=False)
    database: Database[Document] = field(repr=False)
    sessions: SessionStore
    accounts: AccountStore
    logins: LoginStore
    indexes: Indexes
    digester: CodeDigester
    background: BackgroundSender | None
    devices: DeviceTokens | None
    close: Callable[[], object] | None
    given: Mapping[str, object] = field(repr=False)
    limiter: Limiter | None = None


def state_of(app: Flask) -> AppState:
    """Return the state of an application on which ``init_app`` was called.

    :raises KeyError: it was not.
    """
    return cast(AppState, app.extensions[EXTENSION])


def build_state(
    settings: Settings,
    owner: object,
    handlers: Handlers,
    mongo: PyMongo,
    database: Database[Document],
    *,
    close: Callable[[], object] | None,
    given: Mapping[str, object],
) -> AppState:
    """Return the state of one application, without using the database."""
    sessions = SessionStore(database, settings.collection, keep=settings.keep_sessions)
    accounts = account_store(settings, database)

    logins = LoginStore(
        database,
        f"{settings.collection}.logins",
        keys=[derive_key(secret, "flask-otp-auth users") for secret in settings.secret_keys],
        lifetime=settings.refresh_lifetime,
        idle=settings.refresh_idle,
    )

    def create_indexes() -> None:
        sessions.create_indexes()
        accounts.create_indexes()
        logins.create_indexes()

    return AppState(
        settings=settings,
        owner=owner,
        handlers=handlers,
        mongo=mongo,
        database=database,
        sessions=sessions,
        accounts=accounts,
        logins=logins,
        indexes=Indexes(create_indexes),
        digester=CodeDigester(settings.secret_keys),
        background=BackgroundSender() if settings.send_in_background else None,
        devices=(
            DeviceTokens(settings.secret_keys, settings.trusted_devices)
            if settings.trusted_devices is not None
            else None
        ),
        close=close,
        given=given,
    )


def account_store(settings: Settings, database: Database[Document]) -> AccountStore:
    """Return the store of the accounts of one application."""
    return AccountStore(
        database,
        f"{settings.collection}.accounts",
        # The oldest key, so that adding a new one does not lose any lock or count.
        key=derive_key(settings.secret_keys[-1], "flask-otp-auth accounts"),
        rules=account_rules(settings),
    )


def account_rules(settings: Settings) -> AccountRules:
    """Return the rules for accounts that follow from the options."""
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
