"""flask otp logins and end-logins: where a user is signed in, and the end of it."""

from __future__ import annotations

import time_machine
from command_line import data, run
from support.world import MakeWorld


def test_support_sees_and_ends_the_logins_of_a_user(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(REFRESH_TOKEN=True)
    answer = world.verify(world.initiate(), world.code)
    user = answer.json["data"]["user"]["id"]  # type: ignore[index]

    [login] = data(run(world, "logins", user, "--json"))["logins"]
    assert login["method"] == "sms"
    assert login["startedAt"] == login["refreshedAt"] == "2050-01-02T12:30:00.000Z"
    assert login["login"].endswith("...")
    assert "started at" in run(world, "logins", user).output
    [login] = data(run(world, "logins", user, "--reveal", "--json"))["logins"]
    assert len(login["login"]) == 32

    assert data(run(world, "end-logins", user, "--json")) == {"ended": 1}
    assert run(world, "end-logins", user).output.startswith("Ended: 0 logins")
    assert run(world, "logins", user).output.startswith("There are no logins of this user")


def test_a_user_of_whom_nothing_is_known_is_no_error(make_world: MakeWorld) -> None:
    assert data(run(make_world(), "logins", "nobody", "--json")) == {"logins": []}
