"""A login after its code: it begins, its tokens are refreshed, it ends."""

from __future__ import annotations

import logging
import secrets
import uuid
from datetime import UTC, datetime, timedelta

from .. import tokens
from ..clock import utc_now
from ..exceptions import InvalidRefreshToken
from ..redaction import short
from ..state import AppState
from ..store.database import database_calls
from ..store.families import Rotation
from ..tokens import FAMILY_CLAIM, Claims, FamilyTokens
from ..types import AuthResult, Session

_log = logging.getLogger("flask_otp_auth")

# JWT_DECODE_LEEWAY may let a token in for a while after its end.
_LEEWAY_MAX = timedelta(days=1)


def begin_login(state: AppState, user: object, session: Session, now: datetime) -> AuthResult:
    """Make the first tokens of a login that can be refreshed.

    :raises TypeError: the user has no id, or the host's loader finds none.
    :raises ServiceUnavailable: the database is away.
    """
    family = _tokens_of(state, secrets.token_hex(16))
    auth = tokens.issue(user, session.method, now, family)
    with database_calls(state.settings.db_timeout):
        # In whole seconds, as the claim auth_time, so that tokens and family end together.
        state.families.start(family.family_id, family.token_id, now.replace(microsecond=0))
    _log.info("login: session=%s family=%s", short(session.session_id), short(family.family_id))
    return auth


def refresh(state: AppState, claims: Claims) -> AuthResult:
    """Use a refresh token up and make the tokens that follow.

    :param claims: of a refresh token whose signature and time have been checked.
    :raises InvalidRefreshToken: it is none of ours, its login has ended or is past its time, or
        the token was used before, which ends the login.
    :raises ServiceUnavailable: the database is away.
    """
    family_id, token_id = claims.get(FAMILY_CLAIM), claims.get("jti")
    if not (isinstance(family_id, str) and isinstance(token_id, str) and "auth_time" in claims):
        raise InvalidRefreshToken
    now = utc_now()
    successor = _tokens_of(state, family_id)
    # Made before the old one is used up: a loader of the host that fails costs nobody the login.
    auth = tokens.renew(claims, successor, now)
    with database_calls(state.settings.db_timeout):
        rotation = state.families.rotate(family_id, token_id, successor.token_id, now)
    if rotation is Rotation.ROTATED:
        return auth
    if rotation is Rotation.REUSED:
        _log.warning("refresh token used twice, login ended: family=%s", short(family_id))
    else:
        _log.info("refresh refused, login %s: family=%s", rotation, short(family_id))
    raise InvalidRefreshToken


def end_login(state: AppState, claims: Claims) -> None:
    """End the login of a token, so that none of its tokens works any more.

    :param claims: of an access or refresh token whose signature has been checked.
    :raises ServiceUnavailable: the database is away.
    """
    now = utc_now()
    family_id, token_id = claims.get(FAMILY_CLAIM), claims.get("jti")
    with database_calls(state.settings.db_timeout):
        if isinstance(family_id, str):
            state.families.end(family_id, now)
            _log.info("logout: family=%s", short(family_id))
        elif isinstance(token_id, str):
            expires = claims.get("exp")
            until = None if expires is None else datetime.fromtimestamp(expires, UTC) + _LEEWAY_MAX
            if until is None or now < until:
                state.families.revoke(token_id, until, now)
            _log.info("logout: token=%s", short(token_id))


def is_logged_out(state: AppState, claims: Claims) -> bool:
    """Whether a token was logged out, or its login has ended.

    A refresh token that was used before counts as logged out too.

    :param claims: of a token whose signature has been checked.
    :raises ServiceUnavailable: the database is away.
    """
    family_id, token_id = claims.get(FAMILY_CLAIM), claims.get("jti")
    with database_calls(state.settings.db_timeout):
        if isinstance(family_id, str):
            family = state.families.find(family_id)
            if family is None or family.ended:
                return True
            return claims.get("type") == "refresh" and family.current != token_id
        return isinstance(token_id, str) and state.families.find(token_id) is not None


def _tokens_of(state: AppState, family_id: str) -> FamilyTokens:
    settings = state.settings
    return FamilyTokens(
        family_id, str(uuid.uuid4()), settings.refresh_lifetime, settings.refresh_idle
    )
