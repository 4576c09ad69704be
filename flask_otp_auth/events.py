"""What happened: a function for each outcome, with its log line, its error and its signal.

A function that returns an error has logged the ``id`` of that error; the caller raises it.
"""

from __future__ import annotations

import logging
from typing import TypeVar

from blinker import NamedSignal
from flask import current_app, has_app_context
from limits import RateLimitItem

from . import identifiers, signals
from .exceptions import AuthenticationFailed, OtpAuthError, RequestError, SendFailed
from .redaction import ANY_CODE, describe, short
from .types import Method, Session
from .wording import limit

_log = logging.getLogger("flask_otp_auth")

Failure = TypeVar("Failure", bound=OtpAuthError)


def session_started(session: Session, *, by_trusted_device: bool) -> None:
    """Report a session that was stored, and whose code is about to be sent."""
    _send(signals.session_initiated, session)
    if by_trusted_device:
        _log.info("trusted device: session=%s", short(session.session_id))
        _send(signals.trusted_device_used, session)


def code_sent(session: Session) -> None:
    """Report a code that the sender accepted."""
    _log.info("code sent: %s", _whom(session))
    _send(signals.code_sent, session)


def no_user_to_send_to(session: Session) -> None:
    """Report that no code was sent, since nobody has the identifier."""
    _log.info("no user, no code sent: %s", _whom(session))


def code_not_sent(session: Session, code: str, error: BaseException | None) -> SendFailed:
    """Report a code that the sender did not accept.

    :param code: what must not appear in the log.
    :param error: what the sender raised, or ``None`` if it returned a false value.
    """
    failure = SendFailed()
    reason = "send_code_handler did not return a true value"
    if error is not None:
        reason = describe(error, code, session.identifier)
    _log.error("code not sent: %s [error %s]: %s", _whom(session), failure.id, reason)
    _send(signals.send_failed, session, reason="raised" if error else "not sent", error=error)
    return failure


def code_not_withdrawn(session: Session, error: OtpAuthError) -> None:
    """Report a code that was not sent and could not be withdrawn."""
    _log.error("the code of session %s was not withdrawn: %s", short(session.session_id), error)


def send_refused(
    session: Session, reason: str, *, is_stored: bool, rule: RateLimitItem | None = None
) -> None:
    """Report a code that an account did not admit.

    :param reason: ``"identifier"``, ``"lockout"`` or ``"tries"``.
    :param is_stored: whether there is such a session.
    :param rule: the limit that was reached, for ``"identifier"``.
    """
    if rule is not None:
        _log_rule("code refused: OTP_AUTH_IDENTIFIER_LIMITS allows %s", rule)
    _notify(
        signals.rate_limited,
        method=session.method,
        identifier=session.identifier,
        session_id=session.session_id if is_stored else None,
        reason=reason,
        bound=None if rule is None else str(rule),
    )


def client_refused(rule: RateLimitItem) -> None:
    """Report a client that reached a limit on the requests for codes.

    :param rule: the limit that was reached.
    """
    _log_rule("client refused: OTP_AUTH_CLIENT_LIMITS allows %s", rule)
    _notify(signals.rate_limited, reason="client", bound=str(rule))


def _log_rule(text: str, rule: RateLimitItem) -> None:
    # Who develops has to see it; in production anybody could fill the log with warnings.
    in_debug_mode = has_app_context() and current_app.debug
    _log.log(logging.WARNING if in_debug_mode else logging.INFO, text, limit(rule))


def code_accepted(session: Session) -> None:
    """Report a correct code, which ended its session."""
    _log.info("code accepted: session=%s", short(session.session_id))
    passed = (session.verified_at or session.created_at) - session.created_at
    _send(signals.code_verified, session, seconds=max(0.0, passed.total_seconds()))


def code_rejected(session: Session, outcome: str) -> None:
    """Report a code that was wrong, or came for a session that had ended.

    :param outcome: ``"rejected"``, ``"exhausted"``, ``"locked"``, ``"expired"`` or ``"used"``.
    """
    _log.info("code %s: session=%s", outcome, short(session.session_id))
    _send(signals.code_rejected, session, reason=outcome)
    if outcome == "exhausted":
        _send(signals.session_locked, session)


def identifier_locked(session: Session, reason: str, failures: int) -> None:
    """Report an account that was locked after a wrong code.

    :param reason: ``"waiting"`` or ``"disabled"``.
    :param failures: the wrong codes in a row.
    """
    _log.warning("identifier locked: %s %s", identifiers.mask(session.identifier), reason)
    _send(
        signals.identifier_locked,
        session,
        reason=reason,
        bound=f"{failures} wrong codes in a row",
    )


def identifier_unlocked(identifier: str, method: Method) -> None:
    """Report an account whose failures, lock or send counts were cleared."""
    _log.warning("identifier unlocked: %s", identifiers.mask(identifier))
    _notify(signals.identifier_unlocked, method=method, identifier=identifier, reason="unlock")


def devices_forgotten(identifier: str, number: int) -> None:
    """Report an account whose trusted devices were forgotten."""
    _log.warning("trusted devices forgotten: %s: %d", identifiers.mask(identifier), number)


def sessions_erased(identifier: str, number: int) -> None:
    """Report the sessions of an identifier that were deleted on request."""
    _log.warning("erased: %d sessions of %s", number, identifiers.mask(identifier))


def failures_not_cleared(session: Session) -> None:
    """Report a correct code before which the failures of its account were not cleared."""
    _log.warning("failures of %s not cleared", identifiers.mask(session.identifier))


def no_user_to_sign_in(session: Session) -> None:
    """Report a correct code for an identifier that nobody has."""
    _log.warning("correct code, but no user: session=%s", short(session.session_id))


def sign_in_refused(session: Session) -> None:
    """Report a correct code of a user whom the application does not let in."""
    _log.warning("correct code, but the user is refused: session=%s", short(session.session_id))


def sign_in_failed(session: Session, code: str, error: Exception) -> AuthenticationFailed:
    """Report a handler that failed after a correct code.

    :param code: what must not appear in the log.
    """
    failure = AuthenticationFailed()
    _log.error(
        "sign-in failed after the correct code: session=%s [error %s]: %s",
        short(session.session_id),
        failure.id,
        describe(error, code, session.identifier),
    )
    _send(signals.sign_in_failed, session, reason="raised", error=error)
    return failure


def user_without_json(session_id: str, error: Exception) -> AuthenticationFailed:
    """Report a ``verify_success_handler`` whose ``user`` has no JSON form."""
    failure, reason = AuthenticationFailed(), "the user has no JSON form"
    _log.error("%s [error %s]: %s", reason, failure.id, describe(error))
    _notify(signals.sign_in_failed, session_id=session_id, reason=reason, error=error)
    return failure


def login_started(session: Session, login_id: str) -> None:
    """Report a login that can be refreshed."""
    _log.info("login: session=%s login=%s", short(session.session_id), short(login_id))


def login_ended(login_id: str, reason: str) -> None:
    """Report a login that has ended.

    :param reason: ``"logout"``, or ``"user refused"`` at a refresh.
    """
    _log.info("%s: login=%s", reason, short(login_id))


def logins_ended(number: int) -> None:
    """Report that the logins of a user were ended together."""
    _log.info("all logins of a user ended: %d that could be refreshed", number)


def token_revoked(token_id: str) -> None:
    """Report a logout from a login that cannot be refreshed."""
    _log.info("logout: token=%s", short(token_id))


def refresh_token_reused(login_id: str) -> None:
    """Report a refresh token that was used after its successor, which ended its login."""
    _log.warning("refresh token used after its successor, login ended: login=%s", short(login_id))


def refresh_refused(login_id: str, reason: str) -> None:
    """Report a refresh token of a login that is over."""
    _log.info("refresh refused, login %s: login=%s", reason, short(login_id))


def failed(
    failure: Failure, what: str, cause: BaseException | None = None, code: str = ANY_CODE
) -> Failure:
    """Report anything else that failed, and return the error for the client.

    :param what: what failed, and what to do about it, without any secret.
    :param cause: the error behind it, if its traceback helps.
    :param code: what must not appear in the log, by default every number that could be a code.
    """
    reason = "" if cause is None else f": {describe(cause, code)}"
    _log.error("%s [error %s]%s", what, failure.id, reason)
    failure.add_note(what)  # for the command line; an answer has only the text of the error
    return failure


def request_refused(error: RequestError) -> None:
    """Report a request that is answered with an error."""
    if error.code < 500:  # the others have been logged with their reason
        _log.info("request refused: %s %s [error %s]", error.code, error.error_code, error.id)


def _whom(session: Session) -> str:
    to = identifiers.mask(session.identifier)
    return f"method={session.method} to={to} session={short(session.session_id)}"


def _send(signal: NamedSignal, session: Session, **carried: object) -> None:
    _notify(
        signal,
        method=session.method,
        identifier=session.identifier,
        session_id=session.session_id,
        purpose=session.purpose,
        **carried,
    )


def _notify(signal: NamedSignal, *, identifier: str | None = None, **carried: object) -> None:
    """Send *signal* from the current application, with the identifier masked.

    Without an application nobody can receive it.

    :param carried: further arguments. Every signal has a method, a session id and a reason, if only
        ``None``; of the others only those that have a value are passed on, and any ``error``.
    """
    if not signal.receivers or signal.is_muted or not has_app_context():
        return
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    masked = None if identifier is None else identifiers.mask(identifier)
    told: dict[str, object] = {
        "method": None,
        "identifier": masked,
        "session_id": None,
        "reason": None,
    }
    told |= {key: value for key, value in carried.items() if value is not None or key == "error"}
    # One by one, since with signal.send() a receiver that fails would prevent the others' calls.
    for receiver in signal.receivers_for(app):
        try:
            receiver(app, **told)
        except Exception as fault:
            # The receiver got an error that may contain the code, so its own may contain it too.
            known = None if told.get("error") is None else ANY_CODE
            name = signal.name.replace("-", "_")
            _log.error("a receiver of %s failed: %s", name, describe(fault, known))
