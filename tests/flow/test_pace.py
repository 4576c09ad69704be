"""The queue of the background: it tells nobody who has an account, and how long it really is."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from slots import fill, slot_of
from support.servers import PATIENCE
from support.world import MakeWorld

from flask_otp_auth.background import BackgroundSender
from flask_otp_auth.exceptions import ServiceUnavailable

OWN, SECONDS = "+46701230000", 0.5
KNOWN, UNKNOWN = "+46701111", "+46709991"
SILENT = {"SEND_TO_UNKNOWN": False, "SEND_IN_BACKGROUND": True}


@pytest.fixture
def own_wait(make_world: MakeWorld) -> Callable[[str], float]:
    """How long one's own message takes from the first of four about somebody else before it."""
    world = make_world(**SILENT)
    arrived = threading.Event()

    @world.otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        return None if identifier.startswith(UNKNOWN) else {"id": 1}

    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        if identifier == OWN:
            arrived.set()
        time.sleep(SECONDS)
        return not identifier.endswith("3")  # some fail, and take as long

    def wait(whose: str) -> float:
        arrived.clear()
        began = time.perf_counter()
        for n in range(4):  # one for each thread
            world.initiate(f"{whose}{n:03}")
        world.initiate(OWN)
        assert arrived.wait(PATIENCE)
        waited = time.perf_counter() - began
        world.app.extensions["otp_auth"].background.drain()
        return waited

    # The first request makes the indexes, and would be long enough for what is waited for here.
    world.initiate(f"{UNKNOWN}999")
    world.app.extensions["otp_auth"].background.drain()
    return wait


def test_a_stranger_cannot_tell_an_account_by_the_next_message_in_the_queue(
    own_wait: Callable[[str], float],
) -> None:
    own_wait(KNOWN)  # from here on it is known how long sends take
    known = [own_wait(KNOWN) for _ in range(3)]
    unknown = [own_wait(UNKNOWN) for _ in range(3)]

    assert statistics.median(unknown) > SECONDS / 2
    assert abs(statistics.median(known) - statistics.median(unknown)) < SECONDS / 2


def test_a_stranger_learns_nothing_before_the_first_send(own_wait: Callable[[str], float]) -> None:
    assert own_wait(UNKNOWN) > SECONDS / 2


@dataclass
class Timer:
    """What ``time.perf_counter()`` returns."""

    now: float = 0.0


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch) -> Timer:
    timer = Timer()
    monkeypatch.setattr(time, "perf_counter", lambda: timer.now)
    return timer


@pytest.fixture
def context() -> Iterator[None]:
    with Flask("pace").app_context():
        yield


def refused(sender: BackgroundSender) -> int:
    with pytest.raises(ServiceUnavailable) as caught:
        sender.reserve()
    assert caught.value.retry_after is not None
    return caught.value.retry_after


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("has_ended", [True, False], ids=["sends have ended", "all hang"])
def test_a_client_is_told_how_long_the_queue_really_is(has_ended: bool, timer: Timer) -> None:
    sender, go_on = BackgroundSender(workers=2, waiting=58), threading.Event()
    all_run, begun = threading.Barrier(3), threading.Semaphore(0)
    try:
        if has_ended:
            for _ in range(2):
                sender.reserve().run(lambda: (all_run.wait(PATIENCE), all_run.wait(PATIENCE)))
            all_run.wait(PATIENCE)
            timer.now += 0.3
            all_run.wait(PATIENCE)
        for _ in range(60):
            slot_of(sender).run(lambda: (begun.release(), go_on.wait(PATIENCE)))
        for _ in range(2):
            assert begun.acquire(timeout=PATIENCE)
        if not has_ended:
            timer.now += 0.3
        assert refused(sender) == 9  # 60 sends of 0.3 s, by two threads
    finally:
        go_on.set()
        sender.drain()


@pytest.mark.usefixtures("context")
def test_the_wait_is_never_over_a_quarter_of_an_hour() -> None:
    sender = BackgroundSender(workers=1, waiting=20_000)
    started, go_on = threading.Event(), threading.Event()
    slots = [sender.reserve() for _ in range(20_001)]
    slots[0].run(lambda: (started.set(), go_on.wait(PATIENCE)))
    assert started.wait(PATIENCE)
    time.sleep(0.1)
    assert refused(sender) == 900
    go_on.set()
    sender.drain()


def test_a_send_without_a_place_is_not_counted(make_world: MakeWorld) -> None:
    """Or an owner who could not be sent a code has to wait for the next one besides."""
    world = make_world(
        **SILENT, IDENTIFIER_LIMITS="1 per hour", LOCKOUT_THRESHOLD=6, DISABLE_AFTER=100
    )
    go_on = threading.Event()
    fill(world, go_on)
    try:
        for _ in range(3):
            body = {"identifier": OWN, "method": "sms"}
            assert world.client.post("/otp/initiate", json=body).status_code == 503
        assert world.sessions.count_documents({}) == world.accounts.count_documents({}) == 0
    finally:
        go_on.set()
        world.app.extensions["otp_auth"].background.drain()
    world.initiate(OWN)
    world.app.extensions["otp_auth"].background.drain()


def test_a_refused_send_keeps_no_place(make_world: MakeWorld) -> None:
    world = make_world(**SILENT, IDENTIFIER_LIMITS="1 per hour")
    world.initiate(OWN)
    body = {"identifier": OWN, "method": "sms"}
    for _ in range(210):
        assert world.client.post("/otp/initiate", json=body).status_code == 429
    world.initiate("+46701230001")
    world.app.extensions["otp_auth"].background.drain()


@pytest.mark.usefixtures("context")
def test_each_method_has_its_own_pace() -> None:
    """An email takes longer than an SMS; who asks by email would see the difference."""
    sender = BackgroundSender(workers=1, waiting=0)
    for method, seconds in (("sms", 0.02), ("email", 0.6)):
        slot = slot_of(sender)
        slot.sent(method, seconds)
        slot.release()
    took = {}
    for method in ("email", "sms"):
        began, slot = time.perf_counter(), slot_of(sender)
        slot.run(slot.imitate_send, method, began)
        sender.drain()
        took[method] = time.perf_counter() - began

    assert took["email"] >= 0.6
    assert took["sms"] < 0.6


@pytest.mark.usefixtures("context")
def test_imitated_send_holds_up_the_queue_but_no_thread() -> None:
    sender, done = BackgroundSender(workers=1, waiting=1), threading.Event()
    slot = sender.reserve()
    slot.sent("sms", 0.5)
    began = time.perf_counter()
    slot.run(slot.imitate_send, "sms", began)
    sender.reserve().run(done.set)

    assert done.wait(PATIENCE)
    assert time.perf_counter() - began >= 0.5
    sender.drain()
