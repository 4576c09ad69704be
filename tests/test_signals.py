"""Signals: when each is sent, what it carries and what not, and receivers that fail."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

import limits
import pytest
import time_machine
from blinker import NamedSignal
from flask import Flask
from support.world import MakeWorld, World

from flask_otp_auth import events, signals

NUMBER, MASKED = "+46701234567", "+467*****67"
ASK = {"identifier": NUMBER, "method": "sms"}
NAMES = [
    *("session_initiated", "code_sent", "send_failed", "code_verified", "code_rejected"),
    *("session_locked", "identifier_locked", "identifier_unlocked", "rate_limited"),
    "sign_in_failed",
    "trusted_device_used",
]
CARRIED = {"method", "identifier", "session_id", "reason"}


class Heard:
    """All signals of one app, in order."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.sent: list[tuple[str, dict[str, Any]]] = []

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for name in NAMES:
                stack.enter_context(
                    getattr(signals, name).connected_to(self._receiver(name), self.app)
                )
            yield

    def _receiver(self, name: str) -> Any:
        def receive(sender: Any, **carried: Any) -> None:
            assert sender is self.app
            self.sent.append((name, carried))

        return receive

    def take(self) -> list[tuple[str, str | None]]:
        """Return names and reasons since the last time."""
        taken = [(name, carried["reason"]) for name, carried in self.sent]
        self.sent.clear()
        return taken


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True, CLIENT_LIMITS=None, IDENTIFIER_LIMITS=None)


@pytest.fixture
def heard(world: World) -> Iterator[Heard]:
    heard = Heard(world.app)
    with heard.listening():
        yield heard


def test_the_signals_are_those_of_the_contract() -> None:
    public = {name for name, value in vars(signals).items() if isinstance(value, NamedSignal)}

    assert public == set(NAMES)


def test_a_sign_in_is_told_step_by_step(world: World, heard: Heard) -> None:
    session_id = world.initiate()
    assert heard.take() == [("session_initiated", None), ("code_sent", None)]

    world.client.post("/otp/resend", json={"sessionId": session_id})
    assert heard.take() == [("code_sent", None)]

    world.verify(session_id, world.wrong_code)
    assert heard.take() == [("code_rejected", "rejected")]

    world.verify(session_id, world.code)
    assert heard.take() == [("code_verified", None)]

    world.verify(session_id, world.code)
    assert heard.take() == [("code_rejected", "used")]


def test_each_signal_carries_who_masked_and_which_session_and_never_a_code(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    session_id = world.initiate()
    for _ in range(4):
        world.verify(session_id, "424242" if world.code != "424242" else "242424")
    second = world.initiate()
    for _ in range(3):
        world.verify(second, world.wrong_code)
    world.client.post("/otp/initiate", json=ASK)
    with world.app.app_context():
        world.otp.unlock(NUMBER, "sms")
    third = world.initiate()
    world.verify(third, world.code)

    names = [name for name, _ in heard.sent]
    told = set(NAMES) - {"send_failed", "sign_in_failed", "trusted_device_used"}
    assert set(names) == told
    for name, carried in heard.sent:
        assert set(carried) - {"bound", "seconds"} == CARRIED
        assert carried["method"] == "sms"
        assert carried["identifier"] == MASKED
        if name in ("rate_limited", "identifier_unlocked"):
            assert carried["session_id"] is None
        else:
            assert carried["session_id"] in (session_id, second, third)
    text = re.sub(r"\b[0-9a-f]{32}\b", "", repr(heard.sent))
    for sent in world.outbox:
        assert sent.code not in text
    assert "424242" not in text


def test_a_session_that_locks_is_told_once(world: World, heard: Heard) -> None:
    session_id = world.initiate()
    heard.take()
    for _ in range(3):
        world.verify(session_id, world.wrong_code)
    assert heard.take() == [
        ("code_rejected", "rejected"),
        ("code_rejected", "rejected"),
        ("code_rejected", "exhausted"),
        ("session_locked", None),
    ]

    world.verify(session_id, world.code)
    assert heard.take() == [("code_rejected", "locked")]


def test_an_expired_session_is_told(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    session_id = world.initiate()
    heard.take()
    clock.shift(300)
    world.verify(session_id, world.code)

    assert heard.take() == [("code_rejected", "expired")]


def test_a_session_that_never_was_is_told_to_nobody(world: World, heard: Heard) -> None:
    world.verify("0" * 32, "123456")
    world.client.post("/otp/resend", json={"sessionId": "0" * 32})

    assert heard.take() == []


def test_an_identifier_that_locks_is_told_when_each_wait_begins(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    locked = []
    for failure in range(1, 16):
        session_id = world.initiate()
        heard.take()
        world.verify(session_id, world.wrong_code)
        if ("identifier_locked", "waiting") in heard.take():
            locked.append(failure)
        clock.shift(901)

    assert locked == [6, 9, 12, 15]


def test_an_identifier_that_locks_is_told_once_though_more_failures_come_at_that_moment(
    world: World, heard: Heard
) -> None:
    sessions = [(world.initiate(), world.wrong_code) for _ in range(3)]
    for session_id, wrong_code in sessions[:2]:
        for _ in range(3):
            world.verify(session_id, wrong_code)
    assert heard.take().count(("identifier_locked", "waiting")) == 1

    world.verify(*sessions[2])

    assert heard.take() == [("code_rejected", "rejected")]


def test_an_identifier_that_is_disabled_is_told(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(LOCKOUT_THRESHOLD=3, DISABLE_AFTER=5)
    heard = Heard(world.app)
    with heard.listening():
        sessions = [(world.initiate(), world.wrong_code) for _ in range(2)]
        for session_id, wrong_code in sessions:
            clock.shift(1)
            for _ in range(3):
                world.verify(session_id, wrong_code)
        told = [carried for name, carried in heard.sent if name == "identifier_locked"]

    assert [(carried["reason"], carried["bound"]) for carried in told] == [
        ("waiting", "3 wrong codes in a row"),
        ("disabled", "5 wrong codes in a row"),
    ]


def test_a_refused_send_is_told_with_what_refused_it(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS="3 per hour")
    heard = Heard(world.app)
    with heard.listening():
        session_id = world.initiate()
        world.client.post("/otp/initiate", json=ASK)
        world.client.post("/otp/resend", json={"sessionId": session_id})
        world.client.post("/otp/initiate", json=ASK)
        refused = [carried for name, carried in heard.sent if name == "rate_limited"]

    assert [carried["reason"] for carried in refused] == ["identifier", "identifier", "client"]
    assert [carried["session_id"] for carried in refused] == [None, session_id, None]
    # The limits of clients come before the body is read.
    assert [carried["identifier"] for carried in refused] == [MASKED, MASKED, None]
    assert [carried.get("bound") for carried in refused[:2]] == ["1 per 30 second"] * 2


def test_a_send_refused_for_the_tries_of_open_sessions_is_told(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(LOCKOUT_THRESHOLD=3, DISABLE_AFTER=5)
    heard = Heard(world.app)
    with heard.listening():
        world.initiate()
        world.initiate()
        heard.take()
        assert world.client.post("/otp/initiate", json=ASK).status_code == 429

    assert heard.take() == [("rate_limited", "tries")]


def test_a_send_refused_by_a_lock_is_told(world: World, heard: Heard) -> None:
    for _ in range(2):
        session_id = world.initiate()
        for _ in range(3):
            world.verify(session_id, world.wrong_code)
    heard.take()
    world.client.post("/otp/initiate", json=ASK)

    assert heard.take() == [("rate_limited", "lockout")]


def test_an_unlock_is_told_only_if_there_was_a_lock_or_failure(world: World, heard: Heard) -> None:
    with world.app.app_context():
        world.otp.unlock(NUMBER, "sms")
        assert heard.take() == []
        world.verify(world.initiate(), world.wrong_code)
        heard.take()
        world.otp.unlock(NUMBER, "sms")

    assert heard.take() == [("identifier_unlocked", "unlock")]


@pytest.mark.parametrize(("how", "reason"), [("returns False", "not sent"), ("raises", "raised")])
def test_a_sender_that_fails_is_told_with_how(
    how: str, reason: str, world: World, heard: Heard
) -> None:
    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        if how == "raises":
            raise OSError("away")
        return False

    assert world.client.post("/otp/initiate", json=ASK).status_code == 500
    error = heard.sent[-1][1]["error"]
    assert heard.take() == [("session_initiated", None), ("send_failed", reason)]
    assert isinstance(error, OSError) if how == "raises" else error is None


@pytest.mark.parametrize("failing", ["get_user_handler", "verify_success_handler"])
def test_a_handler_that_fails_after_the_right_code_is_told_with_its_error(
    failing: str, world: World, heard: Heard
) -> None:
    """An error tracker of the host must hear of what our answer and log keep quiet."""
    fault = LookupError("no such table")

    def fail(*args: Any) -> Any:
        raise fault

    getattr(world.otp, failing)(fail)
    session_id = world.initiate()
    heard.take()
    assert world.verify(session_id, world.code).status_code == 500
    carried = heard.sent[-1][1]
    assert carried == {
        "method": "sms",
        "identifier": MASKED,
        "session_id": session_id,
        "reason": "raised",
        "error": fault,
    }
    assert carried["error"].__traceback__ is not None
    assert heard.take() == [("code_verified", None), ("sign_in_failed", "raised")]


def test_a_user_that_has_no_json_form_is_told_with_its_error(world: World, heard: Heard) -> None:
    @world.otp.verify_success_handler
    def on_success(user: Any, identifier: str, method: str, payload: Any) -> Any:
        return {"user": object(), "token": "t"}

    session_id = world.initiate()
    assert world.verify(session_id, world.code).status_code == 500
    name, carried = heard.sent[-1]
    assert (name, carried["session_id"]) == ("sign_in_failed", session_id)
    assert isinstance(carried["error"], TypeError)


def test_a_right_code_is_told_with_the_time_that_it_took(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    session_id = world.initiate()
    clock.shift(42)
    world.verify(session_id, world.code)

    assert [carried["seconds"] for name, carried in heard.sent if name == "code_verified"] == [42]


def test_signals_are_sent_for_python_calls_and_in_the_background(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(SEND_IN_BACKGROUND=True)
    heard = Heard(world.app)
    with heard.listening(), world.app.app_context():
        started = world.otp.initiate(NUMBER, "sms")
        world.app.extensions["otp_auth"].background.drain()
        assert heard.take() == [("session_initiated", None), ("code_sent", None)]
        world.otp.verify(started.session_id, world.code)
        assert heard.take() == [("code_verified", None)]


def test_a_failure_outside_an_application_context_is_logged_though_nobody_can_be_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = []

    def receiver(sender: Any, **carried: Any) -> None:
        heard.append(carried)

    with signals.rate_limited.connected_to(receiver), signals.sign_in_failed.connected_to(receiver):
        events.client_refused(limits.parse("1 per day"))
        failure = events.user_without_json("0" * 32, TypeError("a Color has no JSON form"))

    assert heard == []
    assert failure.id in caplog.text


def test_apps_do_not_hear_each_others_signals(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    one, other = make_world(), make_world()
    heard = Heard(other.app)
    with heard.listening():
        one.initiate()

    assert heard.take() == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "trusted_device_used"])
def test_a_receiver_that_fails_changes_no_answer_and_is_in_the_log(
    name: str,
    make_world: MakeWorld,
    clock: time_machine.Traveller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def story(world: World) -> list[int]:
        answers: list[Any] = []
        fails, codes = [False], []

        @world.otp.send_code_handler
        def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
            codes.append(code)
            return not fails[0]

        fails[0] = True
        answers.append(world.client.post("/otp/initiate", json=ASK))
        fails[0] = False
        answers.append(world.client.post("/otp/initiate", json=ASK))
        session_id = answers[-1].json["data"]["sessionId"]
        answers += [world.verify(session_id, "0000") for _ in range(3)]
        answers.append(world.client.post("/otp/initiate", json=ASK))
        with world.app.app_context():
            assert world.otp.unlock(NUMBER, "sms") is True
        answers.append(world.client.post("/otp/initiate", json=ASK))
        answers.append(world.verify(answers[-1].json["data"]["sessionId"], codes[-1]))
        world.users[NUMBER] = object()
        answers.append(world.client.post("/otp/initiate", json=ASK))
        answers.append(world.verify(answers[-1].json["data"]["sessionId"], codes[-1]))
        return [answer.status_code for answer in answers]

    options = {"LOCKOUT_THRESHOLD": 3, "DISABLE_AFTER": None}
    quiet = story(make_world(**options))
    assert quiet == [500, 200, 401, 401, 403, 429, 200, 200, 200, 500]
    loud = make_world(**options)

    def receiver(sender: Any, **carried: Any) -> None:
        raise ValueError("the receiver is broken")

    with getattr(signals, name).connected_to(receiver, loud.app):
        assert story(loud) == quiet

    logged = [
        record.getMessage()
        for record in caplog.records
        if record.name == "flask_otp_auth" and record.levelno == logging.ERROR
    ]
    broken = [message for message in logged if message.startswith(f"a receiver of {name} failed")]
    assert broken
    assert all("the receiver is broken" in message for message in broken)


def test_a_receiver_that_fails_does_not_keep_the_signal_from_the_others(
    world: World, heard: Heard
) -> None:
    """An audit trail must not lose entries to a broken counter beside it."""

    def receiver(sender: Any, **carried: Any) -> None:
        raise ValueError("broken")

    others = []
    with contextlib.ExitStack() as stack:
        for n in range(4):
            stack.enter_context(
                signals.session_initiated.connected_to(
                    lambda sender, n=n, **carried: others.append(n), world.app
                )
            )
            stack.enter_context(signals.session_initiated.connected_to(receiver, world.app))
        world.initiate()

    assert sorted(others) == [0, 1, 2, 3]
