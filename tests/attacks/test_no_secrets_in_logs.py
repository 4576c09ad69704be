"""Who reads the log signs in as nobody: no code, token, session id or identifier in it.

Every step of a sign-in is run at DEBUG with handlers and receivers that fail with all they know in
the texts of their errors.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import time_machine
from flask import request
from support.world import MakeWorld, World

from flask_otp_auth import ConfigurationError, signals
from flask_otp_auth.exceptions import OtpAuthError

IDENTIFIERS = [("+46701234567", "sms"), ("5551234567", "sms"), ("user@example.com", "email")]
SIGNALS = [
    *("session_initiated", "code_sent", "send_failed", "code_verified", "code_rejected"),
    *("session_locked", "sign_in_failed", "rate_limited"),
    *("identifier_locked", "identifier_unlocked"),
]
JSON_TYPE = "application/json"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


class Secrets:
    """What must not be found, and a search for it."""

    def __init__(self) -> None:
        self.values: set[str] = set()

    def add(self, *values: str) -> None:
        self.values.update(values)

    def found_in(self, text: str) -> list[str]:
        bare = re.sub(r"[ \-()]", "", text)
        return [value for value in self.values if value in text or value in bare]


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def written(log: pytest.LogCaptureFixture) -> str:
    """Return all that any handler could write of our records."""
    formatter = logging.Formatter("%(message)s")
    records = [record for record in log.records if record.name.startswith("flask_otp_auth")]
    texts = [formatter.format(record) for record in records]
    texts += [repr(known) for record in records if (known := said_by(record))]
    return "\n".join(texts)


def said_by(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record holds, but for its numbers, any of which may look like a code."""
    return {
        name: value for name, value in vars(record).items() if not isinstance(value, int | float)
    }


def chained(*texts: str) -> Exception:
    """Return an error that has *texts* in all the places where an error can have them."""
    try:
        try:
            raise KeyError(texts[0])
        except KeyError as error:
            raise LookupError(f"lookup of {texts}") from error
    except LookupError as error:
        failed = RuntimeError(" and ".join(texts), texts)
        failed.__context__ = error
        failed.add_note(f"noted: {texts}")
        return failed


def spelled(code: str) -> list[str]:
    """Return ways in which a code is written to people."""
    return [code, f"{code[:3]} {code[3:]}", f"{code[:3]}-{code[3:]}", f"code={code}.", f"<{code}>"]


@dataclass
class Host:
    """Handlers of which the one named by *failing* fails with all that it knows."""

    world: World
    secrets: Secrets
    failing: str = "nothing"
    codes: list[str] = field(default_factory=list)
    typed: str = "no code"
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.otp.send_code_handler(self.send_code)
        self.world.otp.get_user_handler(self.get_user)
        self.world.otp.verify_success_handler(self.on_success)

    def _maybe(self, name: str, *texts: str) -> None:
        if name == self.failing:
            raise chained(*texts)

    def send_code(self, code: str, identifier: str, method: str, payload: Any) -> bool:
        self.secrets.add(code, identifier)
        self.codes.append(code)
        self._maybe("send_code", *spelled(code), identifier, identifier.upper(), repr(payload))
        return self.failing != "send_code returns False"

    def get_user(self, identifier: str, method: str, payload: Any) -> Any:
        self._maybe("get_user", identifier, f"user {identifier}", *spelled(self.typed))
        return None if self.failing == "no user" else {"id": identifier}

    def on_success(self, user: Any, identifier: str, method: str, payload: Any) -> Any:
        self._maybe("verify_success", TOKEN, f"Bearer {TOKEN}", identifier, repr(user))
        if self.failing == "no JSON":
            return {"user": {"id": identifier, "token": object()}, "token": TOKEN}
        return {"user": user, "token": TOKEN}


@pytest.fixture
def failing_receivers() -> Iterator[Callable[[World], None]]:
    connected = []

    def connect(world: World) -> None:
        def receiver(sender: Any, **known: Any) -> None:
            texts = [str(value) for value in known.values()]
            raise chained(*texts, *(f"{name}={value}" for name, value in known.items()))

        for name in SIGNALS:
            signal = getattr(signals, name)
            signal.connect(receiver, world.app)
            connected.append((signal, receiver))

    yield connect
    for signal, receiver in connected:
        signal.disconnect(receiver)


FAILING = [
    *("nothing", "send_code", "send_code returns False", "get_user", "no user"),
    *("verify_success", "no JSON"),
]


def failures_told(answer: Any) -> list[str]:
    """Return the id of the error, if the answer is one of the server's."""
    return [answer.json["error"]["id"]] if answer.status_code == 500 else []


def sign_in(host: Host, clock: time_machine.Traveller, identifier: str, method: str) -> None:
    """Start, resend, guess wrong and right, over HTTP, and run into the limits."""
    world, web = host.world, host.world.client
    ask = {"identifier": identifier, "method": method, "payload": {"from": identifier}}
    sent = len(host.codes)
    host.typed = "no code"
    host.failed += failures_told(web.post("/otp/initiate", json=ask))
    web.post("/otp/initiate", json=ask)
    session = world.sessions.find_one(sort=[("createdAt", -1)])
    assert session is not None
    host.secrets.add(session["_id"])
    clock.shift(31)
    web.post("/otp/resend", json={"sessionId": session["_id"]})
    world.verify(session["_id"], "0000")
    for code in host.codes[sent:]:
        host.typed = code
        host.failed += failures_told(world.verify(session["_id"], code))
        world.verify(f"{session['_id']} ", code)
    clock.shift(31)


def run_into_lock(host: Host, clock: time_machine.Traveller, identifier: str, method: str) -> None:
    web = host.world.client
    ask = {"identifier": identifier, "method": method}
    for _ in range(2):
        clock.shift(901)
        started = web.post("/otp/initiate", json=ask).json["data"]["sessionId"]
        host.secrets.add(started)
        for _ in range(4):
            host.world.verify(started, "0000")
    assert web.post("/otp/initiate", json=ask).json["error"]["code"] == "identifierLocked"
    web.post("/otp/initiate", json={**ask, "identifier": f"{identifier} or {identifier}"})
    web.post("/otp/initiate", data=f'{{"identifier": "{identifier}', content_type=JSON_TYPE)
    with host.world.app.app_context():
        host.world.otp.unlock(identifier, method)  # type: ignore[arg-type]


@pytest.mark.parametrize("silent", [False, True], ids=["in the request", "in the background"])
@pytest.mark.parametrize(("identifier", "method"), IDENTIFIERS)
def test_a_log_gives_away_no_secret_of_a_sign_in(
    identifier: str,
    method: str,
    silent: bool,
    make_world: MakeWorld,
    clock: time_machine.Traveller,
    log: pytest.LogCaptureFixture,
    secrets: Secrets,
    failing_receivers: Callable[[World], None],
) -> None:
    world = make_world(
        guarded=True, CLIENT_LIMITS=None, SEND_IN_BACKGROUND=silent, SEND_TO_UNKNOWN=not silent
    )
    host = Host(world, secrets)
    failing_receivers(world)
    secrets.add(identifier, TOKEN)
    background = world.app.extensions["otp_auth"].background

    for failing in FAILING:
        host.failing = failing
        sign_in(host, clock, identifier, method)
        if silent:
            background.drain()
        clock.shift(901)
    host.failing = "nothing"
    run_into_lock(host, clock, identifier, method)
    if silent:
        background.drain()

    text = written(log)
    for expected in (
        *(f"a receiver of {name} failed" for name in SIGNALS),
        *("code not sent", "code sent", "sign-in failed", "the user has no JSON form"),
        *("identifier locked", "identifier unlocked"),
        "no user, no code sent" if silent else "correct code, but no user",
    ):
        assert expected in text
    assert host.failed
    assert all(error_id in text for error_id in host.failed)
    assert len(secrets.values) > 20
    assert secrets.found_in(text) == []


def assert_silent(value: object, secrets: Secrets) -> None:
    texts = [str(value), repr(value), f"{value}"]
    if isinstance(value, BaseException):
        texts += [repr(value.args), *traceback.format_exception(value)]
        texts += [repr(getattr(value, name, "")) for name in ("description", "detail", "fields")]
        assert_silent(value.__cause__, secrets)
        assert_silent(value.__context__, secrets)
    assert secrets.found_in("\n".join(texts)) == []


@pytest.mark.parametrize("failing", FAILING)
def test_the_python_api_gives_away_no_secret_in_texts_of_its_errors_and_results(
    failing: str, make_world: MakeWorld, clock: time_machine.Traveller, secrets: Secrets
) -> None:
    world = make_world(guarded=True)
    identifier, method = "+46701234567", "sms"
    host = Host(world, secrets, failing)
    secrets.add(identifier, TOKEN)
    otp, seen = world.otp, []

    def call(function: Callable[..., Any], *args: Any) -> None:
        try:
            seen.append(function(*args))
        except OtpAuthError as error:
            seen.append(error)

    with world.app.app_context():
        call(otp.initiate, identifier, method, {"from": identifier})
        call(otp.initiate, identifier, method)
        session_id = world.sessions.find_one()["_id"]
        secrets.add(session_id)
        call(otp.get_session, session_id)
        clock.shift(31)
        call(otp.resend, session_id)
        call(otp.verify, session_id, "0000")
        for code in host.codes:
            host.typed = code
            call(otp.verify, session_id, code)
        call(otp.verify, session_id, 123456)
        call(otp.verify, session_id, host.codes[-1] * 20)
        call(otp.get_session, session_id)
        call(otp.initiate, f"{identifier} {identifier}", method)
        call(otp.initiate, identifier, identifier)
        call(otp.unlock, identifier, method)

    state = world.app.extensions["otp_auth"]
    seen += [state, state.settings, state.accounts, state.sessions, state.handlers, otp]
    assert len({type(one) for one in seen}) >= 8
    for one in seen:
        assert_silent(one, secrets)


@pytest.mark.parametrize(
    "options",
    [
        {"TEST_IDENTIFIERS": {"+46701234567": {"code": "1234567", "until": "2027-01-01"}}},
        {"TEST_IDENTIFIERS": {"+46701234567": {"code": "765432", "until": "soon"}}},
        {"TEST_IDENTIFIERS": {"+46701234567": ["765432"]}},
        {"TEST_IDENTIFIERS": {"+46701234567 or so": {"code": "765432", "until": "2027-01-01"}}},
        {"SECRET_KEY": "hunter2"},
        {"SECRET_KEY": ["hunter2hunter2hunter2hunter2hunter2hunter2", "hunter2"]},
    ],
)
def test_a_refused_option_does_not_print_its_secret(
    options: dict[str, Any], make_world: MakeWorld, secrets: Secrets
) -> None:
    secrets.add("+46701234567", "1234567", "765432", "hunter2")

    with pytest.raises(ConfigurationError) as refused:
        make_world(**options)

    assert_silent(refused.value, secrets)


def test_a_refused_body_is_logged_by_its_error_id_alone(
    world: World, log: pytest.LogCaptureFixture, secrets: Secrets
) -> None:
    phone, address, code, id_ = "+46701234567", "user@example.com", "918273", "0f" * 16
    secrets.add(phone, address, code, id_)
    for body in (
        {"identifier": phone, "method": code},
        {"identifier": f"{phone}x", "method": "sms"},
        {"identifier": address, "method": "email", "payload": {"$": code}},
        {"sessionId": id_, "code": code, phone: address},
    ):
        answer = world.client.post("/otp/initiate", json=body)
        assert answer.json["error"]["id"] in written(log)
    assert secrets.found_in(written(log)) == []


def test_a_hook_of_the_host_that_fails_with_the_body_in_its_text_gives_away_no_code(
    world: World, log: pytest.LogCaptureFixture, secrets: Secrets
) -> None:
    @world.app.before_request
    def broken() -> None:
        if request.path == "/otp/verify":
            raise ValueError(f"cannot handle {request.get_data(as_text=True)}")

    session_id, code = world.initiate(), world.code
    secrets.add(code, session_id)

    assert world.verify(session_id, code).status_code == 500
    text = written(log)
    assert "cannot handle" in text
    assert secrets.found_in(text) == []
