"""Test identifiers: one fixed code for a reviewer, until a day, and under the guess limits."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from flask import Flask
from support.world import NOW, MakeWorld, World

from flask_otp_auth import ConfigurationError, FlaskOtpAuth
from flask_otp_auth.settings.fixed_codes import FixedCode, read

REVIEWER, CODE = "+46701234567", "246810"
ENTRY = {"code": CODE, "until": "2050-02-01"}
ASK = {"identifier": REVIEWER, "method": "sms"}


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True, TEST_IDENTIFIERS={REVIEWER: ENTRY})


def test_a_reviewer_signs_in_with_the_fixed_code_and_no_message_is_sent(world: World) -> None:
    session_id = world.initiate()

    answer = world.verify(session_id, CODE)

    assert answer.json["data"]["status"] == "success"
    assert world.outbox == []
    assert [identifier for identifier, _, _ in world.lookups] == [REVIEWER]


@pytest.mark.parametrize("spelling", ["0046 70 123 45 67", "+46 (0)70-123 45 67"])
def test_a_reviewer_may_spell_the_number_in_any_way(spelling: str, world: World) -> None:
    assert world.verify(world.initiate(spelling), CODE).status_code == 200


def test_an_entry_may_be_spelled_in_any_way(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(
        TEST_IDENTIFIERS={"0046 (0)70 123 45 67": ENTRY, " Reviewer@Example.COM": ENTRY}
    )

    assert world.verify(world.initiate(), CODE).status_code == 200
    assert world.verify(world.initiate("reviewer@example.com", "email"), CODE).status_code == 200
    assert world.outbox == []


def test_a_national_entry_follows_the_default_region(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(DEFAULT_REGION="SE", TEST_IDENTIFIERS={"070-123 45 67": ENTRY})

    assert world.verify(world.initiate("+46701234567"), CODE).status_code == 200


def test_the_send_limits_of_the_account_do_not_apply_to_a_reviewer(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None, TEST_IDENTIFIERS={REVIEWER: ENTRY})
    for _ in range(30):
        assert world.client.post("/otp/initiate", json=ASK).status_code == 200

    [account] = world.accounts.find()
    assert account["sends"] == []


def test_a_reviewer_signs_in_as_often_as_a_review_takes(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None, TEST_IDENTIFIERS={REVIEWER: ENTRY})
    for _ in range(200):  # all within the lifetime of one code
        clock.shift(1)
        assert world.verify(world.initiate(), CODE).status_code == 200

    [account] = world.accounts.find()
    assert account["failures"] == 0


def test_a_public_code_buys_nobody_more_requests_than_any_client_has(world: World) -> None:
    answers = [world.client.post("/otp/initiate", json=ASK).status_code for _ in range(12)]

    assert answers == [200] * 10 + [429] * 2


def test_a_session_of_a_reviewer_holds_tries_as_any_other(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None, TEST_IDENTIFIERS={REVIEWER: ENTRY})
    for _ in range(34):
        assert world.client.post("/otp/initiate", json=ASK).status_code == 200

    refused = world.client.post("/otp/initiate", json=ASK)
    assert refused.json["error"]["code"] == "identifierLocked"
    # 300 s of the code, 30 s for clocks that differ, and the 3 s of OTP_AUTH_DB_TIMEOUT.
    assert refused.headers["Retry-After"] == "333"
    clock.shift(333)
    assert world.client.post("/otp/initiate", json=ASK).status_code == 200


def test_the_guess_limits_apply_to_a_reviewer(world: World, clock: time_machine.Traveller) -> None:
    for _ in range(2):
        session_id = world.initiate()
        for left in (2, 1):
            answer = world.verify(session_id, "000000")
            assert answer.json["data"]["remainingAttempts"] == left
        assert world.verify(session_id, "000000").status_code == 403
        assert world.verify(session_id, CODE).status_code == 403

    refused = world.client.post("/otp/initiate", json=ASK)
    assert refused.json["error"]["code"] == "identifierLocked"
    clock.shift(30)
    assert world.verify(world.initiate(), CODE).status_code == 200


def test_a_reviewer_may_ask_for_a_resend_and_uses_the_same_code(world: World) -> None:
    session_id = world.initiate()
    for _ in range(2):
        answer = world.client.post("/otp/resend", json={"sessionId": session_id})
        assert answer.status_code == 200
    too_many = world.client.post("/otp/resend", json={"sessionId": session_id})

    assert too_many.json["error"]["code"] == "tooManyResends"
    assert world.verify(session_id, CODE).status_code == 200
    assert world.outbox == []


def test_a_used_session_of_a_reviewer_is_used_like_any_other(world: World) -> None:
    session_id = world.initiate()
    world.verify(session_id, CODE)

    assert world.verify(session_id, CODE).json["error"]["code"] == "alreadyVerified"


def test_the_fixed_code_is_stored_as_a_digest_only(world: World) -> None:
    world.initiate()

    assert CODE not in str(list(world.sessions.find()))


def test_an_ordinary_number_gets_its_own_code_beside_a_reviewers(world: World) -> None:
    session_id = world.initiate("+46707654321")

    assert len(world.outbox) == 1
    assert world.verify(session_id, world.code).status_code == 200


def test_a_reviewers_code_works_where_nothing_is_sent_to_unknown_people(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(
        SEND_TO_UNKNOWN=False, SEND_IN_BACKGROUND=True, TEST_IDENTIFIERS={REVIEWER: ENTRY}
    )

    assert world.verify(world.initiate(), CODE).status_code == 200
    assert len(world.lookups) == 1


END = datetime(2050, 2, 2, tzinfo=UTC)
UNTIL = [
    (date(2050, 2, 1), END),
    ("2050-02-01", END),
    ("20500201", END),
    (datetime(2050, 2, 1, 18), datetime(2050, 2, 1, 18, tzinfo=UTC)),  # noqa: DTZ001
    ("2050-02-01T18:00", datetime(2050, 2, 1, 18, tzinfo=UTC)),
    ("2050-02-01T18:00:00Z", datetime(2050, 2, 1, 18, tzinfo=UTC)),
    ("2050-02-01T18:00:00+02:00", datetime(2050, 2, 1, 16, tzinfo=UTC)),
    (
        datetime(2050, 2, 1, 18, tzinfo=timezone(timedelta(hours=-5))),
        datetime(2050, 2, 1, 23, tzinfo=UTC),
    ),
]


@pytest.mark.parametrize(("until", "end"), UNTIL, ids=lambda value: str(value))
def test_an_entry_lives_to_the_end_of_its_until_and_no_longer(
    until: Any, end: datetime, make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(TEST_IDENTIFIERS={REVIEWER: {"code": CODE, "until": until}})

    clock.move_to(end - timedelta(milliseconds=1), tick=False)
    assert world.verify(world.initiate(), CODE).status_code == 200
    assert world.outbox == []

    clock.move_to(end, tick=False)
    session_id = world.initiate()
    assert len(world.outbox) == 1
    if world.code != CODE:
        assert world.verify(session_id, CODE).status_code == 401
    assert world.verify(session_id, world.code).status_code == 200


def test_a_dead_entry_is_under_the_send_limits_again(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(
        guarded=True, TEST_IDENTIFIERS={REVIEWER: {"code": CODE, "until": "2050-01-01"}}
    )

    assert world.client.post("/otp/initiate", json=ASK).status_code == 200
    assert world.client.post("/otp/initiate", json=ASK).status_code == 429
    assert len(world.outbox) == 1


def test_a_session_of_a_reviewer_gets_a_drawn_code_at_a_resend_after_the_end(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(TEST_IDENTIFIERS={REVIEWER: ENTRY})
    clock.move_to(END - timedelta(seconds=1), tick=False)
    session_id = world.initiate()
    clock.move_to(END, tick=False)

    world.client.post("/otp/resend", json={"sessionId": session_id})

    assert len(world.outbox) == 1
    assert world.verify(session_id, world.code).status_code == 200


BAD: list[Any] = [
    [REVIEWER],
    "+46701234567",
    None,
    {"not a number": ENTRY},
    {"reviewer@": ENTRY},
    {"": ENTRY},
    {46701234567: ENTRY},
    {None: ENTRY},
    {REVIEWER: CODE},
    {REVIEWER: None},
    {REVIEWER: [CODE, "2050-02-01"]},
    {REVIEWER: {"code": CODE}},
    {REVIEWER: {"until": "2050-02-01"}},
    {REVIEWER: {**ENTRY, "note": "for the review"}},
    {REVIEWER: {**ENTRY, "until": None}},
    {REVIEWER: {**ENTRY, "until": ""}},
    {REVIEWER: {**ENTRY, "until": "next year"}},
    {REVIEWER: {**ENTRY, "until": "2050-02-30"}},
    {REVIEWER: {**ENTRY, "until": "01/02/2026"}},
    {REVIEWER: {**ENTRY, "until": 1770000000}},
    {REVIEWER: {**ENTRY, "until": True}},
    {REVIEWER: {**ENTRY, "code": 246810}},
    {REVIEWER: {**ENTRY, "code": "24681"}},
    {REVIEWER: {**ENTRY, "code": "2468101"}},
    {REVIEWER: {**ENTRY, "code": "24681a"}},
    {REVIEWER: {**ENTRY, "code": " 24681"}},
    {REVIEWER: {**ENTRY, "code": "246-81"}},
    {REVIEWER: {**ENTRY, "code": ""}},
    {REVIEWER: {**ENTRY, "code": None}},
    {REVIEWER: {**ENTRY, "code": "\u0662\u0664\u0666\u0668\u0661\u0660"}},
    {REVIEWER: {**ENTRY, "code": "\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2"}},
]


@pytest.mark.parametrize("entries", BAD, ids=ascii)
def test_a_wrong_entry_stops_the_start_and_its_code_is_not_printed(entries: Any) -> None:
    app = Flask("fixed")
    app.config.update(
        SECRET_KEY="a secret key for tests, over 32 bytes long", OTP_AUTH_TEST_IDENTIFIERS=entries
    )

    with pytest.raises(ConfigurationError) as refused:
        FlaskOtpAuth(app)

    assert refused.value.key == "OTP_AUTH_TEST_IDENTIFIERS"
    assert "24681" not in str(refused.value)
    assert REVIEWER not in str(refused.value)


def test_the_code_of_an_entry_has_as_many_digits_as_all_codes(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    eight = {REVIEWER: {"code": "24681012", "until": "2050-02-01"}}
    world = make_world(CODE_LENGTH=8, TEST_IDENTIFIERS=eight)

    assert world.verify(world.initiate(), "2468 1012").status_code == 200
    with pytest.raises(ConfigurationError):
        make_world(CODE_LENGTH=6, TEST_IDENTIFIERS=eight)


def test_two_spellings_of_one_identifier_are_no_two_codes_for_it() -> None:
    other = {**ENTRY, "code": "135791"}

    with pytest.raises(ValueError, match=r"\+467\*+67"):
        read({REVIEWER: ENTRY, "0046 70 123 45 67": other}, 6, None)


def test_changing_the_config_after_the_start_changes_no_code(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    entries = {REVIEWER: dict(ENTRY)}
    world = make_world(TEST_IDENTIFIERS=entries)
    entries[REVIEWER]["code"] = "999999"
    entries["+46707654321"] = ENTRY

    assert world.verify(world.initiate(), CODE).status_code == 200
    world.initiate("+46707654321")
    assert len(world.outbox) == 1


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "flask_otp_auth" and record.levelno == logging.WARNING
    ]


def test_the_start_warns_of_each_entry_and_does_not_print_its_code(
    make_world: MakeWorld, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    make_world(
        TEST_IDENTIFIERS={
            REVIEWER: ENTRY,
            "reviewer@example.com": {"code": "135791", "until": "2025-12-31"},
        }
    )

    living, dead = warnings_of(caplog)
    assert "+467*****67 signs in with a fixed code until 2050-02-02" in living
    assert "r***@example.com has expired" in dead
    for secret in (CODE, "135791", REVIEWER, "reviewer@"):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("code", "days", "told"),
    [
        ("000000", 30, ["a code that anybody would try first"]),
        ("345678", 30, ["a code that anybody would try first"]),
        ("654321", 30, ["a code that anybody would try first"]),
        (CODE, 365, []),
        (CODE, 367, ["works for more than a year"]),
        ("111111", 400, ["a code that anybody would try first", "works for more than a year"]),
    ],
)
def test_the_start_warns_of_a_code_that_is_easily_guessed_and_of_an_end_that_is_far(
    code: str,
    days: int,
    told: list[str],
    make_world: MakeWorld,
    clock: time_machine.Traveller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    until = (NOW + timedelta(days=days)).isoformat()
    make_world(TEST_IDENTIFIERS={REVIEWER: {"code": code, "until": until}})

    _entry, *found = warnings_of(caplog)
    assert len(found) == len(told)
    assert all(text in line for text, line in zip(told, found, strict=True))
    assert code not in caplog.text


def test_no_entry_no_warning(
    make_world: MakeWorld, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    make_world()

    assert warnings_of(caplog) == []


def test_an_entry_is_announced_as_expired_from_its_end_on(
    make_world: MakeWorld, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    clock.move_to(NOW, tick=False)
    for until in (NOW + timedelta(milliseconds=1), NOW):
        make_world(TEST_IDENTIFIERS={REVIEWER: {"code": CODE, "until": until}})

    living, dead = warnings_of(caplog)
    assert "signs in" in living
    assert "has expired" in dead
    assert CODE not in repr(FixedCode(CODE, NOW))
