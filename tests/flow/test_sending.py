"""A send that certainly did not happen costs nothing; any other is counted, or a flood is free."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from slots import fill
from support.delivery_servers import hanging_server, http_gateway
from support.servers import PATIENCE
from support.world import MakeWorld, World

from flask_otp_auth.delivery import Delivery
from flask_otp_auth.testing.mongod import free_port

NUMBER = "+46701234567"
TWO = {"guarded": True, "CLIENT_LIMITS": None, "IDENTIFIER_LIMITS": "2 per hour"}


def ask(world: World) -> Any:
    return world.client.post("/otp/initiate", json={"identifier": NUMBER, "method": "sms"})


def sender_that(world: World, outcome: Any) -> None:
    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def counted(world: World) -> tuple[int, int]:
    """How many sends the account has counted, and how many sessions hold tries of it."""
    [account] = world.accounts.find()
    return len(account["sends"]), len(account["open"])


@pytest.mark.parametrize("outcome", [TimeoutError("no answer"), RuntimeError("out of memory")])
def test_code_of_which_nobody_knows_is_counted_but_holds_no_tries(
    make_world: MakeWorld, clock: time_machine.Traveller, outcome: Exception
) -> None:
    world = make_world(**TWO)
    sender_that(world, outcome)

    assert [ask(world).status_code for _ in range(3)] == [500, 500, 429]
    assert counted(world) == (2, 0)


@pytest.mark.parametrize("outcome", [False, None, 0, ""])
def test_code_that_was_refused_is_not_counted(
    make_world: MakeWorld, clock: time_machine.Traveller, outcome: object
) -> None:
    world = make_world(**TWO)
    sender_that(world, outcome)

    # More often than there are sends, or tries.
    assert {ask(world).status_code for _ in range(40)} == {500}
    assert counted(world) == (0, 0)
    sender_that(world, True)
    assert [ask(world).status_code for _ in range(3)] == [200, 200, 429]


def test_code_whose_user_could_not_be_looked_up_is_not_counted(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(SEND_TO_UNKNOWN=False, **TWO)

    @world.otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        raise LookupError("the directory is away")

    assert [ask(world).status_code for _ in range(4)] == [500] * 4
    assert counted(world) == (0, 0)


@pytest.mark.parametrize(
    ("outcome", "statuses", "resends"),
    [(False, [500] * 4, 0), (TimeoutError("no answer"), [500, 429, 429, 429], 1)],
    ids=["refused", "unknown"],
)
def test_resend_is_counted_unless_it_was_refused(
    make_world: MakeWorld,
    clock: time_machine.Traveller,
    outcome: Any,
    statuses: list[int],
    resends: int,
) -> None:
    world = make_world(**TWO)
    session_id = world.initiate()
    sender_that(world, outcome)
    body = {"sessionId": session_id}

    assert [world.client.post("/otp/resend", json=body).status_code for _ in range(4)] == statuses
    stored = world.sessions.find_one({"_id": session_id})
    assert stored is not None
    assert (stored["resends"], len(stored["digests"])) == (resends, 1)
    sender_that(world, True)
    last = world.client.post("/otp/resend", json=body).status_code
    assert last == (429 if resends else 200)
    assert world.verify(session_id, world.code).status_code == 200


@pytest.mark.parametrize("outcome", [False, TimeoutError("no answer")], ids=["refused", "unknown"])
def test_code_that_failed_in_the_background_is_counted(
    make_world: MakeWorld, clock: time_machine.Traveller, outcome: Any
) -> None:
    """Only who has an account can have a sender that fails, so giving it back would tell."""
    world = make_world(SEND_IN_BACKGROUND=True, **TWO)
    sender_that(world, outcome)

    assert [ask(world).status_code for _ in range(3)] == [200, 200, 429]
    world.app.extensions["otp_auth"].background.drain()
    assert counted(world) == (2, 2)


@pytest.fixture
def slow_gateway() -> Iterator[str]:
    with hanging_server() as port:
        yield f"json://127.0.0.1:{port}"


def delivering(make_world: MakeWorld, *urls: str) -> World:
    world = make_world(SMS_URLS=list(urls), SEND_TIMEOUT=0.6, **TWO)
    Delivery(world.otp)
    return world


def test_slow_provider_does_not_lift_the_limit(make_world: MakeWorld, slow_gateway: str) -> None:
    world = delivering(make_world, slow_gateway)

    assert [ask(world).status_code for _ in range(3)] == [500, 500, 429]
    assert counted(world) == (2, 0)


def test_provider_that_refuses_or_is_away_costs_the_owner_nothing(make_world: MakeWorld) -> None:
    with http_gateway(400) as gateway:
        away = f"json://127.0.0.1:{free_port()}"
        world = delivering(make_world, gateway.url, away)

        assert [ask(world).status_code for _ in range(3)] == [500] * 3
        assert len(gateway.received) == 3
        assert counted(world) == (0, 0)


@pytest.mark.parametrize(("status", "answer"), [(200, 200), (400, 500)])
def test_second_provider_has_its_turn_after_a_time_out_and_one_send_is_counted(
    make_world: MakeWorld, slow_gateway: str, status: int, answer: int
) -> None:
    with http_gateway(status) as gateway:
        world = delivering(make_world, slow_gateway, gateway.url)

        assert ask(world).status_code == answer
        assert len(gateway.received) == 1
        assert counted(world) == (1, int(answer == 200))


def test_owner_with_a_trusted_device_gets_a_code_past_a_queue_full_of_others(
    make_world: MakeWorld,
) -> None:
    world = make_world(
        guarded=True,
        SEND_IN_BACKGROUND=True,
        TRUSTED_DEVICES=3600,
        CLIENT_LIMITS=None,
        IDENTIFIER_LIMITS=None,
    )
    session_id = world.initiate()
    world.app.extensions["otp_auth"].background.drain()
    token = world.verify(session_id, world.code).json["data"]["deviceToken"]
    arrived, go_on = threading.Event(), threading.Event()

    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        arrived.set()
        return True

    background = fill(world, go_on)
    try:
        assert ask(world).status_code == 503
        body = {"identifier": NUMBER, "method": "sms", "deviceToken": token}
        answer = world.client.post("/otp/initiate", json=body)
        assert answer.status_code == 200
        assert arrived.wait(PATIENCE)
        arrived.clear()
        again = {"sessionId": answer.json["data"]["sessionId"]}
        assert world.client.post("/otp/resend", json=again).status_code == 200
        assert arrived.wait(PATIENCE)
    finally:
        go_on.set()
        background.drain()
