"""A real mongod for the whole run, and an application with its outbox for each test."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from flask_pymongo import PyMongo
from hypothesis import HealthCheck, settings
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.monitoring import CommandListener

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.testing.mongod import LocalMongod
from flask_otp_auth.testing.pytest_plugin import with_database as with_database

# A slow machine is no fault of the code, and a CI run must not depend on luck.
settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # that of a busy machine
)
settings.load_profile("tests")

SECRET_KEY = "a secret key for tests, over 32 bytes long"
UNGUARDED = dict.fromkeys(
    ["CLIENT_LIMITS", "IDENTIFIER_LIMITS", "LOCKOUT_THRESHOLD", "DISABLE_AFTER"]
)
# After the clock of any server, whose TTL index would clean up under a test otherwise.
NOW = datetime(2050, 1, 2, 12, 30, 0, tzinfo=UTC)
RAM_DISK = Path("/dev/shm")
ROOM_FOR_MONGOD = 2 * 1024**3  # bytes; the databases of tests are gone some minutes after them
# The documents of accounts with wrong codes in a row.
FAILED = {"failures": {"$gt": 0}}


@contextlib.contextmanager
def mongod_in_memory(args: Sequence[str] = ()) -> Iterator[LocalMongod]:
    """Run a server whose data is on the RAM disk of the system, if that has room for it.

    :param args: more arguments for ``mongod``.
    """
    with contextlib.ExitStack() as stack:
        folder: Path | None = None
        if RAM_DISK.is_dir() and shutil.disk_usage(RAM_DISK).free > ROOM_FOR_MONGOD:
            temporary = tempfile.TemporaryDirectory(prefix="otp-tests-", dir=RAM_DISK)
            folder = Path(stack.enter_context(temporary))
        yield stack.enter_context(LocalMongod(folder, args=args))


@pytest.fixture(scope="session")
def _otp_mongo_server() -> Iterator[str]:
    """In place of the server of the testing kit: most tests would wait for a disk otherwise."""
    if given := os.environ.get("MONGO_URI"):
        yield given
        return
    with mongod_in_memory() as mongod:
        yield mongod.uri("")


@pytest.fixture(scope="session")
def mongo_server(_otp_mongo_server: str) -> str:
    """The address of a real MongoDB: the one of MONGO_URI, or our own for this run."""
    return _otp_mongo_server


@pytest.fixture
def mongo_uri(otp_mongo_uri: str) -> str:
    """A database of its own for one test, dropped afterwards."""
    return otp_mongo_uri


@pytest.fixture(scope="module")
def mongo_uri_of_module(mongo_server: str) -> Iterator[str]:
    """A database for all tests of a module, dropped after the last."""
    name = f"otp_test_{uuid.uuid4().hex[:12]}"
    yield with_database(mongo_server, name)
    with MongoClient[dict[str, Any]](mongo_server) as client:
        client.drop_database(name)


@dataclass
class Sent:
    """One message of the outbox."""

    code: str
    identifier: str
    method: str
    payload: dict[str, Any] | None


@dataclass
class World:
    """An application under test and all that its handlers saw."""

    app: Flask
    otp: FlaskOtpAuth
    mongo: PyMongo
    outbox: list[Sent] = field(default_factory=list)
    users: dict[str, Any] = field(default_factory=dict)
    lookups: list[tuple[str, str, Any]] = field(default_factory=list)

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    @property
    def sessions(self) -> Collection[dict[str, Any]]:
        assert self.mongo.db is not None
        return self.mongo.db[self.app.config.get("OTP_AUTH_COLLECTION", "otp_sessions")]

    @property
    def accounts(self) -> Collection[dict[str, Any]]:
        return self.sessions.database[f"{self.sessions.name}.accounts"]

    def initiate(self, identifier: str = "+46701234567", method: str = "sms", **body: Any) -> str:
        """Start a session over HTTP and return its id."""
        answer = self.client.post(
            "/otp/initiate", json={"identifier": identifier, "method": method, **body}
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json["data"]["sessionId"])

    def verify(self, session_id: str, code: str) -> Any:
        """Try a code over HTTP and return the answer."""
        return self.client.post("/otp/verify", json={"sessionId": session_id, "code": code})

    @property
    def code(self) -> str:
        """The code that was sent last."""
        return self.outbox[-1].code

    @property
    def wrong_code(self) -> str:
        """A code of the right form that was not sent last."""
        return f"{(int(self.code) + 1) % 10 ** len(self.code):0{len(self.code)}d}"

    def wait_for_indexes(self) -> None:
        """Wait until the indexes are there, which a slow machine makes beside the requests."""
        assert self.app.extensions["otp_auth"].indexes._done.wait(30)

    def close(self) -> None:
        """Close the connections to the database."""
        assert self.mongo.cx is not None
        self.mongo.cx.close()


def build_world(
    mongo_uri: str,
    *,
    config: dict[str, Any] | None = None,
    handlers: bool = True,
    guarded: bool = False,
    listeners: Sequence[CommandListener] = (),
    **options: Any,
) -> World:
    """Build an application; the one who does closes its ``mongo.cx``.

    :param config: keys that are written with another prefix, such as ``JWT_TOKEN_LOCATION``.
    :param handlers: whether the required handlers are registered.
    :param guarded: whether the default limits and lockouts stay, which most tests would only run
        into.
    :param listeners: hear what goes to the database.
    :param options: ``CODE_LENGTH=4`` sets ``OTP_AUTH_CODE_LENGTH``.
    """
    app = Flask("world")
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=mongo_uri)
    app.config.update(config or {})
    options = options if guarded else {**UNGUARDED, **options}
    app.config.update({f"OTP_AUTH_{key}": value for key, value in options.items()})
    world = World(app, FlaskOtpAuth(), PyMongo(app, event_listeners=listeners))
    try:
        world.otp.init_app(app, mongo=world.mongo)
    except BaseException:
        world.close()
        raise
    if handlers:

        @world.otp.send_code_handler
        def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
            world.outbox.append(Sent(code, identifier, method, payload))
            return True

        @world.otp.get_user_handler
        def get_user(identifier: str, method: str, payload: Any) -> Any:
            world.lookups.append((identifier, method, payload))
            return world.users.get(identifier, {"id": f"user of {identifier}"})

    return world


MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(mongo_uri: str) -> Iterator[MakeWorld]:
    """Build applications on the database of the test, with what ``build_world`` takes."""
    worlds: list[World] = []

    def make(**options: Any) -> World:
        worlds.append(build_world(mongo_uri, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """An application with the default options."""
    return make_world()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands at NOW until a test moves it."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller
