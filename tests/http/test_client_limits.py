"""Send limits: moving windows by client and by identifier, counted in the host's own database."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from conftest import NOW, MakeWorld, World
from flask_otp_auth.admission import CountedBeside
from flask_otp_auth.limit_mongo import MongoWindows
from flask_otp_auth.limit_windows import windows_in
from flask_otp_auth.limits import Buckets, client_bucket
from flask_otp_auth.lockouts import LockoutStore
from flask_otp_auth.parts import utc_now
from limits import parse_many
from limits.storage import MemoryStorage, Storage
from listeners import Heard
from pymongo import MongoClient
from pymongo.database import Database

from flask_otp_auth.exceptions import InternalError, ServiceUnavailable, TooManyRequests
from flask_otp_auth.testing.mongod import LocalMongod, free_port

KEY = b"k" * 32
COUNTS = "otp_sessions.accounts"
PHONE = {"identifier": "+46701234567", "method": "sms"}


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def database(mongo_uri: str, heard: Heard) -> Any:
    with MongoClient(mongo_uri, event_listeners=[heard]) as client:
        yield client.get_default_database()


class Limits:
    """The same limits for clients and for identifiers, one of the two at a time."""

    def __init__(self, take: Callable[[Buckets, str, str | None], object], rules: str) -> None:
        items = sorted(parse_many(rules), key=lambda item: item.get_expiry())
        self._take = take
        self._of_clients = Buckets(items, [], KEY)
        self._of_identifiers = Buckets([], items, KEY)

    def hit(self, scope: str, counted: str) -> None:
        """Count one send."""
        if scope == "client":
            self._take(self._of_clients, "an identifier of no matter", counted)
        else:
            self._take(self._of_identifiers, counted, None)


def in_database(
    database: Database[dict[str, Any]], rules: str, *, timeout: float = 3, lockouts: bool = True
) -> Limits:
    store = LockoutStore(
        database,
        COUNTS,
        key=KEY,
        threshold=6 if lockouts else None,
        disable_after=None,
        step=3,
        timeout=timeout,
    )
    windows = MongoWindows(database, COUNTS, timeout=timeout)

    def take(buckets: Buckets, identifier: str, client: str | None) -> None:
        CountedBeside(store, windows, buckets).admit(identifier, client, utc_now())

    return Limits(take, rules)


def in_storage(storage: Storage, rules: str) -> Limits:
    windows = windows_in(storage, 3)

    def take(buckets: Buckets, identifier: str, client: str | None) -> None:
        counted = [*buckets.of_client(client), *buckets.of_identifier(identifier)]
        windows.take(counted, utc_now())

    return Limits(take, rules)


def wait_of(limits: Limits, counted: str = "an identifier", scope: Any = "identifier") -> int:
    """Return 0 if a send was let through, else the seconds to wait."""
    try:
        limits.hit(scope, counted)
    except TooManyRequests as refused:
        told = refused
    else:
        return 0
    assert told.scope == scope
    assert told.retry_after is not None
    return told.retry_after


def test_the_window_moves_with_the_sends_and_has_no_edge_to_send_twice_as_much_at(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "5 per 15 minutes")
    start = NOW.timestamp()
    let_through = []
    for second in range(0, 3600, 10):
        clock.move_to(start + second + 0.001 * second, tick=False)
        if not wait_of(limits):
            let_through.append(second)

    for first in let_through:
        assert sum(first <= second < first + 899 for second in let_through) <= 5
    assert let_through[:5] == [0, 10, 20, 30, 40]
    assert let_through[5:10] == [900, 910, 920, 930, 940]


def test_a_send_is_free_again_just_after_its_window_and_not_before(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "1 per 30 seconds")
    assert wait_of(limits) == 0
    clock.shift(timedelta(milliseconds=29_999))
    assert wait_of(limits) == 1
    clock.shift(timedelta(milliseconds=2))
    assert wait_of(limits) == 0


@pytest.mark.parametrize(
    ("rules", "sends", "wait"),
    [
        ("1 per 30 seconds", [0], 31),
        ("1 per 30 seconds", [-10], 21),
        ("1 per 30 seconds", [-29.5], 1),
        ("2 per hour", [-3000, -100], 601),
        ("1 per day", [0], 86_401),
        ("1 per 30 seconds; 2 per 15 minutes; 3 per day", [-5000, -600, -100], 81_401),
    ],
)
def test_a_refusal_says_how_long_to_wait(
    rules: str,
    sends: list[float],
    wait: int,
    database: Database[dict[str, Any]],
    clock: time_machine.Traveller,
) -> None:
    limits = in_database(database, rules)
    for before in sends:
        clock.move_to(NOW.timestamp() + before, tick=False)
        assert wait_of(limits) == 0
    clock.move_to(NOW, tick=False)

    assert wait_of(limits) == wait


def use_up_a_quarter_of_an_hour(limits: Limits, clock: time_machine.Traveller) -> None:
    """Send five times, 31 s apart; 155 s later the next one is refused for 745 s and the moment."""
    for _ in range(5):
        assert wait_of(limits) == 0
        clock.shift(31)


def test_asking_again_at_once_is_not_told_a_shorter_wait_than_there_is(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "1 per 30 seconds; 5 per 15 minutes; 20 per day")
    use_up_a_quarter_of_an_hour(limits, clock)

    assert [wait_of(limits), wait_of(limits)] == [746, 746]


def test_who_waits_as_long_as_was_said_gets_the_code(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "1 per 30 seconds; 5 per 15 minutes; 20 per day")
    use_up_a_quarter_of_an_hour(limits, clock)
    clock.shift(735)
    wait = wait_of(limits)
    assert wait >= 10
    clock.shift(wait + 0.001)

    assert wait_of(limits) == 0


def test_asking_in_the_cooldown_uses_up_no_longer_window(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "20 per day; 5 per 15 minutes; 1 per 30 seconds")
    for _ in range(5):
        assert wait_of(limits) == 0
        assert all(wait_of(limits) for _ in range(30))
        clock.shift(31)

    assert wait_of(limits) > 31


def test_clients_and_identifiers_are_counted_apart(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "1 per hour")

    assert wait_of(limits, "one") == 0
    assert wait_of(limits, "two") == 0
    assert wait_of(limits, "one", "client") == 0
    assert wait_of(limits, "one") > 0


def test_exactly_as_many_are_let_through_as_allowed_when_all_come_at_once(
    database: Database[dict[str, Any]],
) -> None:
    limits = in_database(database, "7 per minute")
    assert wait_of(limits) == 0
    waits: list[int] = []
    barrier = threading.Barrier(24)

    def send() -> None:
        barrier.wait(30)
        waits.append(wait_of(limits))

    threads = [threading.Thread(target=send) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert waits.count(0) == 6
    assert len(waits) == 24


def test_a_first_send_is_not_refused_because_another_was_counted_at_that_moment() -> None:
    """Two processes that both find no window yet both try to insert it; one of them is second."""
    with LocalMongod(args=["--setParameter=enableTestCommands=1"]) as mongod:
        clients = [MongoClient[dict[str, Any]](mongod.uri("otp")) for _ in range(2)]
        first, second = (in_database(c.get_default_database(), "10 per minute") for c in clients)
        assert wait_of(first, "makes the indexes") == wait_of(second, "makes the indexes") == 0
        before_insert = "hangBeforeUpsertPerformsInsert"
        admin, waits = clients[0].admin, []
        held = admin.command({"configureFailPoint": before_insert, "mode": "alwaysOn"})["count"]
        sends = [
            threading.Thread(target=lambda limits=limits: waits.append(wait_of(limits)))
            for limits in (first, second)
        ]
        for send in sends:
            send.start()
        admin.command(
            {"waitForFailPoint": before_insert, "timesEntered": held + 2, "maxTimeMS": 30_000}
        )
        admin.command({"configureFailPoint": before_insert, "mode": "off"})
        for send in sends:
            send.join(30)
        for client in clients:
            client.close()

    assert waits == [0, 0]


def test_the_store_keeps_neither_addresses_nor_identifiers(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "5 per minute")
    for scope, counted in (("client", "192.0.2.1"), ("identifier", "user@example.com")):
        limits.hit(scope, counted)  # type: ignore[arg-type]

    stored = str(list(database[COUNTS].find()))
    assert stored.count("'sent'") == 2
    assert "192.0.2.1" not in stored
    assert "user" not in stored


def test_the_same_identifier_is_another_bucket_under_another_key() -> None:
    items = parse_many("1 per hour")
    keys = {
        bucket.key
        for key in (b"a" * 32, b"b" * 32)
        for bucket in Buckets([], items, key).of_identifier("user@example.com")
    }

    assert len(keys) == 2


def test_old_entries_are_deleted_by_the_database(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "5 per 15 minutes")
    limits.hit("client", "192.0.2.1")

    index = database[COUNTS].index_information()["expireAt_1"]
    assert index["expireAfterSeconds"] == 0
    stored = database[COUNTS].find_one()
    assert stored is not None
    assert stored["expireAt"].replace(tzinfo=UTC) == NOW + timedelta(minutes=15)


def test_indexes_that_could_not_be_made_at_first_are_made_later(
    database: Database[dict[str, Any]],
) -> None:
    limits = in_database(database, "5 per minute")
    database[COUNTS].create_index("expireAt")
    with pytest.raises(InternalError):
        limits.hit("client", "192.0.2.1")

    database[COUNTS].drop_index("expireAt_1")
    limits.hit("client", "192.0.2.1")

    assert "expireAfterSeconds" in database[COUNTS].index_information()["expireAt_1"]


def test_all_limits_and_the_lockout_cost_one_command(
    database: Database[dict[str, Any]], heard: Heard, clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "1 per 30 seconds; 5 per 15 minutes; 20 per day")
    limits.hit("identifier", "user@example.com")
    heard.commands.clear()

    limits.hit("identifier", "other@example.com")
    assert heard.take() == [("update", COUNTS)]

    assert wait_of(limits, "other@example.com") == 31
    assert heard.take() == [("update", COUNTS), ("find", COUNTS)]


def test_what_one_limit_refuses_is_counted_by_none(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "1 per 30 seconds; 2 per hour")
    assert wait_of(limits) == 0
    clock.shift(31)
    assert wait_of(limits) == 0
    for _ in range(20):
        clock.shift(31)
        assert wait_of(limits) > 31
    stored = database[COUNTS].find_one()
    assert stored is not None
    assert len(stored["sent"]) == 2

    clock.move_to(NOW + timedelta(minutes=60, milliseconds=1), tick=False)
    assert wait_of(limits) == 0


def test_of_two_limits_with_as_many_sends_the_longer_holds(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "2 per hour; 2 per minute")
    assert [wait_of(limits) for _ in range(3)] == [0, 0, 3601]


def test_a_document_keeps_no_more_sends_than_the_limits_ask_about(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "3 per 10 seconds; 5 per minute")
    for _ in range(30):
        clock.shift(13)
        assert wait_of(limits) == 0
    stored = database[COUNTS].find_one()
    assert stored is not None
    assert len(stored["sent"]) == 5


@pytest.mark.parametrize("damage", [{"sent": "often"}, {"sent": {"0": 1}}, {"sent": 5}])
def test_a_damaged_document_lets_nothing_through(
    damage: dict[str, Any], database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "3 per minute")
    assert wait_of(limits) == 0
    database[COUNTS].update_one({}, {"$set": damage})

    with pytest.raises(InternalError):
        wait_of(limits)


def test_limits_hold_without_lockouts_too(
    database: Database[dict[str, Any]], heard: Heard, clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "2 per minute", lockouts=False)
    assert [bool(wait_of(limits)) for _ in range(3)] == [False, False, True]
    for command in heard.commands:
        assert "lockout:" not in str(command)


def test_nothing_is_let_through_while_the_database_is_away() -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/otp"
    with MongoClient(uri, connect=False) as client:
        limits = in_database(client.get_default_database(), "100 per second", timeout=0.2)
        for _ in range(2):
            with pytest.raises(ServiceUnavailable) as refused:
                limits.hit("client", "192.0.2.1")
            assert refused.value.retry_after == 5


class BrokenStorage(MemoryStorage):
    """A store whose client raises errors of its own, as those of Redis and Memcached do."""

    STORAGE_SCHEME = None

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        raise OSError(f"no route to the store of {key}")


def test_nothing_is_let_through_while_another_store_fails_and_the_log_says_which_setting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = in_storage(BrokenStorage(), "100 per second")

    with pytest.raises(ServiceUnavailable) as refused:
        limits.hit("identifier", "user@example.com")

    assert refused.value.retry_after is not None
    [record] = caplog.records
    assert "RATELIMIT_STORAGE_URI" in record.getMessage()
    assert refused.value.id in record.getMessage()


class FixedWindowsOnly(Storage):
    """A store that cannot move its windows, as Memcached cannot."""

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._inner = MemoryStorage()

    base_exceptions = Exception

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self._inner.incr(key, expiry, amount)

    def get(self, key: str) -> int:
        return self._inner.get(key)

    def get_expiry(self, key: str) -> float:
        return self._inner.get_expiry(key)

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        return None

    def clear(self, key: str) -> None:
        self._inner.clear(key)


def test_a_store_without_moving_windows_limits_all_the_same_and_the_log_says_what_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = in_storage(FixedWindowsOnly(), "3 per hour")

    waits = [wait_of(limits) for _ in range(5)]

    assert waits[:3] == [0, 0, 0]
    assert all(0 < wait <= 3600 for wait in waits[3:])
    assert "FixedWindowsOnly has no moving window" in caplog.text


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:0201", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002::", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("::192.0.2.1", "::/64"),
        ("", "no address"),
        ("not an address", "not an address"),
    ],
)
def test_an_address_is_counted_as_whose_it_is(address: str, bucket: str) -> None:
    assert client_bucket(address) == bucket


def ask(world: World, n: int = 0, address: str = "192.0.2.1") -> Any:
    return world.client.post(
        "/otp/initiate",
        json={"identifier": f"user{n}@example.com", "method": "email"},
        environ_base={"REMOTE_ADDR": address},
    )


def test_a_refused_client_is_told_so_and_when_to_come_back(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True)
    for n in range(10):
        assert ask(world, n).status_code == 200
    clock.shift(100)

    refused = ask(world, 10)

    error = refused.json["error"]
    assert refused.status_code == 429
    assert refused.json == {
        "status": 429,
        "error": {
            "id": error["id"],
            "title": "Too Many Requests",
            "detail": "Too many requests",
            "code": "tooManyRequests",
        },
    }
    assert refused.headers["Retry-After"] == "801"
    assert refused.headers["Cache-Control"] == "no-store"
    assert refused.headers["X-Content-Type-Options"] == "nosniff"


def test_the_default_limits_are_those_of_the_contract(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True)
    sent_to_one, sent_by_one = [], []
    for step in range(24 * 120 - 1):
        clock.move_to(NOW.timestamp() + 30.01 * step, tick=False)
        if len(sent_to_one) < 20 and ask(world, 0, f"192.0.2.{step % 250}").status_code == 200:
            sent_to_one.append(step)
        if len(sent_to_one) == 20:
            break
    last = 30.01 * sent_to_one[-1]
    assert last < 4000  # 5 in each quarter of an hour

    for later in (last + 1000, 86_399):
        clock.move_to(NOW.timestamp() + later, tick=False)
        refused = ask(world, 0, "2001:db8::1")
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) == pytest.approx(86_400 - later, abs=2)
    clock.move_to(NOW.timestamp() + 86_399 + 2, tick=False)
    assert ask(world, 0, "2001:db8::1").status_code == 200

    clock.shift(timedelta(days=2))
    begin = datetime.now(UTC).timestamp()
    for quarter in range(11):
        clock.move_to(begin + 901 * quarter, tick=False)
        answers = [ask(world, 1000 * quarter + n, "192.0.2.255").status_code for n in range(11)]
        sent_by_one.append(answers.count(200))
    assert sent_by_one == [10] * 10 + [0]


def test_limits_that_are_set_to_none_are_off(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None, IDENTIFIER_LIMITS=None)

    assert {ask(world).status_code for _ in range(40)} == {200}
    assert world.mongo.db[COUNTS].count_documents({}) == 0


def test_each_of_the_limits_can_be_off_alone(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    no_client = make_world(guarded=True, CLIENT_LIMITS=None)
    assert {ask(no_client, n).status_code for n in range(30)} == {200}
    assert ask(no_client, 0).status_code == 429

    no_identifier = make_world(guarded=True, IDENTIFIER_LIMITS=None, COLLECTION="other")
    assert [ask(no_identifier).status_code for _ in range(11)] == [200] * 10 + [429]


def test_python_calls_pass_the_limits_by_identifier_and_not_those_by_client(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS="1 per hour")
    with world.app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.1"}):
        for n in range(5):
            world.otp.initiate(f"user{n}@example.com", "email")
        with pytest.raises(TooManyRequests) as refused:
            world.otp.initiate("user0@example.com", "email")

    assert refused.value.scope == "identifier"
    assert refused.value.retry_after == 31
    assert len(world.outbox) == 5


def test_a_body_that_is_refused_uses_up_no_send(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True)
    for _ in range(20):
        bad = world.client.post("/otp/initiate", json={"identifier": "nobody", "method": "email"})
        assert bad.status_code == 400

    assert ask(world).status_code == 200


def test_init_app_asks_no_database_for_the_limits(make_world: MakeWorld, heard: Heard) -> None:
    make_world(guarded=True, listeners=[heard])

    assert heard.commands == []


def test_verify_is_under_no_send_limit(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True)
    session_id = world.initiate()
    for _ in range(30):
        world.verify("0" * 32, "000000")

    assert world.verify(session_id, world.code).status_code == 200


def test_a_limit_reached_is_no_error_in_the_log(
    make_world: MakeWorld, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(guarded=True)
    caplog.set_level(logging.WARNING)
    world.initiate()

    assert world.client.post("/otp/initiate", json=PHONE).status_code == 429
    assert [record for record in caplog.records if record.name == "flask_otp_auth"] == []
