"""``otp.message``: a sentence for every outcome, in the reader's language."""

from __future__ import annotations

from typing import Any

import pytest
from support.world import World
from werkzeug.exceptions import TooManyRequests as TooManyOfTheHost

from flask_otp_auth import exceptions
from flask_otp_auth.exceptions import (
    AuthenticationFailed,
    ConfigurationError,
    IdentifierLocked,
    InvalidIdentifier,
    InvalidRequest,
    OtpAuthError,
    Refused,
    RequestError,
    SendFailed,
    ServiceUnavailable,
    SessionAlreadyVerified,
    SessionExpired,
    SessionNotFound,
    TooManyRequests,
    TooManyResends,
)
from flask_otp_auth.texts import LANGUAGES, Catalogue
from flask_otp_auth.texts.outcomes import duration, sentence
from flask_otp_auth.types import ConfirmResult, VerifyResult

LIMITED = "That was many codes in a short time. Try again in "
OUTCOMES: list[tuple[Any, str]] = [
    (VerifyResult("success"), "You are signed in."),
    (ConfirmResult("success"), "The code is right."),
    (ConfirmResult("locked", remaining_attempts=0), "one wrong code too many"),
    (VerifyResult("invalid_code", remaining_attempts=2), "You have 2 tries left."),
    (VerifyResult("invalid_code", remaining_attempts=1), "You have 1 try left."),
    (VerifyResult("locked", remaining_attempts=0), "one wrong code too many"),
    (VerifyResult("expired"), "The code has expired."),
    (VerifyResult("not_found", "Session not found or expired"), "The code has expired."),
    (VerifyResult("not_found", "User not found"), "There is no account for this address"),
    (SessionAlreadyVerified(), "This code has been used."),
    (SessionExpired(), "The code has expired."),
    (SessionNotFound(), "The code has expired."),
    (InvalidIdentifier("Invalid email address format"), "This is not an email address"),
    (InvalidIdentifier("Invalid phone number format"), "This is not a phone number"),
    (InvalidRequest(fields={"code": ["Missing data"]}), "Enter the code."),
    (InvalidRequest(fields={"identifier": ["Too long"]}), "Enter where we should send"),
    (InvalidRequest(fields={"sessionId": ["Not a string"]}), "The code has expired."),
    (InvalidRequest(), "Something went wrong."),
    (TooManyRequests(retry_after=1, scope="client"), f"{LIMITED}1 second."),
    (TooManyRequests(retry_after=30, scope="identifier"), f"{LIMITED}30 seconds."),
    (TooManyRequests(retry_after=90, scope="identifier"), f"{LIMITED}2 minutes."),
    (TooManyRequests(retry_after=86_399, scope="identifier"), f"{LIMITED}24 hours."),
    (TooManyOfTheHost(retry_after=30), f"{LIMITED}30 seconds."),
    (IdentifierLocked(retry_after=60), "To keep the account safe, try again in 60 seconds."),
    (IdentifierLocked(), "it is closed for now. Please contact support."),
    (TooManyResends(), "No more codes can be sent for now."),
    (SendFailed(), "The code could not be sent. Try again."),
    (ServiceUnavailable(retry_after=5), "Try again in 5 seconds."),
    (ServiceUnavailable(), "Try again in 5 seconds."),
    (AuthenticationFailed(), "Something went wrong."),
    (ConfigurationError("KEY", "is wrong"), "Something went wrong."),
    (Refused("Closed until Monday."), "Closed until Monday."),
]


@pytest.mark.parametrize(("outcome", "said"), OUTCOMES)
def test_every_outcome_has_a_sentence_that_helps(outcome: Any, said: str) -> None:
    assert said in sentence(Catalogue().texts("en"), outcome)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("outcome", [outcome for outcome, _ in OUTCOMES])
def test_no_sentence_has_an_unfilled_place(language: str, outcome: Any) -> None:
    said = sentence(Catalogue().texts(language), outcome)
    assert said
    assert "{" not in said


def test_no_error_of_a_request_is_forgotten() -> None:
    ours = {
        error
        for error in vars(exceptions).values()
        if isinstance(error, type) and issubclass(error, RequestError)
    }
    of_a_form = {type(outcome) for outcome, _ in OUTCOMES if isinstance(outcome, OtpAuthError)}
    of_http = {"CsrfMismatch", "InvalidRefreshToken", "PayloadTooLarge", "UnsupportedMediaType"}
    bases = {"RequestError", "InternalError", "MissingHandlerError"}
    assert {error.__name__ for error in ours - of_a_form} == of_http | bases


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (89, "89 seconds"),
        (90, "2 minutes"),
        (5399, "90 minutes"),
        (5400, "2 hours"),
    ],
)
def test_a_wait_is_rounded_as_on_the_login_page(seconds: int, words: str) -> None:
    assert duration(Catalogue().texts("en"), seconds) == words


def test_the_sentence_is_in_the_language_of_the_request_or_in_a_given_one(world: World) -> None:
    wrong = VerifyResult("invalid_code", remaining_attempts=2)
    with world.app.test_request_context(headers={"Accept-Language": "sv"}):
        assert world.otp.message(wrong) == "Koden är fel. Du har 2 försök kvar."
        assert world.otp.message(wrong, "de").startswith("Der Code")
    with world.app.app_context():
        assert world.otp.message(wrong) == "That code is wrong. You have 2 tries left."
