"""The host's functions: what is accepted, how they are called, and what their failures lead to."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys

import pytest
from flask import abort, current_app

from flask_otp_auth import ConfigurationError, FlaskOtpAuth, OtpAuthError
from flask_otp_auth.exceptions import (
    AuthenticationFailed,
    HandlerSignatureError,
    MissingHandlerError,
    Refused,
    SendFailed,
    SessionAlreadyVerified,
)

PHONE = "+46701234567"
PAYLOAD = {"returnUrl": "/dashboard"}
DECORATORS = {
    "send_code_handler": "code, identifier, method, payload",
    "get_user_handler": "identifier, method, payload",
    "verify_success_handler": "user, identifier, method, payload",
}


def taking(count, *, asynchronous=False):
    """Return a function of so many positional arguments."""
    names = ", ".join(f"a{number}" for number in range(count))
    scope = {}
    exec(f"{'async ' if asynchronous else ''}def function({names}): return True", scope)
    return scope["function"]


def arguments_of(decorator):
    return len(DECORATORS[decorator].split(", "))


class Callable:
    def __call__(self, *args):
        return True

    def method(self, *args):
        return True


class AsyncCallable:
    async def __call__(self, *args):
        return True


FORMS = {
    "function": taking,
    "async": lambda count: taking(count, asynchronous=True),
    "any arguments": lambda count: lambda *args, **kwargs: True,
    "more with a default": lambda count: lambda *args, extra=None: True,
    "callable object": lambda count: Callable(),
    "async callable object": lambda count: AsyncCallable(),
    "method": lambda count: Callable().method,
    "partial": lambda count: functools.partial(taking(count + 1), "bound"),
    "async partial": lambda count: functools.partial(taking(count + 1, asynchronous=True), "bound"),
    "class": lambda count: type("Handler", (), {"__init__": lambda self, *args: None}),
    "builtin without signature": lambda count: max,
}


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("form", FORMS)
def test_a_decorated_function_stays_the_function_it_was(decorator, form):
    function = FORMS[form](arguments_of(decorator))
    assert getattr(FlaskOtpAuth(), decorator)(function) is function


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize(
    "wrong",
    [
        lambda count: taking(count - 1),
        lambda count: taking(count + 1),
        lambda count: taking(0),
        lambda count: taking(count + 1, asynchronous=True),
        lambda count: lambda **kwargs: True,
        lambda count: lambda *args, needed: True,
        lambda count: functools.partial(taking(count), "bound"),
        lambda count: "send_code",
        lambda count: None,
        lambda count: True,
    ],
)
def test_a_function_that_cannot_be_called_so_is_refused_at_once(decorator, wrong):
    with pytest.raises(HandlerSignatureError) as caught:
        getattr(FlaskOtpAuth(), decorator)(wrong(arguments_of(decorator)))
    assert caught.value.key == decorator
    assert decorator in str(caught.value)
    assert DECORATORS[decorator] in str(caught.value)
    assert isinstance(caught.value, ConfigurationError)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("decorator", "parameters"),
    [
        ("send_code_handler", "identifier, code, method, payload"),
        ("send_code_handler", "code, identifier, payload, method"),
        ("send_code_handler", "code, identifier, method, data=None, payload=None"),
        ("get_user_handler", "method, identifier, payload"),
        ("verify_success_handler", "identifier, user, method, payload"),
        ("verify_success_handler", "identifier, *others"),
    ],
)
def test_parameters_with_our_names_in_another_order_are_refused_at_once(decorator, parameters):
    """The sender would send the code to the code."""
    scope = {}
    exec(f"def handle({parameters}): return True", scope)
    with pytest.raises(HandlerSignatureError, match="handle has these names in another order"):
        getattr(FlaskOtpAuth(), decorator)(scope["handle"])


@pytest.mark.parametrize("parameters", ["to, what, how, data", "_code, identifier, method, data"])
def test_parameters_with_other_names_are_accepted(parameters):
    scope = {}
    exec(f"def handle({parameters}): return True", scope)
    FlaskOtpAuth().send_code_handler(scope["handle"])


@pytest.mark.parametrize("decorator", DECORATORS)
def test_brackets_behind_a_decorator_are_refused_with_what_to_write(decorator):
    with pytest.raises(HandlerSignatureError, match=f"write @otp.{decorator} above it, without"):
        getattr(FlaskOtpAuth(), decorator)()


@pytest.mark.parametrize("decorator", DECORATORS)
def test_the_refusal_names_the_function(decorator):
    with pytest.raises(HandlerSignatureError, match="taking_nothing"):
        getattr(FlaskOtpAuth(), decorator)(taking_nothing)


def taking_nothing():
    return True


@pytest.mark.parametrize("form", ["async", "async callable object", "async partial"])
@pytest.mark.parametrize("decorator", DECORATORS)
def test_async_without_its_extra_is_refused_at_once_and_says_what_to_install(
    monkeypatch, decorator, form
):
    monkeypatch.setitem(sys.modules, "asgiref", None)
    with pytest.raises(HandlerSignatureError, match=r"flask\[async\]"):
        getattr(FlaskOtpAuth(), decorator)(FORMS[form](arguments_of(decorator)))


def test_plain_functions_need_no_async_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "asgiref", None)
    assert FlaskOtpAuth().get_user_handler(taking(3))


def in_style(style, function):
    """Return the function as a host of that style would write it."""
    if style == "plain":
        return function

    async def later(*args):
        return function(*args)

    # Not an async function, but what it returns has to be awaited.
    return later if style == "async" else lambda *args: later(*args)


def register(world, style, **answers):
    """Register handlers that write down their arguments; return the list of them."""
    calls = []
    answers = {
        "send_code_handler": lambda *args: True,
        "get_user_handler": lambda *args: {"id": "7"},
        **answers,
    }
    for decorator, answer in answers.items():

        def handler(*args, decorator=decorator, answer=answer):
            calls.append((decorator, *args))
            return answer(*args)

        getattr(world.otp, decorator)(in_style(style, handler))
    return calls


def sign_in(world, calls):
    """Sign in with the code that the sender was called with."""
    session_id = world.otp.initiate(PHONE, "sms").session_id
    return world.otp.verify(session_id, calls[0][1])


STYLES = pytest.mark.parametrize("style", ["plain", "async", "returns a coroutine"])


@STYLES
def test_handlers_get_the_normalised_identifier_the_method_and_the_payload(make_world, style):
    world = make_world(handlers=False)
    calls = register(
        world, style, verify_success_handler=lambda *args: {"user": args[0], "token": "a token"}
    )
    with world.app.app_context():
        session_id = world.otp.initiate("+46 (0)70-123 45 67", "sms", PAYLOAD).session_id
        code = calls[0][1]
        result = world.otp.verify(session_id, f"{code[:3]}-{code[3:]}")
    assert calls == [
        ("send_code_handler", code, PHONE, "sms", PAYLOAD),
        ("get_user_handler", PHONE, "sms", PAYLOAD),
        ("verify_success_handler", {"id": "7"}, PHONE, "sms", PAYLOAD),
    ]
    assert (result.status, result.token, result.user) == ("success", "a token", {"id": "7"})


@STYLES
def test_handlers_can_use_the_current_app(make_world, style):
    world = make_world(handlers=False)
    calls = register(world, style, get_user_handler=lambda *args: {"id": current_app.name})
    with world.app.app_context():
        result = sign_in(world, calls)
    assert result.user == {"id": "world"}


def failing(error):
    def fail(*args):
        raise error

    return fail


class Odd(Exception):
    def __str__(self):
        raise RuntimeError("an error that cannot even be printed")


SENDER_FAILS = {
    "False": lambda *args: False,
    "None": lambda *args: None,
    "0": lambda *args: 0,
    "empty": lambda *args: "",
    "raises": failing(RuntimeError("no credit")),
    "raises KeyError": failing(KeyError("to")),
    "aborts": lambda *args: abort(404),
    "raises ours": failing(SessionAlreadyVerified()),
    "raises a group": failing(ExceptionGroup("several", [ValueError("a"), OSError("b")])),
    "raises an odd error": failing(Odd()),
    "is cancelled": failing(asyncio.CancelledError()),
}


@STYLES
@pytest.mark.parametrize("failure", SENDER_FAILS)
def test_a_code_that_did_not_leave_is_never_a_success(make_world, caplog, style, failure):
    world = make_world(handlers=False)
    calls = register(world, style, send_code_handler=SENDER_FAILS[failure])
    with world.app.app_context():
        with pytest.raises(SendFailed) as caught:
            world.otp.initiate(PHONE, "sms")
        document = world.sessions.find_one()
        assert document["status"] == "expired"
        assert "digests" not in document
        result = world.otp.verify(document["_id"], calls[0][1])
    assert result.status == "expired"
    assert caught.value.detail == "Failed to send verification code"
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert caught.value.id in errors[0].getMessage()


FAILURES = {}
FAILURES["get_user_handler"] = {
    "raises": failing(RuntimeError("no users today")),
    "is cancelled": failing(asyncio.CancelledError()),
    "aborts": lambda *args: abort(403),
    "raises ours": failing(SessionAlreadyVerified()),
    "text": lambda *args: "7",
    "empty text": lambda *args: "",
    "number": lambda *args: 7,
    "zero": lambda *args: 0,
    "True": lambda *args: True,
    "list": lambda *args: [],
    "empty mapping": lambda *args: {},
    "id None": lambda *args: {"id": None},
    "id empty": lambda *args: {"id": "", "_id": None},
    "other keys": lambda *args: {"name": "User"},
    "object": lambda *args: object(),
}

FAILURES["verify_success_handler"] = {
    "raises": failing(RuntimeError("no tokens today")),
    "is cancelled": failing(asyncio.CancelledError()),
    "aborts": lambda *args: abort(403),
    "None": lambda *args: None,
    "True": lambda *args: True,
    "text": lambda *args: "a token",
    "list": lambda *args: ["a token"],
    "pair": lambda *args: ({"id": "7"}, "a token"),
    "empty": lambda *args: {},
    "token empty": lambda *args: {"user": {"id": "7"}, "token": ""},
    "token bytes": lambda *args: {"user": {"id": "7"}, "token": b"a token"},
    "token number": lambda *args: {"user": {"id": "7"}, "token": 1},
}


@STYLES
@pytest.mark.parametrize(
    ("decorator", "failure"),
    [(decorator, failure) for decorator, answers in FAILURES.items() for failure in answers],
)
def test_a_failing_handler_signs_nobody_in_and_the_code_is_used_up(
    make_world, caplog, style, decorator, failure
):
    world = make_world(handlers=False)
    calls = register(world, style, **{decorator: FAILURES[decorator][failure]})
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        code = calls[0][1]
        with pytest.raises(AuthenticationFailed) as caught:
            world.otp.verify(session_id, code)
        called = len(calls)
        with pytest.raises(SessionAlreadyVerified):
            world.otp.verify(session_id, code)
    assert len(calls) == called
    assert world.sessions.find_one()["status"] == "verified"
    assert caught.value.detail == "Failed to complete authentication"
    (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert caught.value.id in error.getMessage()
    assert code not in error.getMessage()
    assert PHONE not in error.getMessage()


@STYLES
def test_no_user_is_an_answer_and_not_a_failure(make_world, style):
    world = make_world(handlers=False)
    calls = register(
        world,
        style,
        get_user_handler=lambda *args: None,
        verify_success_handler=lambda *args: {"token": "a token"},
    )
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        code = calls[0][1]
        result = world.otp.verify(session_id, code)
        assert (result.status, result.message) == ("not_found", "User not found")
        assert result.token is None
        with pytest.raises(SessionAlreadyVerified):
            world.otp.verify(session_id, code)
    assert [name for name, *_ in calls] == ["send_code_handler", "get_user_handler"]


@STYLES
def test_a_refused_user_reads_why_and_the_code_is_used_up(make_world, caplog, style):
    world = make_world(handlers=False)
    calls = register(
        world, style, get_user_handler=failing(Refused("Your account is closed until Monday."))
    )
    session_id = world.initiate()
    code = calls[0][1]
    answer = world.verify(session_id, code)
    assert answer.status_code == answer.json["status"] == 403
    assert answer.json["error"] | {"id": ""} == {
        "id": "",
        "title": "Forbidden",
        "detail": "Your account is closed until Monday.",
        "code": "refused",
    }
    assert answer.json["error"]["id"] not in ("", None)
    assert not [record for record in caplog.records if record.levelno == logging.ERROR]
    assert world.verify(session_id, code).json["error"]["code"] == "alreadyVerified"


def test_python_gets_a_refusal_as_its_typed_error(make_world):
    world = make_world(handlers=False)
    calls = register(world, "plain", get_user_handler=failing(Refused("Ask your manager.")))
    with world.app.app_context(), pytest.raises(Refused, match="Ask your manager"):
        sign_in(world, calls)


@pytest.mark.parametrize("background", [False, True])
@STYLES
def test_nobody_learns_from_outside_who_is_refused(make_world, style, background):
    world = make_world(handlers=False, SEND_TO_UNKNOWN=False, SEND_IN_BACKGROUND=background)
    calls = register(world, style, get_user_handler=failing(Refused("Your account is closed.")))
    answer = world.client.post("/otp/initiate", json={"identifier": PHONE, "method": "sms"})
    if background:
        world.app.extensions["otp_auth"].background.drain()
    assert answer.status_code == 200
    assert set(answer.json["data"]) == {"sessionId", "expiresAt", "ttl"}
    assert [name for name, *_ in calls] == ["get_user_handler"]


@pytest.mark.parametrize("background", [False, True])
@STYLES
def test_a_handler_that_signs_people_up_can_tell_that_nobody_has_typed_a_code(
    make_world, style, background
):
    """Otherwise anybody could make an account for the address of somebody else."""
    world = make_world(handlers=False, SEND_TO_UNKNOWN=False, SEND_IN_BACKGROUND=background)
    asked = []

    def get_or_add_user(*args):
        asked.append(world.otp.is_asking_before_send)
        return {"id": "7"}

    calls = register(world, style, get_user_handler=get_or_add_user)
    session_id = world.initiate()
    if background:
        world.app.extensions["otp_auth"].background.drain()
    (code,) = [call[1] for call in calls if call[0] == "send_code_handler"]
    assert world.verify(session_id, code).status_code == 200
    assert asked == [True, False]
    assert world.otp.is_asking_before_send is False


def test_the_answer_of_verify_success_may_have_more_and_any_user(make_world):
    world = make_world(handlers=False)
    calls = register(
        world, "plain", verify_success_handler=lambda *args: {"token": "a token", "note": 1}
    )
    with world.app.app_context():
        result = sign_in(world, calls)
    assert (result.token, result.user) == ("a token", None)


def test_no_handler_runs_before_the_right_code(world):
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        for _ in range(4):
            world.otp.verify(session_id, world.wrong_code)
    assert world.lookups == []


def test_the_session_is_used_up_before_the_user_is_looked_up(make_world):
    world = make_world(handlers=False)
    seen = []

    def get_user(*args):
        seen.append(world.sessions.find_one())
        return {"id": "7"}

    calls = register(world, "plain", get_user_handler=get_user)
    with world.app.app_context():
        sign_in(world, calls)
    assert [(document["status"], "digests" in document) for document in seen] == [
        ("verified", False)
    ]


def test_a_handler_that_is_registered_again_replaces_the_first(world):
    sent = []
    world.otp.send_code_handler(lambda code, *rest: sent.append(code) or True)
    with world.app.app_context():
        world.otp.initiate(PHONE, "sms")
    assert len(sent) == 1
    assert world.outbox == []


REQUESTS = {
    "initiate": lambda otp: otp.initiate(PHONE, "sms"),
    "verify": lambda otp: otp.verify("0" * 32, "123456"),
}


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize(
    ("registered", "missing"),
    [
        ([], "send_code_handler"),
        (["get_user_handler"], "send_code_handler"),
        (["send_code_handler"], "get_user_handler"),
        (["send_code_handler", "verify_success_handler"], "get_user_handler"),
    ],
)
def test_a_missing_handler_is_a_clear_error_and_never_a_silent_success(
    make_world, caplog, request_, registered, missing
):
    world = make_world(handlers=False)
    for decorator in registered:
        getattr(world.otp, decorator)(taking(arguments_of(decorator)))
    with world.app.app_context(), pytest.raises(MissingHandlerError) as caught:
        REQUESTS[request_](world.otp)
    assert isinstance(caught.value, ConfigurationError)
    assert isinstance(caught.value, OtpAuthError)
    assert caught.value.key == missing
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert missing in record.getMessage()
    assert caught.value.id in record.getMessage()
    assert world.sessions.count_documents({}) == 0


def test_a_missing_handler_tells_the_client_nothing(make_world, caplog):
    world = make_world(handlers=False)
    answer = world.client.post("/otp/initiate", json={"identifier": PHONE, "method": "sms"})
    assert answer.status_code == 500
    error = answer.json["error"]
    assert (error["code"], error["detail"]) == ("internalServerError", "Internal server error")
    assert error["id"] in caplog.text
    assert "handler" not in answer.text
