"""What to say to a person about a result or an error, in the words of the login page."""

from __future__ import annotations

import math

from werkzeug.exceptions import HTTPException, TooManyRequests

from ..exceptions import (
    IdentifierLocked,
    InvalidIdentifier,
    InvalidRequest,
    OtpAuthError,
    Refused,
    SendFailed,
    ServiceUnavailable,
    SessionAlreadyVerified,
    SessionExpired,
    SessionNotFound,
    TooManyResends,
)
from ..types import NO_USER, ConfirmResult, VerifyResult
from . import Texts

_UNITS = ((3600, "hour"), (60, "minute"), (1, "second"))
_OF_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (SessionAlreadyVerified, "used"),
    (SessionExpired, "expired"),
    (SessionNotFound, "expired"),
    (IdentifierLocked, "waiting"),
    (TooManyResends, "no_more"),
    (TooManyRequests, "limited"),
    (SendFailed, "not_sent"),
    (ServiceUnavailable, "unavailable"),
)
_SOON = 5  # seconds to wait when nobody knows how long


def sentence(
    texts: Texts, outcome: VerifyResult | ConfirmResult | OtpAuthError | HTTPException
) -> str:
    """Return what to say to a person about an outcome.

    :param texts: the texts in the language of the person.
    :param outcome: a result of ``verify`` or ``confirm``, or an error of the Python API
        or of a limit of Flask-Limiter.
    """
    if isinstance(outcome, Exception):
        return _of_error(texts, outcome)
    left = outcome.remaining_attempts
    match outcome.status:
        case "success":
            is_login = isinstance(outcome, VerifyResult)
            return texts.say("signed_in" if is_login else "message_confirmed")
        case "invalid_code":
            return texts.say("wrong_one" if left == 1 else "wrong_many", count=left)
        case "not_found" if outcome.message == NO_USER:
            return texts.say("message_no_user")
        case "not_found":
            return texts.say("expired")
    return texts.say(outcome.status)


def _of_error(texts: Texts, error: Exception) -> str:
    if isinstance(error, Refused):
        return error.detail
    if isinstance(error, InvalidIdentifier):
        return texts.say("invalid_email" if "email" in error.detail else "invalid_sms")
    if isinstance(error, InvalidRequest):
        return texts.say(_of_fields(error))
    wait: int | None = getattr(error, "retry_after", None)
    key = next((key for kind, key in _OF_ERRORS if isinstance(error, kind)), "failed")
    if key == "waiting" and wait is None:
        return texts.say("disabled")
    return texts.say(key, time=duration(texts, wait or _SOON))


def _of_fields(error: InvalidRequest) -> str:
    """Return the key for a form with a field that is empty or far too long."""
    fields = error.fields or {}
    if "code" in fields:
        return "missing_code"
    if "identifier" in fields:
        return "missing_identifier"
    return "expired" if "sessionId" in fields else "failed"


def duration(texts: Texts, seconds: int) -> str:
    """Return a time in words, as the login page rounds it."""
    length, unit = next((each for each in _UNITS if seconds >= 1.5 * each[0]), _UNITS[-1])
    count = math.ceil(seconds / length)
    return texts.say(f"message_{unit}" if count == 1 else f"message_{unit}s", count=count)
