"""The errors: their tree, the answer each one gives, and what a host's own view answers."""

from __future__ import annotations

import uuid
import warnings

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException, default_exceptions

import flask_otp_auth
from flask_otp_auth import exceptions
from flask_otp_auth.exceptions import (
    ConfigurationError,
    HandlerSignatureError,
    InternalError,
    InvalidIdentifier,
    InvalidRequest,
    MissingHandlerError,
    OtpAuthError,
    RequestError,
    SecurityWarning,
    ServiceUnavailable,
)
from flask_otp_auth.findings import _warn as warn

ANSWERS = {
    "InvalidRequest": (400, "badRequest", "The request is not valid"),
    "InvalidIdentifier": (400, "invalidIdentifier", None),
    "SessionAlreadyVerified": (400, "alreadyVerified", "Session already verified"),
    "SessionExpired": (403, "expired", "Verification code has expired"),
    "SessionNotFound": (404, "notFound", "Session not found or expired"),
    "Refused": (403, "refused", "Closed until Monday."),
    "PayloadTooLarge": (413, "payloadTooLarge", None),
    "UnsupportedMediaType": (415, "unsupportedMediaType", None),
    "TooManyRequests": (429, "tooManyRequests", None),
    "IdentifierLocked": (429, "identifierLocked", None),
    "TooManyResends": (429, "tooManyResends", None),
    "InternalError": (500, "internalServerError", None),
    "SendFailed": (500, "internalServerError", "Failed to send verification code"),
    "AuthenticationFailed": (500, "internalServerError", "Failed to complete authentication"),
    "ServiceUnavailable": (503, "serviceUnavailable", None),
}


def raise_(error):
    raise error


def make(name):
    arguments = {
        "TooManyRequests": {"retry_after": 30, "scope": "client"},
        "Refused": {"text": "Closed until Monday."},
    }
    return getattr(exceptions, name)(**arguments.get(name, {}))


@pytest.mark.parametrize("name", ANSWERS)
def test_every_error_has_its_documented_answer(name):
    status, error_code, detail = ANSWERS[name]
    error = make(name)
    assert (error.code, error.error_code) == (status, error_code)
    assert error.detail
    assert detail is None or error.detail == detail
    assert str(error) == error.detail


@pytest.mark.parametrize("name", ANSWERS)
def test_a_handler_of_the_host_for_a_status_gets_what_its_views_raise(name):
    app = Flask("host")
    app.add_url_rule("/", "view", lambda: raise_(make(name)))
    error = make(name)
    app.register_error_handler(error.code, lambda caught: (type(caught).__name__, caught.code))

    assert isinstance(error, default_exceptions[error.code])
    answer = app.test_client().get("/")
    assert (answer.text, answer.status_code) == (name, error.code)


def test_only_the_documented_outcomes_are_data_over_http():
    statuses = {name: getattr(exceptions, name).data_status for name in ANSWERS}
    data = {name: status for name, status in statuses.items() if status is not None}
    assert data == {"SessionExpired": "expired", "SessionNotFound": "not_found"}


def errors():
    return [
        value
        for value in vars(exceptions).values()
        if isinstance(value, type) and issubclass(value, Exception) and value is not HTTPException
    ]


@pytest.mark.parametrize("error", errors())
def test_one_except_clause_catches_all_that_the_package_raises(error):
    assert issubclass(error, OtpAuthError) != issubclass(error, SecurityWarning)


@pytest.mark.parametrize("error", errors())
def test_the_tree_in_the_documentation_is_whole(error):
    assert error is SecurityWarning or error.__name__ in exceptions.__doc__


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (ConfigurationError, (OtpAuthError, ValueError)),
        (HandlerSignatureError, (ConfigurationError, TypeError)),
        (MissingHandlerError, (ConfigurationError, InternalError)),
        (RequestError, (OtpAuthError, HTTPException)),
        (InvalidIdentifier, (InvalidRequest,)),
        (SecurityWarning, (UserWarning,)),
    ],
)
def test_a_host_can_catch_by_the_classes_it_knows(error, bases):
    assert all(issubclass(error, base) for base in bases)


@pytest.mark.parametrize("name", ["ConfigurationError", "OtpAuthError", "RequestError"])
def test_the_errors_of_a_host_can_be_imported_from_the_package(name):
    assert getattr(flask_otp_auth, name) is getattr(exceptions, name)


def test_the_warning_can_be_imported_and_filtered_by_the_host():
    assert flask_otp_auth.SecurityWarning is SecurityWarning
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", flask_otp_auth.SecurityWarning)
        warn("weak")


def test_an_error_has_one_id_that_no_other_has():
    error = InvalidRequest()
    assert error.id == error.id
    assert str(uuid.UUID(error.id)) == error.id
    assert InvalidRequest().id != error.id
    assert ConfigurationError("KEY", "is wrong").id


@pytest.mark.parametrize(
    ("given", "seconds"), [(None, None), (0, 1), (0.2, 1), (5, 5), (5.001, 6), (-3, 1)]
)
def test_a_client_is_told_to_wait_whole_seconds_and_never_zero(given, seconds):
    error = ServiceUnavailable(retry_after=given)
    assert error.retry_after == seconds
    headers = dict(error.get_headers())
    assert headers.get("Retry-After") == (None if seconds is None else str(seconds))


def test_an_error_takes_a_text_and_fields_of_its_own():
    error = InvalidRequest("Too bad", fields={"code": ["Must be a string."]})
    assert (error.detail, str(error)) == ("Too bad", "Too bad")
    assert error.fields == {"code": ["Must be a string."]}
    assert InvalidRequest().fields is None
    assert InvalidRequest().detail == "The request is not valid"


def test_a_configuration_error_names_its_key():
    error = ConfigurationError("OTP_AUTH_CODE_LENGTH", "is 3; allowed is an integer from 4 to 8")
    assert error.key == "OTP_AUTH_CODE_LENGTH"
    assert str(error) == "OTP_AUTH_CODE_LENGTH is 3; allowed is an integer from 4 to 8"


def answer_of(error):
    app = Flask("host")

    @app.get("/")
    def view():
        raise error

    return app.test_client().get("/")


@pytest.mark.parametrize("name", ANSWERS)
def test_in_a_view_of_the_host_an_error_answers_with_its_status_and_wait(name):
    error = make(name)
    error.retry_after = 30
    answer = answer_of(error)
    assert answer.status_code == ANSWERS[name][0]
    assert error.detail in answer.text
    assert answer.headers.getlist("Retry-After") == ["30"]


def test_a_missing_handler_names_itself_to_the_host_and_not_to_the_client():
    error = MissingHandlerError("send_code_handler")
    assert error.key == "send_code_handler"
    assert "send_code_handler" in str(error)
    assert (error.code, error.error_code) == (500, "internalServerError")
    answer = answer_of(error)
    assert answer.status_code == 500
    assert "handler" not in answer.text
    assert "handler" not in error.detail
