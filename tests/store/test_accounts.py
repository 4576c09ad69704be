"""One account: its sends, failures in a row, reserved tries and lock, and how they are cleared."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from bson import Int64
from pymongo import MongoClient
from pymongo.database import Database
from stored import Account, Documents, at
from support.mongod import mongod_in_memory
from support.world import NOW

from flask_otp_auth.exceptions import ServiceUnavailable
from flask_otp_auth.store.account import Event
from flask_otp_auth.store.accounts import AccountStore
from flask_otp_auth.store.database import database_calls
from flask_otp_auth.testing.mongod import free_port

DEFAULTS = [
    (1, timedelta(seconds=30)),
    (5, timedelta(minutes=15)),
    (20, timedelta(days=1)),
]


class TestSends:
    """Moving windows, whoever asks and from wherever."""

    def test_the_window_moves_with_the_sends_and_has_no_edge_to_send_twice_as_much_at(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, [(5, timedelta(minutes=15))])
        sent = [second for second in range(0, 3600, 10) if not account.wait_of(at(second))]

        for first in sent:
            assert sum(first <= second < first + 900 for second in sent) <= 5
        assert sent[:5] == [0, 10, 20, 30, 40]
        assert sent[5:10] == [900, 910, 920, 930, 940]

    def test_a_send_is_free_again_at_the_end_of_its_window_and_not_before(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, [(1, timedelta(seconds=30))])
        assert account.wait_of() == 0
        assert account.wait_of() == 30
        assert account.wait_of(at(29.999)) == pytest.approx(0.001)
        assert account.wait_of(at(30)) == 0

    @pytest.mark.parametrize(
        ("rules", "sends", "wait"),
        [
            (DEFAULTS[:1], [0], 30),
            (DEFAULTS[:1], [-10], 20),
            (DEFAULTS[:1], [-29.5], 0.5),
            ([(2, timedelta(hours=1))], [-3000, -100], 600),
            ([(1, timedelta(days=1))], [0], 86_400),
            ([*DEFAULTS[:1], (2, timedelta(minutes=15)), (3, timedelta(days=1))],
             [-5000, -600, -100], 81_400),
            ([(2, timedelta(minutes=1)), (2, timedelta(hours=1))], [0, 0], 3600),
            ([(2, timedelta(hours=1)), (2, timedelta(minutes=1))], [0, 0], 3600),
        ],
    )  # fmt: skip
    def test_a_refusal_says_how_long_to_wait_and_who_waits_so_long_gets_the_code(
        self,
        rules: list[tuple[int, timedelta]],
        sends: list[float],
        wait: float,
        database: Database[dict[str, Any]],
    ) -> None:
        account = Account(database, rules)
        for before in sends:
            assert account.wait_of(at(before)) == 0

        assert [account.wait_of() for _ in range(3)] == [pytest.approx(wait)] * 3
        assert account.wait_of(at(wait)) == 0

    def test_what_one_limit_refuses_is_counted_by_none(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, [(1, timedelta(seconds=30)), (2, timedelta(hours=1))])
        assert [account.wait_of(at(second)) for second in (0, 10, 20, 30)] == [0, 20, 10, 0]
        for n in range(20):
            assert account.wait_of(at(60 + 31 * n)) > 31
        stored = documents.find_one()
        assert stored is not None
        assert stored["sends"] == [at(30), at(0)]

        assert account.wait_of(at(3600)) == 0

    def test_a_document_keeps_no_more_sends_than_the_limits_ask_about(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, [(3, timedelta(seconds=10)), (5, timedelta(minutes=1))])
        for n in range(30):
            assert account.wait_of(at(13 * n)) == 0
        stored = documents.find_one()
        assert stored is not None
        assert len(stored["sends"]) == 5

    def test_accounts_are_counted_apart(self, database: Database[dict[str, Any]]) -> None:
        one = Account(database, DEFAULTS)
        other = Account(database, DEFAULTS, name="other@example.com")

        assert [one.wait_of(), one.wait_of(), other.wait_of()] == [0, 30, 0]

    def test_exactly_as_many_are_let_through_as_allowed_when_all_come_at_once(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, [(7, timedelta(minutes=1))])
        waits: list[float] = []
        barrier = threading.Barrier(24)

        def send() -> None:
            barrier.wait(30)
            waits.append(account.wait_of())

        threads = [threading.Thread(target=send) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        assert sorted(waits) == [0] * 7 + [60] * 17

    def test_a_clock_that_jumped_ahead_locks_nobody_out_for_longer_than_a_window(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, DEFAULTS, threshold=6, disable_after=100)
        assert account.wait_of(NOW + timedelta(days=3650)) == 0

        assert account.wait_of() == 30  # as if it had been sent now
        assert account.wait_of(at(30)) == 0

    def test_a_send_that_failed_is_given_back_with_its_tries(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, [(2, timedelta(hours=1))], threshold=6, disable_after=100)
        account.ask(at(0), session="went out")
        account.ask(at(1), session="failed")
        assert account.wait_of(at(2)) == 3598

        account.store.give_back(account.id, sent_at=at(1), session_id="failed")

        stored = documents.find_one()
        assert stored is not None
        assert stored["sends"] == [at(0)]
        assert [open_["session"] for open_ in stored["open"]] == ["went out"]
        assert account.wait_of(at(2)) == 0

    def test_a_send_of_which_nobody_knows_still_counts_and_only_its_tries_are_given_back(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, [(2, timedelta(hours=1))], threshold=6, disable_after=100)
        account.ask(at(0), session="went out")
        account.ask(at(1), session="timed out")

        account.store.give_back(account.id, sent_at=None, session_id="timed out")

        stored = documents.find_one()
        assert stored is not None
        assert stored["sends"] == [at(1), at(0)]
        assert [open_["session"] for open_ in stored["open"]] == ["went out"]

    def test_of_two_sends_at_one_moment_only_one_is_given_back(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, [(3, timedelta(hours=1))])
        account.ask()
        account.ask()
        account.store.give_back(account.id, sent_at=NOW, session_id=None)
        account.store.give_back(account.id, sent_at=at(5), session_id=None)  # nothing was sent then

        stored = documents.find_one()
        assert stored is not None
        assert stored["sends"] == [NOW]

    def test_a_first_send_is_not_refused_because_another_was_counted_at_that_moment(self) -> None:
        """Two processes that both find no account both try to insert it; one of them is second."""
        with mongod_in_memory(["--setParameter=enableTestCommands=1"]) as mongod:
            clients = [MongoClient[dict[str, Any]](mongod.uri("otp")) for _ in range(2)]
            accounts = [
                Account(client.get_default_database(), [(10, timedelta(minutes=1))])
                for client in clients
            ]
            before_insert = "hangBeforeUpsertPerformsInsert"
            admin, waits = clients[0].admin, []
            held = admin.command({"configureFailPoint": before_insert, "mode": "alwaysOn"})["count"]
            sends = [
                threading.Thread(target=lambda account=account: waits.append(account.wait_of()))
                for account in accounts
            ]
            for send in sends:
                send.start()
            admin.command(
                {"waitForFailPoint": before_insert, "timesEntered": held + 2, "maxTimeMS": 30_000}
            )
            admin.command({"configureFailPoint": before_insert, "mode": "off"})
            for send in sends:
                send.join(30)
            [stored] = clients[0].otp.accounts.find()
            for client in clients:
                client.close()

        assert waits == [0, 0]
        assert len(stored["sends"]) == 2


class TestFailures:
    """Waiting and disabling."""

    def waits(self, account: Account, failures: int) -> dict[int, float]:
        """Return the seconds of each wait by the failure that began it."""
        waits = {}
        for failure in range(1, failures + 1):
            now = NOW + timedelta(hours=failure)
            found = account.fail(judged_at=now, now=now)
            assert found.failures == failure
            if found.event is Event.FAILED:
                assert account.wait_of(now) == 0
            if found.event is Event.WAITING:
                waits[failure] = account.wait_of(now)
        return waits

    def test_a_lock_by_a_clock_that_jumped_ahead_is_no_longer_than_the_longest_wait(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, threshold=1, disable_after=9)
        account.fail(now=NOW + timedelta(days=3650))

        for n in (0, 100, 899):
            refused = account.ask(at(n))
            assert (refused.event, refused.retry_at) == (Event.LOCKED, at(900))
        assert account.ask(at(900)).event is Event.SENT

    def test_the_waits_double_from_30_seconds_to_a_quarter_of_an_hour(
        self, database: Database[dict[str, Any]]
    ) -> None:
        waits = self.waits(Account(database, threshold=6, disable_after=100), 40)

        doubling = {6: 30, 9: 60, 12: 120, 15: 240, 18: 480}
        assert waits == {**doubling, **dict.fromkeys(range(21, 41, 3), 900)}

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"threshold": 1, "step": 1}, {1: 30, 2: 60, 3: 120, 4: 240, 5: 480, 6: 900, 7: 900}),
            ({"threshold": 3, "step": 3}, {3: 30, 6: 60}),
            ({"threshold": 4, "step": 2}, {4: 30, 6: 60}),
            ({"threshold": 7, "step": 10}, {7: 30}),
            ({"threshold": None, "disable_after": 80}, {}),
        ],
    )
    def test_the_waits_follow_the_threshold_and_the_tries_of_a_session(
        self,
        options: dict[str, Any],
        expected: dict[int, float],
        database: Database[dict[str, Any]],
    ) -> None:
        account = Account(database, **{"disable_after": 100, **options})
        assert self.waits(account, 7) == expected

    def test_a_count_far_beyond_all_bounds_still_waits_a_quarter_of_an_hour(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, threshold=6)
        account.fail()
        for failures in (9_998, 2**31 - 5):
            documents.update_one({}, {"$set": {"failures": Int64(failures // 3 * 3 - 1)}})
            assert account.fail().event is Event.WAITING
            assert account.wait_of() == 900

    def test_a_wait_ends_at_its_millisecond(self, database: Database[dict[str, Any]]) -> None:
        account = Account(database, threshold=6, disable_after=100)
        for _ in range(6):
            account.fail()

        assert account.wait_of(at(29.999)) == pytest.approx(0.001)
        assert account.wait_of(at(30)) == 0

    def test_failures_between_the_steps_change_no_wait(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, threshold=6, disable_after=100)
        for _ in range(6):
            account.fail()
        for _ in range(2):
            assert account.fail(now=at(20)).event is Event.FAILED

        assert account.wait_of(at(20)) == 10

    def test_the_hundredth_failure_disables_for_good(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, threshold=6, disable_after=100)
        events = [account.fail(judged_at=at(n), now=at(n)).event for n in range(100)]

        assert events.count(Event.DISABLED) == 1
        assert events[-1] is Event.DISABLED
        for now in (at(1000), NOW + timedelta(days=3650)):
            refused = account.ask(now)
            assert (refused.event, refused.retry_at) == (Event.DISABLED, None)

    def test_disabling_can_be_off_while_waiting_is_on(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, threshold=6)
        for _ in range(120):
            account.fail()

        assert account.wait_of(at(900)) == 0

    def test_while_locked_and_limited_the_wait_is_the_later_of_both(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, [(1, timedelta(minutes=1))], threshold=1, step=1)
        account.ask()
        account.fail()
        refused = account.ask(at(10))

        assert refused.event is Event.LOCKED
        assert refused.retry_at == at(60)
        assert account.wait_of(at(60)) == 0

    def test_no_failure_is_lost_when_many_come_at_once(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, threshold=6, disable_after=100)
        barrier = threading.Barrier(32)

        def wrong() -> None:
            barrier.wait(30)
            account.fail()

        threads = [threading.Thread(target=wrong) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        stored = documents.find_one()
        assert stored is not None
        assert stored["failures"] == 32

    def test_failures_below_the_second_bound_lapse_a_year_after_the_last_of_them(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, DEFAULTS, threshold=6, disable_after=100)
        account.ask()
        stored = documents.find_one()
        assert stored is not None
        assert at(86_400) < stored["expireAt"] < at(86_400 + 3600)
        account.fail()
        last = NOW + timedelta(days=364)
        assert account.fail(judged_at=last, now=last).failures == 2

        stored = documents.find_one()
        assert stored is not None
        lapse = last + timedelta(days=365)
        assert lapse < stored["expireAt"] < lapse + timedelta(hours=1)
        # The index only cleans up; a document that it has not found yet has lapsed as well.
        assert account.store.find(account.id, lapse - timedelta(seconds=1))[0].failures == 2
        assert account.store.find(account.id, lapse)[0].failures == 0
        assert account.fail(judged_at=lapse, now=lapse).failures == 1

    def test_a_right_code_leaves_nothing_to_keep_for_a_year(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, DEFAULTS, threshold=6, disable_after=100)
        account.ask()
        account.fail()
        account.succeed(judged_at=at(1), now=at(1))

        stored = documents.find_one()
        assert stored is not None
        assert at(86_400) < stored["expireAt"] < at(86_400 + 3600)
        account.store.create_indexes()
        assert documents.index_information()["expireAt_1"]["expireAfterSeconds"] == 0

    @pytest.mark.parametrize("damage", [{"failures": 100}, {"failures": 3}, {"sends": "often"}])
    def test_time_alone_forgets_no_disabled_account_and_no_failure_of_an_unknown_time(
        self, damage: dict[str, Any], database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, DEFAULTS, threshold=6, disable_after=100)
        documents.insert_one({"_id": str(account.id), **damage})
        much_later = NOW + timedelta(days=3650)

        account.ask(much_later)

        assert documents.find_one({"expireAt": {"$exists": True}}) is None
        assert account.store.find(account.id, much_later)[0].failures >= 3


class TestTries:
    """Never more wrong codes in a row than allowed, whatever is opened side by side."""

    def test_open_sessions_hold_their_tries_until_they_lapse(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, threshold=3, disable_after=10)
        granted = [account.ask(at(n)).tries for n in range(4)]
        assert granted == [3, 3, 3, 1]

        refused = account.ask(at(4))
        assert refused.event is Event.RESERVED
        assert refused.retry_at is not None
        lapse = (refused.retry_at - NOW).total_seconds()
        assert 300 < lapse <= 360  # the first session, and what a guess may take
        assert account.wait_of(refused.retry_at - timedelta(milliseconds=1)) > 0
        assert account.ask(refused.retry_at).tries == 3

    @pytest.mark.parametrize("seconds", [3, 100, 1800, 1e9])
    def test_a_failure_that_is_counted_late_still_has_its_try(
        self, database: Database[dict[str, Any]], seconds: float
    ) -> None:
        slow = timedelta(seconds=seconds)
        account = Account(database, threshold=3, disable_after=10, count_within=slow)
        account.ask(session="s", tries=10, ttl=timedelta(hours=1))

        # Judged when the code was about to expire, by a server whose clock is behind.
        last = at(3600 + 29) + min(slow, timedelta(minutes=30))

        assert account.ask(last).event is Event.RESERVED
        assert account.fail("s", judged_at=last, now=last).failures == 1

    def test_a_failure_moves_a_try_from_reserved_to_failed(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, threshold=3, disable_after=10)
        account.ask(session="s")
        for failures in (1, 2, 3):
            found = account.fail("s")
            assert found.failures == failures
            stored = documents.find_one()
            assert stored is not None
            left = sum(open_["tries"] for open_ in stored["open"])
            assert left == 3 - failures
        assert account.fail("s").failures == 4  # one that was not reserved counts all the same

    def test_no_tries_are_reserved_where_no_failure_counts(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, [(1000, timedelta(days=1))])
        assert {account.ask().tries for _ in range(50)} == {3}
        stored = documents.find_one()
        assert stored is not None
        assert stored["open"] == []

    def test_a_right_code_gives_the_tries_of_its_session_back(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, threshold=3, disable_after=6)
        assert account.ask(session="s").settle is False
        assert account.ask(session="t").settle is True  # over half of the tries are held now
        assert account.ask().event is Event.RESERVED

        account.succeed("t", judged_at=at(1), now=at(1))

        assert account.ask(at(1)).tries == 3

    def test_a_reservation_of_a_clock_that_is_ahead_lapses_within_hours(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, threshold=1, disable_after=3)
        account.ask(NOW + timedelta(days=3650))
        assert account.wait_of() <= 2 * 3600

        # Each look counts from now on, so it has to be one of the later ones that goes through.
        account.ask(NOW)
        stored = account.ask(NOW + timedelta(hours=2))
        assert stored.event is Event.SENT

    def test_the_bound_holds_however_admissions_and_guesses_interleave(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, threshold=3, disable_after=40, step=10)
        judged: list[int] = []

        def attack() -> None:
            for n in range(40):
                session = f"{threading.get_ident()} {n}"
                admission = account.ask(session=session, tries=10)
                if admission.event is not Event.SENT:
                    continue
                for _ in range(admission.tries):
                    judged.append(1)
                    account.fail(session)
                documents.update_one({}, {"$unset": {"lockedUntil": ""}})  # the waits are over

        threads = [threading.Thread(target=attack) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert len(judged) == 40
        stored = documents.find_one()
        assert stored is not None
        assert stored["failures"] == 40


WHEN = [at(0), at(0.001), at(0.002)]


class TestSettling:
    """A right code forgets what was judged before it, and nothing else, in whatever order."""

    @pytest.mark.parametrize(
        ("right", "wrong", "left"),
        [
            (WHEN[1], WHEN[0], 0),
            (WHEN[1], WHEN[1], 1),  # which of the two came first nobody knows, so it counts
            (WHEN[1], WHEN[2], 1),
        ],
        ids=["judged before", "judged at the same moment", "judged after"],
    )
    @pytest.mark.parametrize("first", ["settle", "failure"])
    def test_only_failures_judged_before_the_right_code_are_forgotten(
        self,
        first: str,
        right: datetime,
        wrong: datetime,
        left: int,
        database: Database[dict[str, Any]],
        documents: Documents,
    ) -> None:
        account = Account(database, threshold=6, disable_after=100)
        account.ask(session="right")
        account.ask(session="wrong")
        calls = [
            lambda: account.succeed("right", judged_at=right),
            lambda: account.fail("wrong", judged_at=wrong),
        ]
        for call in calls if first == "settle" else reversed(calls):
            call()

        stored = documents.find_one()
        assert stored is not None
        assert stored["failures"] == left

    def test_no_order_of_arrival_loses_a_failure_judged_at_or_after_a_right_code(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        verdicts = [
            ("wrong", at(0.000)),
            ("right", at(0.001)),
            ("wrong", at(0.001)),
            ("wrong", at(0.002)),
            ("right", at(0.003)),
            ("wrong", at(0.003)),
        ]
        for number, order in enumerate(permutations(verdicts)):
            if number % 7:  # a hundred of them
                continue
            name = f"user{number}@example.com"
            account = Account(database, threshold=6, disable_after=100, name=name)
            account.ask()
            for kind, judged_at in order:
                if kind == "wrong":
                    account.fail(judged_at=judged_at)
                else:
                    account.succeed(judged_at=judged_at)
            stored = documents.find_one({"_id": str(account.id)})
            assert stored is not None
            assert stored["failures"] == 1, order

    def test_a_failure_of_before_a_right_code_that_comes_late_still_uses_its_try_up(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, threshold=6, disable_after=100)
        account.ask(session="slow")
        account.succeed("other", judged_at=at(1), now=at(1))

        assert account.fail("slow", judged_at=at(0.5), now=at(2)).failures == 0
        stored = documents.find_one()
        assert stored is not None
        assert [open_["tries"] for open_ in stored["open"]] == [2]

    def test_a_right_code_ends_a_wait_and_a_disabling(
        self, database: Database[dict[str, Any]]
    ) -> None:
        account = Account(database, threshold=6, disable_after=9)
        for _ in range(9):
            account.fail()
        assert account.ask().event is Event.DISABLED

        account.succeed(judged_at=at(1), now=at(1))

        assert account.wait_of(at(1)) == 0

    def test_an_unlock_forgets_failures_and_sends_and_keeps_what_is_reserved(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, [(3, timedelta(days=1))], threshold=3, disable_after=6)
        account.ask(session="open")
        account.ask(session="tried")
        for _ in range(3):
            account.fail("tried", judged_at=at(-1), now=at(-1))

        assert account.store.unlock(account.id, NOW) is True
        assert account.store.unlock(account.id, NOW) is False

        stored = documents.find_one()
        assert stored is not None
        assert (stored["failures"], stored["sends"]) == (0, [])
        assert [open_["session"] for open_ in stored["open"]] == ["open"]
        assert [account.ask().tries, account.ask().event] == [3, Event.RESERVED]

    def test_unlock_forgets_all_of_one_account_and_nothing_of_another(
        self, database: Database[dict[str, Any]], documents: Documents
    ) -> None:
        account = Account(database, threshold=6, disable_after=100)
        other = Account(database, threshold=6, disable_after=100, name="other@example.com")
        for _ in range(7):
            account.fail()
            other.fail()

        assert account.store.unlock(account.id, NOW) is True
        stored = documents.find_one({"_id": str(other.id)})
        assert stored is not None
        assert stored["failures"] == 7


def test_an_account_cannot_be_read_in_the_collection(
    database: Database[dict[str, Any]], documents: Documents
) -> None:
    account = Account(database, DEFAULTS, threshold=6, disable_after=100, name="46701234567")
    account.ask(session="0" * 32)
    account.fail("0" * 32)

    [stored] = documents.find()
    assert re.fullmatch("[0-9a-f]{64}", stored["_id"])
    assert "70123" not in str({**stored, "_id": ""})
    other_key = AccountStore(database, "accounts", key=b"x" * 32, rules=account.store.rules)
    assert other_key.id_of("46701234567") != account.id


@pytest.mark.parametrize("name", ["admit", "fail", "settle", "unlock", "give_back"])
def test_a_database_that_is_away_lets_nothing_through(name: str) -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/otp"
    with MongoClient[dict[str, Any]](uri, connect=False) as client:
        account = Account(client.get_default_database(), DEFAULTS, threshold=6, disable_after=100)
        calls = {
            "admit": account.ask,
            "fail": account.fail,
            "settle": account.succeed,
            "unlock": lambda: account.store.unlock(account.id, NOW),
            "give_back": lambda: account.store.give_back(account.id, sent_at=NOW, session_id=None),
        }
        with pytest.raises(ServiceUnavailable), database_calls(0.2):
            calls[name]()


@pytest.mark.parametrize("ahead", [timedelta(minutes=1), timedelta(days=1)], ids=str)
@pytest.mark.parametrize("by", ["right code", "unlock"])
def test_a_clock_of_the_database_that_is_set_back_hides_no_wrong_code(
    database: Database[dict[str, Any]], documents: Documents, by: str, ahead: timedelta
) -> None:
    account = Account(database, threshold=3, disable_after=5)
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
    damage: dict[str, Any], database: Database[dict[str, Any]], documents: Documents
) -> None:
    account = Account(database, DEFAULTS, threshold=6, disable_after=100)
    account.ask(session="s")
    account.fail("s")
    documents.update_one({}, {"$set": damage})

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


@pytest.mark.parametrize("damage", [{"sends": "often"}, {"open": 7}, {"failures": []}], ids=repr)
def test_giving_a_send_back_to_a_damaged_account_repairs_nothing(
    damage: dict[str, Any], database: Database[dict[str, Any]]
) -> None:
    account = Account(database, DEFAULTS, threshold=6, disable_after=100)
    account.ask(session="s")
    database["accounts"].update_one({}, {"$set": damage})

    account.store.give_back(account.id, sent_at=NOW, session_id="s")

    assert account.ask(at(3600)).event is Event.DISABLED
