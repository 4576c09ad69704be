"""Send limits: moving windows by client and by identifier, counted in the host's own database."""

from __future__ import annotations

import gc
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from conftest import NOW, MakeWorld, World
from limits import parse_many
from limits.storage import MemoryStorage, Storage
from listeners import Heard
from pymongo import MongoClient
from pymongo.database import Database

from flask_otp_auth.exceptions import InternalError, ServiceUnavailable, TooManyRequests
from flask_otp_auth.limit_storage import SharedMongoStorage
from flask_otp_auth.limits import SendLimits, client_bucket
from local_mongod import LocalMongod, free_port

KEY = b"k" * 32
PHONE = {"identifier": "+46701234567", "method": "sms"}


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def database(mongo_uri: str, heard: Heard) -> Any:
    with MongoClient(mongo_uri, event_listeners=[heard]) as client:
        yield client.get_default_database()


def send_limits(storage: Storage, rules: str, timeout: float = 3) -> SendLimits:
    parsed = sorted(parse_many(rules), key=lambda rule: rule.get_expiry())
    return SendLimits(storage, {"client": parsed, "identifier": parsed}, key=KEY, timeout=timeout)


def in_database(database: Database[dict[str, Any]], rules: str) -> SendLimits:
    return send_limits(SharedMongoStorage(database, "otp_sessions.limits"), rules)


def wait_of(limits: SendLimits, counted: str = "an identifier", scope: Any = "identifier") -> int:
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


def use_up_a_quarter_of_an_hour(limits: SendLimits, clock: time_machine.Traveller) -> None:
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

    stored = str(list(database["otp_sessions.limits"].find()))
    assert stored.count("entries") == 2
    assert "192.0.2.1" not in stored
    assert "user" not in stored


def test_the_same_identifier_is_another_bucket_under_another_key(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    storage = SharedMongoStorage(database, "otp_sessions.limits")
    rules = {"client": [], "identifier": parse_many("1 per hour")}
    for key in (b"a" * 32, b"b" * 32):
        SendLimits(storage, rules, key=key, timeout=3).hit("identifier", "user@example.com")

    assert database["otp_sessions.limits"].count_documents({}) == 2


def test_old_entries_are_deleted_by_the_database(
    database: Database[dict[str, Any]], clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "5 per 15 minutes")
    limits.hit("client", "192.0.2.1")

    index = database["otp_sessions.limits"].index_information()["expireAt_1"]
    assert index["expireAfterSeconds"] == 0
    stored = database["otp_sessions.limits"].find_one()
    assert stored is not None
    assert stored["expireAt"].replace(tzinfo=UTC) == NOW + timedelta(minutes=15)


def test_indexes_that_could_not_be_made_at_first_are_made_later(
    database: Database[dict[str, Any]],
) -> None:
    """The storage of the library tries only once in the life of a process."""
    limits = in_database(database, "5 per minute")
    database["otp_sessions.limits"].create_index("expireAt")
    with pytest.raises(InternalError):
        limits.hit("client", "192.0.2.1")

    database["otp_sessions.limits"].drop_index("expireAt_1")
    limits.hit("client", "192.0.2.1")

    assert "expireAfterSeconds" in database["otp_sessions.limits"].index_information()["expireAt_1"]


def test_a_send_costs_one_write_for_each_rule(
    database: Database[dict[str, Any]], heard: Heard, clock: time_machine.Traveller
) -> None:
    limits = in_database(database, "1 per 30 seconds; 5 per 15 minutes; 20 per day")
    limits.hit("identifier", "user@example.com")
    heard.commands.clear()

    limits.hit("identifier", "other@example.com")

    names = [next(iter(command)) for command in heard.commands]
    assert [name for name in names if name != "aggregate"] == ["update"] * 3


def test_the_client_of_the_host_is_shared_and_left_open(
    mongo_uri: str, heard: Heard, clock: time_machine.Traveller
) -> None:
    with MongoClient(mongo_uri, event_listeners=[heard]) as client:
        storage = SharedMongoStorage(client.get_default_database(), "otp_sessions.limits")
        assert heard.commands == []
        assert storage.storage is client
        del storage
        gc.collect()
        assert client.get_default_database()["alive"].count_documents({}) == 0


def test_nothing_is_let_through_while_the_database_is_away() -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/otp"
    with MongoClient(uri, connect=False) as client:
        storage = SharedMongoStorage(client.get_default_database(), "otp_sessions.limits")
        limits = send_limits(storage, "100 per second", timeout=0.2)
        for _ in range(2):
            with pytest.raises(ServiceUnavailable) as refused:
                limits.hit("client", "192.0.2.1")
            assert refused.value.retry_after == 5


class BrokenStorage(MemoryStorage):
    """A store whose client raises errors of its own, as those of Redis and Memcached do."""

    STORAGE_SCHEME = None

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        raise OSError(f"no route to the store of {key}")


def test_nothing_is_let_through_while_another_store_fails_and_the_log_says_which_setting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = send_limits(BrokenStorage(), "100 per second")

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
    limits = send_limits(FixedWindowsOnly(), "3 per hour")

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
        (None, "no address"),
        ("", "no address"),
        ("not an address", "not an address"),
    ],
)
def test_an_address_is_counted_as_whose_it_is(address: str | None, bucket: str) -> None:
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
        assert int(refused.headers["Retry-After"]) == pytest.approx(max(31, 86_400 - later), abs=2)
    clock.move_to(NOW.timestamp() + 86_399 + 31, tick=False)
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
    assert world.mongo.db["otp_sessions.limits"].count_documents({}) == 0


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
