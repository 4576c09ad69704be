"""A login in a browser outlives the browser, unless the application wants it to end with it."""

from __future__ import annotations

from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
import time_machine
from support.world import NOW, MakeWorld, World

DAY = 86400
ALL = {"access_token_cookie", "csrf_access_token", "refresh_token_cookie", "csrf_refresh_token"}
COOKIES = {"JWT_TOKEN_LOCATION": ["cookies"]}


def cookies_of(answer: Any) -> SimpleCookie:
    assert answer.status_code == 200, answer.text
    return SimpleCookie("\n".join(answer.headers.getlist("Set-Cookie")))


def max_ages(answer: Any) -> dict[str, str]:
    return {name: morsel["max-age"] for name, morsel in cookies_of(answer).items()}


def sign_in(world: World) -> Any:
    return world.verify(world.initiate(), world.code)


def refresh(world: World, answer: Any) -> Any:
    cookies = cookies_of(answer)
    client = world.client
    client.set_cookie("refresh_token_cookie", cookies["refresh_token_cookie"].value)
    csrf = {"X-CSRF-TOKEN": cookies["csrf_refresh_token"].value}
    return client.post("/otp/refresh", headers=csrf)


def test_login_survives_a_browser_that_is_closed_for_as_long_as_it_can_be_refreshed(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(
        config=COOKIES, REFRESH_TOKEN=True, REFRESH_LIFETIME=20 * DAY, REFRESH_IDLE=14 * DAY
    )
    answer = sign_in(world)
    assert max_ages(answer) == dict.fromkeys(ALL, str(14 * DAY))
    clock.move_to(NOW + timedelta(days=10))
    renewed = refresh(world, answer)
    assert max_ages(renewed) == dict.fromkeys(ALL, str(10 * DAY))


def test_access_cookie_lasts_no_shorter_than_its_token(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(
        config={**COOKIES, "JWT_REFRESH_TOKEN_EXPIRES": timedelta(minutes=5)}, REFRESH_TOKEN=True
    )
    ages = max_ages(sign_in(world))
    assert ages["refresh_token_cookie"] == ages["csrf_refresh_token"] == "300"
    assert ages["access_token_cookie"] == ages["csrf_access_token"] == "900"


@pytest.mark.parametrize(
    "options",
    [{"REFRESH_TOKEN": True, "KEEP_SIGNED_IN": False}, {"REFRESH_TOKEN": False}],
    ids=["not kept", "nothing to refresh"],
)
def test_login_that_is_not_kept_ends_with_the_browser(
    make_world: MakeWorld, options: dict[str, bool]
) -> None:
    ages = max_ages(sign_in(make_world(config=COOKIES, **options)))
    assert set(ages.values()) == {""}


@pytest.mark.parametrize("kept", [True, False])
def test_cookies_for_a_year_stay_what_flask_jwt_extended_makes_of_them(
    make_world: MakeWorld, kept: bool
) -> None:
    config = {**COOKIES, "JWT_SESSION_COOKIE": False}
    ages = max_ages(sign_in(make_world(config=config, REFRESH_TOKEN=True, KEEP_SIGNED_IN=kept)))
    assert ages == dict.fromkeys(ALL, "31540000")
