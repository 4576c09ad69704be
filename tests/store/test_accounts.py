"""One account: its sends, failures in a row, reserved tries and lock, and how they are cleared."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from bson import Int64
from pymongo.database import Database
from stored import Account, Documents, Make, at
from support.world import NOW

from flask_otp_auth.store.account import Event
from flask_otp_auth.store.accounts import AccountStore

DEFAULTS = [
    (1, timedelta(seconds=30)),
    (5, timedelta(minutes=15)),
    (20, timedelta(days=1)),
]


def test_the_window_moves_with_the_sends_and_has_no_edge_to_send_twice_as_much_at(
    make_account: Make,
) -> None:
    account = make_account([(3, timedelta(seconds=10)), (5, timedelta(minutes=15))])
    sent = [second for second in range(0, 3600, 10) if not account.wait_of(at(second))]

    for first in sent:
        assert sum(first <= second < first + 900 for second in sent) <= 5
    assert sent[:5] == [0, 10, 20, 30, 40]
    assert sent[5:10] == [900, 910, 920, 930, 940]
    assert len(account.stored["sends"]) == 5  # no more than the limits ask about


@pytest.mark.parametrize(
    ("rules", "sends", "wait"),
    [
        (DEFAULTS[:1], [0], 30),
        (DEFAULTS[:1], [-29.5], 0.5),
        ([(1, timedelta(days=1))], [0], 86_400),
        ([*DEFAULTS[:1], (2, timedelta(minutes=15)), (3, timedelta(days=1))],
         [-5000, -600, -100], 81_400),
        ([(2, timedelta(minutes=1)), (2, timedelta(hours=1))], [0, 0], 3600),
        ([(2, timedelta(hours=1)), (2, timedelta(minutes=1))], [0, 0], 3600),
    ],
)  # fmt: skip
def test_a_refusal_says_how_long_to_wait_and_who_waits_so_long_gets_the_code(
    rules: list[tuple[int, timedelta]], sends: list[float], wait: float, make_account: Make
) -> None:
    account = make_account(rules)
    for before in sends:
        assert account.wait_of(at(before)) == 0

    assert [account.wait_of() for _ in range(3)] == [pytest.approx(wait)] * 3
    assert account.wait_of(at(wait - 0.001)) == pytest.approx(0.001)
    assert account.wait_of(at(wait)) == 0


def test_a_clock_that_jumped_ahead_keeps_nobody_out_for_longer_than_the_longest_wait(
    make_account: Make,
) -> None:
    ahead = NOW + timedelta(days=3650)
    sends = make_account(DEFAULTS, threshold=6, disable_after=100, name="sends")
    sends.ask(ahead)
    assert sends.wait_of() == 30  # as if it had been sent now
    assert sends.wait_of(at(30)) == 0

    locked = make_account(threshold=1, disable_after=9, name="locked")
    locked.fail(now=ahead)
    for n in (0, 100, 899):
        refused = locked.ask(at(n))
        assert (refused.event, refused.retry_at) == (Event.LOCKED, at(900))
    assert locked.wait_of(at(900)) == 0

    reserved = make_account(threshold=1, disable_after=3, name="reserved")
    reserved.ask(ahead)
    assert reserved.wait_of() <= 2 * 3600
    # Each look counts from now on, so it has to be one of the later ones that goes through.
    assert reserved.wait_of(at(2 * 3600)) == 0


def test_only_a_send_that_failed_is_given_back_and_only_once(make_account: Make) -> None:
    account = make_account([(9, timedelta(hours=1))], threshold=6, disable_after=100)
    for now, session in ((at(0), "went out"), (at(0), "failed"), (at(1), "timed out")):
        account.ask(now, session=session)

    account.store.give_back(account.id, sent_at=at(0), session_id="failed")
    account.store.give_back(account.id, sent_at=None, session_id="timed out")
    account.store.give_back(account.id, sent_at=at(5), session_id=None)  # nothing was sent then

    assert account.stored["sends"] == [at(1), at(0)]
    assert [open_["session"] for open_ in account.stored["open"]] == ["went out"]


DOUBLING = {6: 30, 9: 60, 12: 120, 15: 240, 18: 480, **dict.fromkeys(range(21, 121, 3), 900)}


@pytest.mark.parametrize(
    ("options", "failures", "expected"),
    [
        ({"threshold": 6, "disable_after": None}, 120, DOUBLING),
        ({"threshold": 1, "step": 1}, 7, {1: 30, 2: 60, 3: 120, 4: 240, 5: 480, 6: 900, 7: 900}),
        ({"threshold": 4, "step": 2}, 7, {4: 30, 6: 60}),
        ({"threshold": 7, "step": 10}, 7, {7: 30}),
        ({"threshold": None, "disable_after": 80}, 7, {}),
    ],
)
def test_the_waits_double_by_the_threshold_and_the_tries_of_a_session(
    options: dict[str, Any], failures: int, expected: dict[int, float], make_account: Make
) -> None:
    account = make_account(**{"disable_after": 100, **options})
    waits = {}
    for failure in range(1, failures + 1):
        now = NOW + timedelta(hours=failure)
        found = account.fail(judged_at=now, now=now)
        assert found.failures == failure
        wait = account.wait_of(now)
        assert (wait > 0) is (found.event is Event.WAITING)
        if wait:
            waits[failure] = wait

    assert waits == expected


def test_a_count_far_beyond_all_bounds_still_waits_a_quarter_of_an_hour(
    make_account: Make, documents: Documents
) -> None:
    account = make_account(threshold=6)
    account.fail()
    for failures in (9_998, 2**31 - 5):
        documents.update_one({}, {"$set": {"failures": Int64(failures // 3 * 3 - 1)}})
        assert account.fail().event is Event.WAITING
        assert account.wait_of() == 900


def test_failures_between_the_steps_change_no_wait(make_account: Make) -> None:
    account = make_account(threshold=6, disable_after=100)
    for _ in range(6):
        account.fail()
    for _ in range(2):
        assert account.fail(now=at(20)).event is Event.FAILED

    assert account.wait_of(at(20)) == 10


def test_failures_lapse_a_year_after_the_last_of_them_or_at_a_right_code(
    make_account: Make,
) -> None:
    account = make_account(DEFAULTS, threshold=6, disable_after=100)
    account.ask()
    account.fail()
    last = NOW + timedelta(days=364)
    assert account.fail(judged_at=last, now=last).failures == 2

    account.ask(last + timedelta(days=200))  # which prolongs nothing
    lapse = last + timedelta(days=365)
    assert lapse < account.stored["expireAt"] < lapse + timedelta(hours=1)
    # The index only cleans up; a document that it has not found yet has lapsed as well.
    assert account.store.find(account.id, lapse - timedelta(seconds=1))[0].failures == 2
    assert account.store.find(account.id, lapse)[0].failures == 0
    assert account.fail(judged_at=lapse, now=lapse).failures == 1

    account.ask(lapse + timedelta(hours=1))
    account.succeed(judged_at=lapse + timedelta(hours=2), now=lapse + timedelta(hours=2))
    day = lapse + timedelta(days=1)
    assert day < account.stored["expireAt"] < day + timedelta(hours=2)


@pytest.mark.parametrize("damage", [{"failures": 100}, {"failures": 3}, {"sends": "often"}])
def test_time_alone_forgets_no_disabled_account_and_no_failure_of_an_unknown_time(
    damage: dict[str, Any], make_account: Make, documents: Documents
) -> None:
    account = make_account(DEFAULTS, threshold=6, disable_after=100)
    documents.insert_one({"_id": str(account.id), **damage})
    much_later = NOW + timedelta(days=3650)

    account.ask(much_later)

    assert "expireAt" not in account.stored
    assert account.store.find(account.id, much_later)[0].failures >= 3


@pytest.mark.parametrize("seconds", [3, 100, 1800, 1e9])
def test_a_failure_that_is_counted_late_still_has_its_try(
    make_account: Make, seconds: float
) -> None:
    slow = timedelta(seconds=seconds)
    account = make_account(threshold=3, disable_after=10, count_within=slow)
    account.ask(session="s", tries=10, ttl=timedelta(hours=1))

    # Judged when the code was about to expire, by a server whose clock is behind.
    last = at(3600 + 29) + min(slow, timedelta(minutes=30))

    assert account.ask(last).event is Event.RESERVED
    assert account.fail("s", judged_at=last, now=last).failures == 1


def test_a_failure_moves_a_try_from_reserved_to_failed(make_account: Make) -> None:
    account = make_account(threshold=3, disable_after=10)
    account.ask(session="s")
    for failures, left in ((1, [2]), (2, [1]), (3, []), (4, [])):
        assert account.fail("s").failures == failures
        assert [open_["tries"] for open_ in account.stored["open"]] == left


def test_no_tries_are_reserved_where_no_failure_counts(make_account: Make) -> None:
    account = make_account([(1000, timedelta(days=1))])
    assert {account.ask().tries for _ in range(50)} == {3}
    assert account.stored["open"] == []


def test_a_right_code_gives_the_tries_of_its_session_back(make_account: Make) -> None:
    account = make_account(threshold=3, disable_after=6)
    assert account.ask(session="s").settle is False
    assert account.ask(session="t").settle is True  # over half of the tries are held now
    assert account.ask().event is Event.RESERVED

    account.succeed("t", judged_at=at(1), now=at(1))

    assert account.ask(at(1)).tries == 3


def test_a_right_code_forgets_what_was_judged_before_it_in_whatever_order_they_arrive(
    make_account: Make,
) -> None:
    verdicts = [
        ("wrong", at(0.000)),
        ("right", at(0.001)),
        ("wrong", at(0.001)),
        ("wrong", at(0.002)),
        ("right", at(0.003)),
        ("wrong", at(0.003)),  # which of the two came first nobody knows, so it counts
        ("wrong", at(0.004)),
    ]
    for number, order in enumerate(list(permutations(verdicts))[::97]):
        account = make_account(threshold=6, disable_after=100, name=f"user{number}@example.com")
        account.ask()
        for kind, judged_at in order:
            call = account.fail if kind == "wrong" else account.succeed
            call(judged_at=judged_at)
        assert account.stored["failures"] == 2, order


def test_a_failure_of_before_a_right_code_that_comes_late_still_uses_its_try_up(
    make_account: Make,
) -> None:
    account = make_account(threshold=6, disable_after=100)
    account.ask(session="slow")
    account.succeed("other", judged_at=at(1), now=at(1))

    assert account.fail("slow", judged_at=at(0.5), now=at(2)).failures == 0
    assert [open_["tries"] for open_ in account.stored["open"]] == [2]


def test_an_account_cannot_be_read_in_the_collection(
    database: Database[dict[str, Any]], make_account: Make
) -> None:
    account: Account = make_account(DEFAULTS, threshold=6, disable_after=100, name="46701234567")
    account.ask(session="0" * 32)
    account.fail("0" * 32)

    assert re.fullmatch("[0-9a-f]{64}", account.stored["_id"])
    assert "70123" not in str({**account.stored, "_id": ""})
    other_key = AccountStore(database, "accounts", key=b"x" * 32, rules=account.store.rules)
    assert other_key.id_of("46701234567") != account.id


@pytest.mark.parametrize("ahead", [timedelta(minutes=1), timedelta(days=1)], ids=str)
@pytest.mark.parametrize("by", ["right code", "unlock"])
def test_a_clock_of_the_database_that_is_set_back_hides_no_wrong_code(
    make_account: Make, documents: Documents, by: str, ahead: timedelta
) -> None:
    account = make_account(threshold=3, disable_after=5)
    account.ask(session="s")
    account.fail("s")
    if by == "unlock":
        account.store.unlock(account.id, NOW)
        documents.update_one({}, {"$set": {"clearedAt": NOW + ahead}})
    else:
        account.succeed("s", judged_at=NOW + ahead)

    events = [account.fail(judged_at=at(n), now=at(n)).event for n in range(5)]

    assert events == [Event.FAILED, Event.FAILED, Event.WAITING, Event.FAILED, Event.DISABLED]


DAMAGE: list[dict[str, Any]] = [
    *({"lockedUntil": value} for value in ("2026-01-01", 0, False, [], None)),
    *({"failures": value} for value in ("6", None, [], float("nan"), True, -1, Int64(-5))),
    *({"sends": value} for value in ("often", {"0": 1}, 5, [NOW, "now"], [1], True, None)),
    *({"failedAt": value} for value in ("often", [1], 5, None)),
    *({"open": value} for value in (1, {}, "x", [1], [{"tries": 1}], None)),
    *(
        {"open": [{"session": "s", "until": at(300), **part}]}
        for part in ({"tries": -5}, {"tries": "3"}, {"tries": None}, {"tries": 3, "until": 1})
    ),
    {"clearedAt": "now"},
]


@pytest.mark.parametrize("damage", DAMAGE, ids=repr)
def test_a_damaged_account_is_locked_until_an_unlock_and_never_open(
    damage: dict[str, Any], make_account: Make, documents: Documents
) -> None:
    account = make_account(DEFAULTS, threshold=6, disable_after=100)
    account.ask(session="s")
    account.fail("s")
    documents.update_one({}, {"$set": damage})

    account.store.give_back(account.id, sent_at=NOW, session_id="t")
    for now in (at(0), at(3600), NOW + timedelta(days=365)):
        refused = account.ask(now)
        assert (refused.event, refused.retry_at) == (Event.DISABLED, None)
    account.succeed("s", judged_at=at(1), now=at(1))
    assert account.ask(at(3600)).event is Event.DISABLED
    account.fail("s")
    assert account.ask(at(3600)).event is Event.DISABLED
    [record] = account.store.find(account.id, NOW)
    assert record.failures >= 100

    assert account.store.unlock(account.id, NOW) is True
    assert account.ask(at(3600)).event is Event.SENT
