"""One client stays one, whatever addresses it takes or claims."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from support.world import MakeWorld, World
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
