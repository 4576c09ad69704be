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
from ..store.login_updates import Rotation
from ..store.logins import Standing
from ..subjects import read_subject
from ..tokens import LOGIN_CLAIM, PARENT_CLAIM, Claims, LoginTokens
from ..types import AuthResult, Login, Session

# With JWT_DECODE_LEEWAY a token may still be accepted for a while after it has expired.
_LEEWAY_MAX = timedelta(days=1)


def begin_login(
    state: AppState, user: object, session: Session, now: datetime, verified_at: datetime
) -> AuthResult:
    """Start a login that can be refreshed, and return its first tokens.

    :param user: what the ``get_user_handler`` returned.
    :param session: the session whose code was correct.
    :param now: UTC time of the request.
    :param verified_at: the UTC time of the verdict, by the clock of the database.
    :raises TypeError: the user has no usable id, or the application's loader returned none.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    login = _next_tokens(state, secrets.token_hex(16), parent=None)
    auth = tokens.issue(user, session.method, now, verified_at, login)
    with database_calls(state.settings.db_timeout):
        state.logins.start(
            login.login_id,
            login.token_id,
            user=auth.user["id"],
            method=session.method,
            verified_at=verified_at,
            # In whole seconds like the claim auth_time, so that tokens and login expire together.
            now=now.replace(microsecond=0),
        )
    events.login_started(session, login.login_id)
    return auth


def refresh(state: AppState, claims: Claims) -> AuthResult:
    """Use a refresh token, and return the tokens that replace it.

    :param claims: those of a refresh token whose signature and expiry have been verified.
    :raises InvalidRefreshToken: the token is not one of ours, its login has ended or expired, or
        one of its successors has been used, which ends the login.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    login_id, token_id, parent = _ids(claims)
    if login_id is None or token_id is None or "auth_time" not in claims:
        raise InvalidRefreshToken
    now = utc_now()
    with database_calls(state.settings.db_timeout):
        rotation = state.logins.rotate(login_id, token_id, parent, now)
        # Once its login has been stored, the end of the others ends it too.
        if rotation is Rotation.ROTATED and parent is None:
            standing = state.logins.standing_of(login_id, tokens.subject_of(claims), now)
            if _ends_with_others(state, standing, login_id, claims):
                rotation = Rotation.ENDED
    if rotation is Rotation.ROTATED:
        return tokens.renew(claims, _next_tokens(state, login_id, parent=token_id), now)
    if rotation is Rotation.REUSED:
        events.refresh_token_reused(login_id)
    else:
        events.refresh_refused(login_id, rotation)
    raise InvalidRefreshToken


def end_login(state: AppState, claims: Claims, reason: str = "logout") -> None:
    """End the login of a token, so that none of its tokens is accepted any more.

    If the login cannot be refreshed, the token is revoked by its ``jti``.

    :param claims: those of an access or refresh token whose signature has been verified.
    :param reason: why it ends, for the log and for whoever reads the database.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    now = utc_now()
    login_id, token_id, _ = _ids(claims)
    with database_calls(state.settings.db_timeout):
        if login_id is not None:
            state.logins.end(login_id, reason, now)
            events.login_ended(login_id, reason)
        elif token_id is not None:
            until = _refused_from(claims)
            if until is None or now < until:
                state.logins.revoke(token_id, until, now)
            events.token_revoked(token_id)


def _refused_from(claims: Claims) -> datetime | None:
    """Return the UTC time from which a token has expired, or ``None`` if that never comes."""
    if (expires := claims.get("exp")) is None:
        return None
    try:
        return datetime.fromtimestamp(expires, UTC) + _LEEWAY_MAX
    except (OverflowError, ValueError, OSError):  # after the year 9999
        return None


def is_logged_out(state: AppState, claims: Claims) -> bool:
    """Return whether a token was logged out, or its login has ended or expired.

    This includes a refresh token of which a successor has been used, and every token that was made
    before the logins of its user were ended together.

    :param claims: those of a token whose signature has been verified.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    login_id, token_id, parent = _ids(claims)
    id_ = login_id or token_id or ""
    with database_calls(state.settings.db_timeout):
        standing = state.logins.standing_of(id_, tokens.subject_of(claims), utc_now())
        if login_id is None:
            return standing.is_known or _was_ended_with_others(standing, id_, claims)
        if not standing.is_known or standing.is_over:
            return True
        if _ends_with_others(state, standing, login_id, claims):
            return True
    is_refresh = claims.get("type") == "refresh"
    return is_refresh and (standing.current is None or standing.current not in (token_id, parent))


def _ends_with_others(state: AppState, standing: Standing, login_id: str, claims: Claims) -> bool:
    """End a login that was being stored while the others of its user ended, and say if it was."""
    is_over = _was_ended_with_others(standing, login_id, claims)
    if is_over:
        state.logins.end(login_id, "all", utc_now())
    return is_over


def _was_ended_with_others(standing: Standing, id_: str, claims: Claims) -> bool:
    if standing.ended_before is None or standing.spared == id_:
        return False
    made_at = tokens.made_at(claims)
    # A time in whole seconds may be that of any moment of its second.
    return made_at is None or made_at <= standing.ended_before


def logins_of(state: AppState, user_id: object) -> list[Login]:
    """Return the logins of a user that can be refreshed, the newest first.

    :param user_id: the subject of the tokens: a str, int, UUID or ObjectId.
    :raises InvalidRequest: *user_id* is no id.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    user = read_subject(user_id, "user_id")
    with database_calls(state.settings.db_timeout):
        return state.logins.of_user(user, utc_now())


def end_logins(state: AppState, user_id: object, keep: Claims | None = None) -> int:
    """End all logins of a user, and refuse every access token that was made for them before.

    :param user_id: the subject of the tokens: a str, int, UUID or ObjectId.
    :param keep: the claims of a token of this user whose login goes on, or which itself goes on if
        it has none. A token of another user, or one that is refused already, keeps nothing.
    :returns: how many logins have ended that could be refreshed.
    :raises InvalidRequest: *user_id* is no id.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    user = read_subject(user_id, "user_id")
    spare, made_at = None, None
    if keep is not None and tokens.subject_of(keep) == user:
        login_id, token_id, _ = _ids(keep)
        spare, made_at = login_id or token_id, tokens.made_at(keep)
    with database_calls(state.settings.db_timeout):
        ended = state.logins.end_all(user, spare, made_at)
    events.logins_ended(ended)
    return ended


def _ids(claims: Claims) -> tuple[str | None, str | None, str | None]:
    """Return the login of a token, its ``jti``, and that of the refresh token before it."""
    login_id, token_id, parent = (
        value if isinstance(value := claims.get(name), str) else None
        for name in (LOGIN_CLAIM, "jti", PARENT_CLAIM)
    )
    return login_id, token_id, parent


def _next_tokens(state: AppState, login_id: str, *, parent: str | None) -> LoginTokens:
    settings = state.settings
    return LoginTokens(
        login_id,
        str(uuid.uuid4()),
        lifetime=settings.refresh_lifetime,
        idle=settings.refresh_idle,
        parent=parent,
    )
