"""flask otp risk: the numbers are those of an attack on the real application, and no lower."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from support.world import NOW, MakeWorld, World

from flask_otp_auth.cli.attack import Rules, best_attack

pytestmark = pytest.mark.filterwarnings("ignore::flask_otp_auth.SecurityWarning")
DAY = 86_400
YEAR = 365 * DAY


def report(world: World) -> Any:
    result = world.app.test_cli_runner().invoke(args=["otp", "risk", "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def rules(**changed: Any) -> Rules:
    """Return the default rules, with changes."""
    default = {
        "codes": 10**6,
        "tries": 3,
        "ttl": 300,
        "resends": 2,
        "sends": [(1, 30), (5, 900), (20, DAY)],
        "lockout_threshold": 6,
        "disable_after": 100,
    }
    return Rules(**{**default, **changed})  # type: ignore[arg-type]


def test_the_default_risk_is_that_of_the_documentation(make_world: MakeWorld) -> None:
    told = report(make_world(guarded=True))

    attacks = {(one["owner_signs_in"], one["time"]): one for one in told["attacks"]}
    assert attacks["never", "day"]["guesses"] == 60
    assert attacks["never", "day"]["sends"] == 20
    assert told["chance_per_day"] == pytest.approx(60 / 10**6, rel=1e-3)
    # Until the owner signs in: 100 guesses, each at the three codes of a session with two resends.
    assert attacks["never", "year"]["guesses"] == 100
    assert attacks["never", "year"]["is_stopped"]
    assert attacks["never", "year"]["chance"] == pytest.approx(300 / 10**6, rel=1e-2)
    # An owner who signs in every day lets it go on: 365 days of 60 guesses.
    assert attacks["every day", "year"]["guesses"] == 365 * 60
    assert told["chance_per_year"] == pytest.approx(1 - math.exp(-365 * 60 / 10**6), rel=1e-3)


def test_a_person_reads_the_numbers_that_it_comes_from(make_world: MakeWorld) -> None:
    result = make_world(guarded=True).app.test_cli_runner().invoke(args=["otp", "risk"])

    assert result.exit_code == 0
    assert "1,000,000 codes (OTP_AUTH_CODE_LENGTH 6)" in result.output
    assert "5 per 15 minute" in result.output
    assert "in a day with a chance of 0.0060% (1 in 16,667)" in result.output
    assert "in a year with a chance of 2.1662% (1 in 46)" in result.output


def test_nothing_that_holds_a_guesser_back_is_certainty(make_world: MakeWorld) -> None:
    world = make_world()

    assert report(world)["chance_per_day"] == 1
    result = world.app.test_cli_runner().invoke(args=["otp", "risk"])
    assert "any number" in result.output


@pytest.mark.parametrize(
    "changed",
    [
        {"codes": 10**5},
        {"tries": 5},
        {"resends": 5},
        {"sends": [(1, 30), (40, DAY)]},
        {"disable_after": 200},
        {"disable_after": None},
        {"sends": []},
    ],
    ids=str,
)
def test_a_weaker_rule_never_makes_the_risk_smaller(changed: dict[str, Any]) -> None:
    for every in (None, DAY):
        for seconds in (DAY, YEAR):
            weaker = best_attack(rules(**changed), seconds, every).chance
            assert weaker >= best_attack(rules(), seconds, every).chance


def test_the_bound_of_failures_holds_where_no_limit_does() -> None:
    attack = best_attack(rules(sends=[]), DAY)

    assert attack.guesses == 100
    assert attack.chance == pytest.approx(300 / 10**6, rel=2e-2)
    assert attack.is_stopped


def test_waits_alone_still_bound_the_guesses() -> None:
    attack = best_attack(rules(sends=[], disable_after=None), DAY)

    # A thousand sessions of three tries are open at once, and guessed between two waits of 900 s.
    assert attack.guesses is not None
    assert 90 * 3000 <= attack.guesses <= 101 * 3000
    assert attack.chance < 1


def test_a_space_that_is_searched_through_is_certainty() -> None:
    attack = best_attack(rules(codes=10, tries=10, resends=0, disable_after=None), DAY)

    assert attack.chance == 1


def test_loose_limits_are_counted_quickly() -> None:
    attack = best_attack(rules(sends=[(1000, 1)], lockout_threshold=None, disable_after=None), YEAR)

    assert attack.sends is not None
    assert attack.sends > 10**9
    assert attack.chance == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"MAX_ATTEMPTS": 5},
        {"IDENTIFIER_LIMITS": "30 per day"},
        {"IDENTIFIER_LIMITS": None},
        {"IDENTIFIER_LIMITS": "1 per hour", "DISABLE_AFTER": 40, "MAX_RESENDS": 0},
        {"IDENTIFIER_LIMITS": "60 per day", "DISABLE_AFTER": None},
    ],
    ids=str,
)
def test_the_real_application_lets_no_more_guesses_through(
    make_world: MakeWorld, clock: time_machine.Traveller, options: dict[str, Any]
) -> None:
    """Play the attack for a day: open what can be opened, guess, wait for as long as is said."""
    world = make_world(guarded=True, CLIENT_LIMITS=None, **options)
    [told] = [
        attack
        for attack in report(world)["attacks"]
        if (attack["owner_signs_in"], attack["time"]) == ("never", "day")
    ]

    guesses = play(world, clock)

    # That of the report has resends too, which make each guess better and their number no larger.
    most = best_attack(Rules.of(settings_of(world)), DAY)
    assert guesses <= (most.guesses or 0)
    chance = 1 - math.exp(guesses * math.log1p(-1 / 10**6))
    assert chance <= told["chance"] * 1.001


def settings_of(world: World) -> Any:
    return world.app.extensions["otp_auth"].settings


def play(world: World, clock: time_machine.Traveller) -> int:
    """Return how many wrong codes the application judges in a day."""
    ask = {"identifier": "+46701234567", "method": "sms"}
    end, now, judged = NOW + timedelta(days=1), NOW, 0
    while now < end:
        opened, until = [], now + timedelta(seconds=settings_of(world).code_ttl)
        while now < min(until, end):
            answer = world.client.post("/otp/initiate", json=ask)
            if answer.status_code == 200:
                opened.append(answer.json["data"]["sessionId"])
                continue
            wait = int(answer.headers.get("Retry-After", DAY))
            if opened and now + timedelta(seconds=wait) >= until:
                break
            now += timedelta(seconds=wait)
            clock.move_to(now)
        for session_id in opened:
            while world.verify(session_id, "0000").status_code == 401:
                judged += 1
            judged += 1  # the one that locked it
    return judged
