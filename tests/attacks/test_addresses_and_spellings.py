"""One client and one account stay one, however they are written."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from support.world import FAILED, MakeWorld, World
from werkzeug.middleware.proxy_fix import ProxyFix

PER_CLIENT = 10
WINDOW = 900


@pytest.fixture
def guarded(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True)


class Clients:
    """Each send is to another person, so that only the limits by client count."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sent = 0

    def send(self, address: str, **headers: str) -> Any:
        self.sent += 1
        return self.world.client.post(
            "/otp/initiate",
            json={"identifier": f"user{self.sent}@example.com", "method": "email"},
            environ_base={"REMOTE_ADDR": address},
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )


@pytest.fixture
def clients(guarded: World) -> Clients:
    return Clients(guarded)


def statuses(answers: list[Any]) -> list[int]:
    return [answer.status_code for answer in answers]


def behind_proxy(world: World) -> None:
    world.app.wsgi_app = ProxyFix(world.app.wsgi_app, x_for=1)  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "header", ["X_Forwarded_For", "X_Real_IP", "Forwarded", "CF_Connecting_IP"]
)
def test_a_bill_cannot_be_run_up_by_forging_the_client_address(
    header: str, clients: Clients
) -> None:
    answers = [
        clients.send("192.0.2.1", **{header: f"192.0.2.{host}"})
        for host in range(2, PER_CLIENT + 4)
    ]

    assert statuses(answers) == [200] * PER_CLIENT + [429] * 2


def test_a_bill_cannot_be_run_up_by_forging_an_address_in_front_of_the_proxys(
    clients: Clients,
) -> None:
    behind_proxy(clients.world)

    answers = [
        clients.send("192.0.2.254", X_Forwarded_For=f"192.0.2.{host}, 2001:db8::1")
        for host in range(1, PER_CLIENT + 3)
    ]

    assert statuses(answers) == [200] * PER_CLIENT + [429] * 2


def test_people_behind_a_proxy_do_not_use_up_each_others_sends(clients: Clients) -> None:
    behind_proxy(clients.world)

    answers = [
        clients.send("192.0.2.254", X_Forwarded_For=f"192.0.2.{host}")
        for host in range(1, PER_CLIENT + 3)
    ]

    assert statuses(answers) == [200] * (PER_CLIENT + 2)


def test_a_household_has_one_share_of_sends_whatever_ipv6_addresses_it_takes(
    clients: Clients,
) -> None:
    same = [
        "2001:db8:1:2::1",
        "2001:db8:1:2:ffff:ffff:ffff:ffff",
        "2001:DB8:1:2::a",
        "2001:0db8:0001:0002:0000:0000:0000:0003",
        "2001:db8:1:2::192.0.2.1",
        "2001:db8:1:2::4%eth0",
    ]
    answers = [clients.send(same[n % len(same)]) for n in range(PER_CLIENT + 2)]

    assert statuses(answers) == [200] * PER_CLIENT + [429] * 2
    assert clients.send("2001:db8:1:3::1").status_code == 200


def test_a_client_has_one_share_of_sends_over_ipv4_and_over_ipv4_mapped_in_ipv6(
    clients: Clients,
) -> None:
    same = ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201", "0:0:0:0:0:FFFF:192.0.2.1"]
    answers = [clients.send(same[n % len(same)]) for n in range(PER_CLIENT + 2)]

    assert statuses(answers) == [200] * PER_CLIENT + [429] * 2
    assert clients.send("::ffff:192.0.2.2").status_code == 200


@pytest.mark.parametrize("address", ["", "unix:", "not an address"])
def test_a_bill_cannot_be_run_up_by_a_client_without_an_address(
    address: str, clients: Clients
) -> None:
    answers = [clients.send(address) for _ in range(PER_CLIENT + 1)]

    assert statuses(answers) == [200] * PER_CLIENT + [429]


def test_a_refused_client_does_not_use_up_the_sends_of_the_people_it_asks_for(
    clients: Clients, clock: time_machine.Traveller
) -> None:
    for _ in range(PER_CLIENT):
        clients.send("192.0.2.1")
    victim = {"identifier": "victim@example.com", "method": "email"}
    attack, ask = {"REMOTE_ADDR": "192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.2"}
    web = clients.world.client

    for _ in range(20):
        clock.shift(31)
        assert web.post("/otp/initiate", json=victim, environ_base=attack).status_code == 429

    assert web.post("/otp/initiate", json=victim, environ_base=ask).status_code == 200


PHONE_SPELLINGS = [
    "+46701234567",
    "0046701234567",
    "+46 70 123 45 67",
    "+46-70-123-45-67",
    "+46 (0)70 123 45 67",
    "0046(0)70-1234567",
    "(+46) 701234567",
]
EMAIL_SPELLINGS = [
    "user@example.com",
    "USER@EXAMPLE.COM",
    "User@Example.Com",
    " user@example.com",
    "user@example.com\t ",
]
SPELLINGS = [("sms", PHONE_SPELLINGS), ("email", EMAIL_SPELLINGS)]


def accepted(world: World, method: str, spellings: list[str]) -> list[str]:
    """Leave out what is refused as no identifier at all: that is no way around anything either."""
    web, ok = world.client, []
    for spelling in spellings:
        answer = web.post("/otp/initiate", json={"identifier": spelling, "method": method})
        assert answer.status_code in (200, 400, 429)
        if answer.status_code != 400:
            ok.append(spelling)
    return ok


@pytest.mark.parametrize(("method", "spellings"), SPELLINGS, ids=["sms", "email"])
def test_a_phone_is_not_flooded_by_spelling_its_number_in_many_ways(
    method: str, spellings: list[str], make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None)
    known = accepted(world, method, spellings)
    assert len(known) >= 5
    clock.shift(86_401)
    world.outbox.clear()

    answers = []
    for n in range(28):  # less than a quarter of an hour
        spelling = known[n % len(known)]
        answers.append(
            world.client.post("/otp/initiate", json={"identifier": spelling, "method": method})
        )
        clock.shift(31)

    assert statuses(answers[:5]) == [200] * 5
    assert len(world.outbox) == 5
    assert len({sent.identifier for sent in world.outbox}) == 1


@pytest.mark.parametrize(("method", "spellings"), SPELLINGS, ids=["sms", "email"])
def test_an_account_is_not_guessed_longer_by_spelling_its_name_in_many_ways(
    method: str, spellings: list[str], make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None, IDENTIFIER_LIMITS=None)
    known = accepted(world, method, spellings)
    for spelling in known[:2]:
        session_id = world.initiate(spelling, method)
        for _ in range(3):
            world.verify(session_id, world.wrong_code)

    refused = [
        world.client.post("/otp/initiate", json={"identifier": spelling, "method": method})
        for spelling in known
    ]

    assert {answer.json["error"]["code"] for answer in refused} == {"identifierLocked"}
    assert world.accounts.count_documents(FAILED) == 1


def test_python_calls_and_http_share_the_sends_of_a_phone(guarded: World) -> None:
    from flask_otp_auth.exceptions import TooManyRequests

    guarded.initiate("+46701234567")
    with guarded.app.app_context(), pytest.raises(TooManyRequests) as refused:
        guarded.otp.initiate("0046 70 123 45 67", "sms")

    assert refused.value.retry_after == 30
    assert refused.value.scope == "identifier"
    assert len(guarded.outbox) == 1


def test_no_identifier_can_be_read_in_the_collection_of_the_accounts(
    guarded: World,
) -> None:
    guarded.client.post(
        "/otp/initiate",
        json={"identifier": "victim@example.com", "method": "email"},
        environ_base={"REMOTE_ADDR": "192.0.2.77"},
    )

    counted = str(list(guarded.accounts.find()))
    assert "sends" in counted
    assert "victim" not in counted
    assert "example" not in counted
    assert "192.0.2" not in counted
