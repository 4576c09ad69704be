"""The default answer to a right code: tokens of Flask-JWT-Extended for the user's id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from bson import ObjectId
from flask import Flask, Response, current_app
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    set_access_cookies,
    set_refresh_cookies,
)
from flask_jwt_extended.default_callbacks import default_user_identity_callback

from .types import AuthResult, Method

# RFC 8176, section 2: a one-time password; for a code by SMS also "sms".
_AMR: dict[Method, list[str]] = {"sms": ["otp", "sms"], "email": ["otp"]}
_IDS = (str, int, UUID, ObjectId)
_EXTENSION = "flask-jwt-extended"


def ensure_manager(app: Flask) -> None:
    """Give *app* a JWTManager if it has none."""
    if _EXTENSION not in app.extensions:
        JWTManager(app)


def issue(user: Any, method: Method, now: datetime, *, refresh: bool) -> AuthResult:
    """Make a fresh access token for *user*, and a refresh token if asked.

    The subject is the user's id as a string, or what the host's ``user_identity_loader`` gives.
    The claims say how and when the user was authenticated: ``amr`` (RFC 8176) and ``auth_time``
    (OpenID Connect Core, section 2, in seconds since 1970).

    :raises TypeError: what the user has, or the loader gives, is no id.
    """
    load_identity = current_app.extensions[_EXTENSION]._user_identity_callback
    if load_identity is default_user_identity_callback:
        identity = subject = user_id(user)
    else:
        # The host's loader is called again inside, and must see the user itself.
        identity, subject = user, _text(load_identity(user), "the user_identity_loader returned")
    claims = {
        "amr": _AMR[method],
        "auth_time": int(now.timestamp()),
        # Here it also wins over an additional_claims_loader, and is text, which PyJWT asks for.
        current_app.config["JWT_IDENTITY_CLAIM"]: subject,
    }
    return AuthResult(
        user={"id": subject},
        token=create_access_token(identity, fresh=True, additional_claims=claims),
        refresh_token=create_refresh_token(identity, additional_claims=claims) if refresh else None,
    )


def user_id(user: Any) -> str:
    """Return ``id`` or ``_id`` of a mapping or an object, as a string.

    :raises TypeError: there is neither, or the first of them is not a filled str, an int, a UUID
        or an ObjectId.
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
    # Not all that str() takes: False, a bound method or NaN would be the same user for everybody.
    if isinstance(identity, _IDS) and not isinstance(identity, bool | Enum) and str(identity):
        return str(identity)
    what = "an empty str" if identity == "" else f"a {type(identity).__name__}"
    raise TypeError(
        f"{source} {what}, which is no id: an id is a str that is not empty, an int, a UUID "
        "or an ObjectId"
    )


def uses_cookies() -> bool:
    """Whether the host's ``JWT_TOKEN_LOCATION`` has ``cookies``."""
    return has_cookies(current_app.config)


def has_cookies(config: Mapping[str, Any]) -> bool:
    """Whether ``JWT_TOKEN_LOCATION`` in *config* has ``cookies``."""
    location = config.get("JWT_TOKEN_LOCATION") or ()
    return "cookies" in ([location] if isinstance(location, str) else location)


def set_cookies(response: Response, token: str, refresh_token: str | None) -> None:
    """Set the tokens as Flask-JWT-Extended's cookies, with its CSRF protection."""
    set_access_cookies(response, token)
    if refresh_token is not None:
        set_refresh_cookies(response, refresh_token)
