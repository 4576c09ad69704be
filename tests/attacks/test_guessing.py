"""Ways to get more guesses than an account has, and to turn its lock against the owner."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from support.world import FAILED, MakeWorld, World

NUMBER = "+46701234567"
OTHER = "+46707654321"
LOCKED = (403, "locked")


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    """The default lockouts without send limits, which would hide them."""
    return make_world(guarded=True, CLIENT_LIMITS=None, IDENTIFIER_LIMITS=None)


@pytest.fixture
def limited(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True, CLIENT_LIMITS=None)


def fail(world: World, session_id: str, times: int = 3) -> None:
    for _ in range(times):
        assert world.verify(session_id, world.wrong_code).status_code in (401, 403)


def failures(world: World) -> int:
    found = world.accounts.find_one(FAILED)
    return 0 if found is None else found["failures"]


def ask(world: World, identifier: str = NUMBER):
    return world.client.post("/otp/initiate", json={"identifier": identifier, "method": "sms"})


def said(answer) -> tuple[int, str]:
    body = answer.json
    if "error" in body:
        return answer.status_code, body["error"]["code"]
    return answer.status_code, body["data"].get("status", "sent")


def test_an_account_is_not_guessed_for_ever_by_asking_to_resend(
    world: World, clock: time_machine.Traveller
) -> None:
    session_id = world.initiate()
    for resend in (1, 2):
        fail(world, session_id, 1)
        assert world.client.post("/otp/resend", json={"sessionId": session_id}).status_code == 200
        assert failures(world) == resend
    assert said(world.verify(session_id, world.wrong_code)) == LOCKED
    assert failures(world) == 3

    fail(world, world.initiate())
    assert said(ask(world)) == (429, "identifierLocked")


def test_a_locked_account_gets_no_code_by_resend_either(
    world: World, clock: time_machine.Traveller
) -> None:
    kept = world.initiate()
    for _ in range(2):
        fail(world, world.initiate())
    sent = len(world.outbox)

    refused = world.client.post("/otp/resend", json={"sessionId": kept})

    assert said(refused) == (429, "identifierLocked")
    assert refused.headers["Retry-After"] == "30"
    assert len(world.outbox) == sent
    clock.shift(30)
    assert world.client.post("/otp/resend", json={"sessionId": kept}).status_code == 200


def test_signing_in_does_not_buy_a_phone_more_messages(
    limited: World, clock: time_machine.Traveller
) -> None:
    for _ in range(5):
        session_id = limited.initiate()
        assert said(limited.verify(session_id, limited.code)) == (200, "success")
        assert said(ask(limited)) == (429, "tooManyRequests")
        clock.shift(31)

    assert said(ask(limited)) == (429, "tooManyRequests")
    assert len(limited.outbox) == 5


def test_an_attackers_account_does_not_lend_its_code_to_another(
    world: World, clock: time_machine.Traveller
) -> None:
    mine = world.initiate(OTHER)
    known = world.code
    victims = world.initiate(NUMBER)
    copied = world.sessions.find_one({"_id": mine})
    world.sessions.update_one({"_id": victims}, {"$set": {"digests": copied["digests"]}})

    answer = world.verify(victims, known)

    assert said(answer) == (401, "invalid_code")
    assert world.lookups == []


def test_the_owner_signs_in_with_a_session_of_before_the_lock_and_ends_the_lock_by_it(
    world: World,
) -> None:
    owners, code = world.initiate(), world.code
    for _ in range(2):
        fail(world, world.initiate())
    assert said(ask(world)) == (429, "identifierLocked")

    assert said(world.verify(owners, code)) == (200, "success")

    assert failures(world) == 0
    assert ask(world).status_code == 200


def disable(world: World) -> None:
    session_id = world.initiate()
    fail(world, session_id, 1)
    world.accounts.update_one(FAILED, {"$set": {"failures": 99}})
    fail(world, session_id, 1)
    assert failures(world) == 100


def test_the_owner_signs_in_with_a_session_of_before_though_the_account_is_disabled(
    world: World,
) -> None:
    owners, code = world.initiate(), world.code
    disable(world)
    refused = ask(world)
    assert said(refused) == (429, "identifierLocked")
    assert "Retry-After" not in refused.headers

    assert said(world.verify(owners, code)) == (200, "success")

    assert failures(world) == 0
    assert ask(world).status_code == 200


def test_unlock_brings_no_used_up_session_back(world: World, clock: time_machine.Traveller) -> None:
    locked, code = world.initiate(), world.code
    fail(world, locked)
    expired, late = world.initiate(), world.code
    clock.shift(300)
    used = world.initiate()
    assert said(world.verify(used, world.code)) == (200, "success")
    again = world.code
    fail(world, world.initiate())

    with world.app.app_context():
        assert world.otp.unlock(NUMBER, "sms") is True

    assert said(world.verify(locked, code)) == LOCKED
    assert said(world.verify(expired, late)) == (403, "expired")
    assert said(world.verify(used, again)) == (400, "alreadyVerified")


def test_an_owner_who_waited_may_mistype_once_without_being_locked_again(
    world: World, clock: time_machine.Traveller
) -> None:
    for _ in range(2):
        fail(world, world.initiate())
    clock.shift(timedelta(seconds=30, milliseconds=-1))
    assert said(ask(world)) == (429, "identifierLocked")
    clock.shift(timedelta(milliseconds=1))

    session_id = world.initiate()
    fail(world, session_id, 1)

    assert ask(world).status_code == 200
    assert said(world.verify(session_id, world.outbox[-2].code)) == (200, "success")


def test_an_owner_does_not_wait_longer_because_others_keep_asking(
    world: World, clock: time_machine.Traveller
) -> None:
    for _ in range(2):
        fail(world, world.initiate())
    waits = []
    for _ in range(15):
        waits.append(int(ask(world).headers["Retry-After"]))
        clock.shift(2)

    assert waits == list(range(30, 0, -2))
    assert failures(world) == 6
    assert ask(world).status_code == 200


def test_asking_during_a_lock_uses_up_no_send_of_the_owner(
    limited: World, clock: time_machine.Traveller
) -> None:
    for _ in range(2):
        fail(limited, limited.initiate())
        clock.shift(31)
    fail(limited, limited.initiate())
    for _ in range(50):
        assert said(ask(limited)) == (429, "identifierLocked")
        clock.shift(1)
    clock.shift(11)

    assert ask(limited).status_code == 200
    clock.shift(31)
    assert ask(limited).status_code == 200


def test_guessing_at_sessions_that_are_over_does_not_lock_the_account(world: World) -> None:
    session_id = world.initiate()
    assert said(world.verify(session_id, world.code)) == (200, "success")
    locked = world.initiate()
    fail(world, locked)

    for _ in range(20):
        world.verify(session_id, "000000")
        world.verify(locked, world.code)
        world.verify("0" * 32, "000000")

    assert failures(world) == 3


def test_a_reviewers_code_opens_no_ordinary_account(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(
        guarded=True, TEST_IDENTIFIERS={OTHER: {"code": "123456", "until": "2050-02-01"}}
    )
    session_id = world.initiate(NUMBER)
    while world.code == "123456":
        clock.shift(31)
        session_id = world.initiate(NUMBER)

    assert said(world.verify(session_id, "123456")) == (401, "invalid_code")


def test_a_reviewers_account_is_not_guessed_by_opening_many_sessions_first(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(
        guarded=True, TEST_IDENTIFIERS={NUMBER: {"code": "123456", "until": "2050-02-01"}}
    )
    answers = [ask(world) for _ in range(60)]
    opened = [answer.json["data"]["sessionId"] for answer in answers if said(answer)[0] == 200]

    for number, session_id in enumerate(opened):
        for guess in range(3):
            world.verify(session_id, f"9{number:02d}{guess:03d}")

    assert sum(stored["attempts"] for stored in world.sessions.find()) <= 100


def test_a_lock_cannot_be_lifted_over_http(world: World) -> None:
    paths = {rule.rule for rule in world.app.url_map.iter_rules() if "static" not in rule.endpoint}

    assert paths == {"/otp/initiate", "/otp/verify", "/otp/resend", "/otp/logout"}


def test_a_new_secret_key_does_not_unlock_the_accounts_under_attack(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    old, new = "old secret of thirty-two bytes, or more", "new secret of thirty-two bytes, or more"
    before = make_world(guarded=True, SECRET_KEY=old)
    for _ in range(2):
        fail(before, before.initiate())
        clock.shift(31)
    fail(before, before.initiate())
    assert said(ask(before)) == (429, "identifierLocked")

    after = make_world(guarded=True, SECRET_KEY=[new, old])

    assert said(ask(after)) == (429, "identifierLocked")


def test_two_apps_in_one_process_keep_their_own_locks(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    open_ended = {"guarded": True, "CLIENT_LIMITS": None, "IDENTIFIER_LIMITS": None}
    strict = make_world(**open_ended, LOCKOUT_THRESHOLD=3)
    loose = make_world(**open_ended, LOCKOUT_THRESHOLD=9, COLLECTION="loose_otp")
    for world in (strict, loose):
        fail(world, world.initiate())

    assert said(ask(strict)) == (429, "identifierLocked")
    assert said(ask(loose)) == (200, "sent")
    with loose.app.app_context():
        loose.otp.unlock(NUMBER, "sms")
    assert said(ask(strict)) == (429, "identifierLocked")


# Wrong codes in a row, whatever the options.
REVIEWER = {NUMBER: {"code": "246810", "until": "2050-02-01"}}
ONE_EACH_MINUTE = "60 per hour"
OPTIONS: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "an hour to guess ten times": {"CODE_TTL": 3600, "MAX_ATTEMPTS": 10},
    "disabled after 10": {"DISABLE_AFTER": 10},
    "disabled after 7, which no session divides": {"DISABLE_AFTER": 7},
    "sixty codes an hour": {"IDENTIFIER_LIMITS": ONE_EACH_MINUTE},
    "any number of codes": {"IDENTIFIER_LIMITS": None},
    "a test identifier": {"TEST_IDENTIFIERS": REVIEWER},
    "no waits": {"LOCKOUT_THRESHOLD": None, "IDENTIFIER_LIMITS": None},
}


def open_all(world: World, clock: time_machine.Traveller, most: float) -> list[str] | None:
    """Open sessions for as long as the first of them lives; ``None`` if no time opens one."""
    opened: list[str] = []
    spent = 0.0
    while True:
        answer = world.client.post("/otp/initiate", json={"identifier": NUMBER, "method": "sms"})
        if answer.status_code == 200:
            opened.append(answer.json["data"]["sessionId"])
            continue
        if "Retry-After" not in answer.headers:
            return opened or None
        wait = int(answer.headers["Retry-After"])
        if opened and spent + wait >= most:
            return opened
        clock.shift(wait)
        spent = spent + wait if opened else 0.0


@pytest.mark.parametrize("name", OPTIONS)
def test_no_more_wrong_codes_in_a_row_are_judged_than_the_bound_says(
    name: str, make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    options = {"CLIENT_LIMITS": None, **OPTIONS[name]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of these are warned about
        world = make_world(guarded=True, **options)
    ttl, tries = options.get("CODE_TTL", 300), options.get("MAX_ATTEMPTS", 3)

    while (sessions := open_all(world, clock, ttl)) is not None:
        for session_id in sessions:
            for guess in range(tries + 1):
                world.verify(session_id, f"{guess:05d}")

    judged = sum(session["attempts"] for session in world.sessions.find())
    assert judged == options.get("DISABLE_AFTER", 100)
    [account] = world.accounts.find()
    assert account["failures"] == judged


def test_a_slow_database_lets_no_new_session_have_the_tries_of_a_late_count(
    make_world: MakeWorld,
) -> None:
    world = make_world(guarded=True, DB_TIMEOUT=600)
    world.initiate(NUMBER)
    [account] = world.accounts.find()
    [session] = world.sessions.find()
    assert (account["open"][0]["until"] - session["expiresAt"]).total_seconds() >= 600
