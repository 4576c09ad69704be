"""The JWTs of a login, created by Flask-JWT-Extended: the first ones, and those of a refresh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from flask import Flask, current_app
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_current_user,
)
from flask_jwt_extended.config import config

from .compat import own_loader
from .subjects import id_text
from .types import AuthResult, Method

Claims = Mapping[str, Any]
#: The claim of access and refresh tokens that identifies the login they belong to.
LOGIN_CLAIM = "otp_login"
#: The claim of a refresh token with the ``jti`` of the one that it replaced.
PARENT_CLAIM = "otp_parent"
#: The claim with the time of the verdict, by the clock of the database, in ms since 1970.
VERIFIED_CLAIM = "otp_verified_at"

# RFC 8176, section 2: "otp" is a one-time password, and "sms" a confirmation by SMS.
_AMR: dict[Method, list[str]] = {"sms": ["otp", "sms"], "email": ["otp"]}
_EXTENSION = "flask-jwt-extended"


@dataclass(frozen=True, slots=True)
class LoginTokens:
    """What the tokens of a login need to know of it, if they can be refreshed.

    :param login_id: the value of the claim ``otp_login``.
    :param token_id: the ``jti`` of the refresh token.
    :param lifetime: seconds from the login until all of its tokens have expired.
    :param idle: seconds until the refresh token expires.
    :param parent: the ``jti`` of the refresh token that it replaces, or ``None`` for the first.
    """

    login_id: str
    token_id: str
    lifetime: int
    idle: int
    parent: str | None = None


def ensure_manager(app: Flask) -> None:
    """Create a JWTManager for *app* if it has none."""
    if _EXTENSION not in app.extensions:
        JWTManager(app)


def manager_of(app: Flask) -> JWTManager:
    """Return the JWTManager of *app*; if several were created, the last one is in use."""
    return cast(JWTManager, app.extensions[_EXTENSION])


def manager() -> JWTManager:
    """Return the JWTManager of the current app."""
    return manager_of(current_app)


def issue(
    user: Any,
    method: Method,
    now: datetime,
    verified_at: datetime,
    login: LoginTokens | None = None,
) -> AuthResult:
    """Create a fresh access token for *user*, and a refresh token if there is a *login*.

    The subject is the user's id as a string, or what the ``user_identity_loader`` of the
    application returns. Two claims say how and when the user was authenticated: ``amr`` (RFC 8176)
    and ``auth_time`` (OpenID Connect Core, section 2, in seconds since 1970). A third,
    ``otp_verified_at``, says it to the millisecond by the clock of the database.

    :param user: what the ``get_user_handler`` returned.
    :param method: how the code was sent.
    :param now: UTC time of the login.
    :param verified_at: the UTC time of its verdict, by the clock of the database.
    :param login: ``None`` for a login that cannot be refreshed.
    :raises TypeError: the user has no usable id, or the loader returned none.
    """
    load_identity = own_loader(manager(), "user_identity")
    if load_identity is None:
        identity = subject = user_id(user)
    else:
        # Flask-JWT-Extended calls the loader again, so it has to get the user itself.
        identity, subject = user, _text(load_identity(user), "the user_identity_loader returned")
    claims = {
        "amr": _AMR[method],
        "auth_time": int(now.timestamp()),
        VERIFIED_CLAIM: _milliseconds(verified_at),
        # Set here, it also overrides an additional_claims_loader; PyJWT requires a string.
        current_app.config["JWT_IDENTITY_CLAIM"]: subject,
    }
    if login is None:
        token = create_access_token(identity, fresh=True, additional_claims=claims)
        return AuthResult({"id": subject}, token)
    return _with_refresh(identity, subject, claims, login, now, fresh=True)


def renew(claims: Claims, login: LoginTokens, now: datetime) -> AuthResult:
    """Create the tokens that replace a refresh token, for the same user and login.

    The access token is not fresh. It repeats how and when the user was authenticated.

    :param claims: those of the refresh token, whose signature has been verified.
    :param login: has the id of the new refresh token.
    :param now: UTC time of the request.
    """
    identity_claim = current_app.config["JWT_IDENTITY_CLAIM"]
    names = ("amr", "auth_time", VERIFIED_CLAIM, identity_claim)
    kept = {name: claims[name] for name in names if name in claims}
    subject = str(kept[identity_claim])
    return _with_refresh(_identity(subject), subject, kept, login, now, fresh=False)


def _identity(subject: str) -> Any:
    """Return what the application's loaders get: the user if one can be loaded, or the subject."""
    loaders = (own_loader(manager(), name) for name in ("user_identity", "user_lookup"))
    return get_current_user() if all(loaders) else subject


def _with_refresh(
    identity: Any,
    subject: str,
    claims: dict[str, Any],
    login: LoginTokens,
    now: datetime,
    *,
    fresh: bool,
) -> AuthResult:
    claims = {**claims, LOGIN_CLAIM: login.login_id}
    left = timedelta(seconds=claims["auth_time"] + login.lifetime - now.timestamp())
    ours = (left, timedelta(seconds=login.idle))
    of_refresh = {**claims, "jti": login.token_id}
    if login.parent is not None:
        of_refresh[PARENT_CLAIM] = login.parent
    return AuthResult(
        {"id": subject},
        create_access_token(
            identity,
            fresh=fresh,
            expires_delta=_earliest(now, config.access_expires, *ours),
            additional_claims=claims,
        ),
        create_refresh_token(
            identity,
            expires_delta=_earliest(now, config.refresh_expires, *ours),
            additional_claims=of_refresh,
        ),
    )


def login_or_token(claims: Claims) -> str | None:
    """Return the id of the login of a token, or its ``jti`` if it has none."""
    for name in (LOGIN_CLAIM, "jti"):
        if isinstance(found := claims.get(name), str):
            return found
    return None


def subject_of(claims: Claims) -> str:
    """Return the subject of a token, the id of its user."""
    return str(claims.get(current_app.config["JWT_IDENTITY_CLAIM"]))


def made_at(claims: Claims) -> datetime | None:
    """Return the UTC time by which it is decided whether a token was made before another event.

    It is that of the verdict, by the clock of the database. For a token that the application made
    itself it is ``iat``, in whole seconds by its own clock, or ``None`` without that.
    """
    verified, issued = claims.get(VERIFIED_CLAIM), claims.get("iat")
    if isinstance(verified, int):
        return datetime.fromtimestamp(verified // 1000, UTC) + timedelta(
            milliseconds=verified % 1000
        )
    return datetime.fromtimestamp(int(issued), UTC) if isinstance(issued, int | float) else None


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp()) * 1000 + time.microsecond // 1000


def _earliest(now: datetime, of_host: Any, *ours: timedelta) -> timedelta:
    """Return the shortest time, but never 0, with which a token would not expire at all."""
    # False stands for tokens that never expire; anything else can be added to a datetime.
    times = ours if of_host is False else (*ours, now + of_host - now)
    return max(min(times), timedelta(seconds=1))


def user_id(user: Any) -> str:
    """Return the ``id`` or ``_id`` of a user as a string.

    :param user: a mapping or an object.
    :raises TypeError: the user has neither, or the first that is not ``None`` is not a non-empty
        str, an int, a UUID or an ObjectId.
    """
    for name in ("id", "_id"):
        found = user.get(name) if isinstance(user, Mapping) else getattr(user, name, None)
        if found is not None:
            return _text(found, f"the user's {name} is")
    raise TypeError(
        f"the user ({type(user).__name__}) that get_user_handler returned has no id or _id; "
        "give it one, or register a user_identity_loader or a verify_success_handler"
    )


def _text(identity: Any, source: str) -> str:
    if (text := id_text(identity)) is not None:
        return text
    what = "an empty str" if identity == "" else f"a {type(identity).__name__}"
    raise TypeError(
        f"{source} {what}, which is no id: an id is a str that is not empty, an int, a UUID "
        "or an ObjectId"
    )


def uses_cookies() -> bool:
    """Return whether ``JWT_TOKEN_LOCATION`` of the current application includes ``cookies``."""
    return has_cookies(current_app.config)


def has_cookies(config: Mapping[str, Any]) -> bool:
    """Return whether ``JWT_TOKEN_LOCATION`` in *config* includes ``cookies``."""
    location = config.get("JWT_TOKEN_LOCATION") or ()
    return "cookies" in ([location] if isinstance(location, str) else location)


def only_cookies() -> bool:
    """Return whether ``JWT_TOKEN_LOCATION`` of the current application is ``cookies`` only."""
    return set(config.token_location) == {"cookies"}
