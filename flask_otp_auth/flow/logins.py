"""Logins whose code was correct: starting them, refreshing their tokens, and ending them."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime, timedelta

from .. import events, tokens
from ..clock import utc_now
from ..exceptions import InvalidRefreshToken
from ..state import AppState
from ..store.database import database_calls
from ..store.logins import Rotation
from ..tokens import LOGIN_CLAIM, Claims, LoginTokens
from ..types import AuthResult, Session

# With JWT_DECODE_LEEWAY a token may still be accepted for a while after it has expired.
_LEEWAY_MAX = timedelta(days=1)


def begin_login(state: AppState, user: object, session: Session, now: datetime) -> AuthResult:
    """Start a login that can be refreshed, and return its first tokens.

    :param user: what the ``get_user_handler`` returned.
    :param session: the session whose code was correct.
    :param now: UTC time of the request.
    :raises TypeError: the user has no usable id, or the application's loader returned none.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    login = _tokens_of(state, secrets.token_hex(16))
    auth = tokens.issue(user, session.method, now, login)
    with database_calls(state.settings.db_timeout):
        # In whole seconds like the claim auth_time, so that tokens and login expire together.
        state.logins.start(login.login_id, login.token_id, now.replace(microsecond=0))
    events.login_started(session, login.login_id)
    return auth


def refresh(state: AppState, claims: Claims) -> AuthResult:
    """Use up a refresh token, and return the tokens that replace it.

    :param claims: those of a refresh token whose signature and expiry have been verified.
    :raises InvalidRefreshToken: the token is not one of ours, its login has ended or expired, or
        it was used before, which ends the login.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    login_id, token_id = claims.get(LOGIN_CLAIM), claims.get("jti")
    if not (isinstance(login_id, str) and isinstance(token_id, str) and "auth_time" in claims):
        raise InvalidRefreshToken
    now = utc_now()
    successor = _tokens_of(state, login_id)
    # Before the old token is used up, so that an error in the application's loaders ends no login.
    auth = tokens.renew(claims, successor, now)
    with database_calls(state.settings.db_timeout):
        rotation = state.logins.rotate(login_id, token_id, successor.token_id, now)
    if rotation is Rotation.ROTATED:
        return auth
    if rotation is Rotation.REUSED:
        events.refresh_token_reused(login_id)
    else:
        events.refresh_refused(login_id, str(rotation))
    raise InvalidRefreshToken


def end_login(state: AppState, claims: Claims) -> None:
    """End the login of a token, so that none of its tokens is accepted any more.

    If the login cannot be refreshed, the token is revoked by its ``jti``.

    :param claims: those of an access or refresh token whose signature has been verified.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    now = utc_now()
    login_id, token_id = claims.get(LOGIN_CLAIM), claims.get("jti")
    with database_calls(state.settings.db_timeout):
        if isinstance(login_id, str):
            state.logins.end(login_id, now)
            events.login_ended(login_id)
        elif isinstance(token_id, str):
            expires = claims.get("exp")
            until = None if expires is None else datetime.fromtimestamp(expires, UTC) + _LEEWAY_MAX
            if until is None or now < until:
                state.logins.revoke(token_id, until, now)
            events.token_revoked(token_id)


def is_logged_out(state: AppState, claims: Claims) -> bool:
    """Return whether a token was logged out, or its login has ended.

    This includes a refresh token that has been used.

    :param claims: those of a token whose signature has been verified.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    login_id, token_id = claims.get(LOGIN_CLAIM), claims.get("jti")
    with database_calls(state.settings.db_timeout):
        if isinstance(login_id, str):
            login = state.logins.find(login_id)
            if login is None or login.ended:
                return True
            return claims.get("type") == "refresh" and login.current != token_id
        return isinstance(token_id, str) and state.logins.find(token_id) is not None


def _tokens_of(state: AppState, login_id: str) -> LoginTokens:
    settings = state.settings
    return LoginTokens(
        login_id, str(uuid.uuid4()), settings.refresh_lifetime, settings.refresh_idle
    )
