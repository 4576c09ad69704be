"""An application under test with its outbox, and the factory that builds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from flask_limiter import Limiter
from flask_pymongo import PyMongo
from limits.storage.mongodb import MongoDBStorage
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.monitoring import CommandListener

from flask_otp_auth import FlaskOtpAuth

SECRET_KEY = "a secret key for tests, over 32 bytes long"
UNGUARDED = dict.fromkeys(
    ["CLIENT_LIMITS", "IDENTIFIER_LIMITS", "LOCKOUT_THRESHOLD", "DISABLE_AFTER"]
)
# After the clock of any server, whose TTL index would clean up under a test otherwise.
NOW = datetime(2050, 1, 2, 12, 30, 0, tzinfo=UTC)
# The documents of accounts with wrong codes in a row.
FAILED = {"failures": {"$gt": 0}}


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
        """Close the connections to the database, and those of a Limiter of the host."""
        assert self.mongo.cx is not None
        self.mongo.cx.close()
        for limiter in self.app.extensions.get("limiter", ()):
            storage = limiter._storage
            if isinstance(storage, MongoDBStorage):
                # One without a client would open one in its destructor, whenever that runs.
                storage._storage = storage._storage or MongoClient(connect=False)
                storage._storage.close()


Prepare = Callable[[Flask], Limiter | None]


def build_world(
    mongo_uri: str,
    *,
    config: dict[str, Any] | None = None,
    handlers: bool = True,
    guarded: bool = False,
    listeners: Sequence[CommandListener] = (),
    prepare: Prepare = lambda app: None,
    **options: Any,
) -> World:
    """Build an application; the one who does closes its ``mongo.cx``.

    :param config: keys that are written with another prefix, such as ``JWT_TOKEN_LOCATION``.
    :param handlers: whether the required handlers are registered.
    :param guarded: whether the default limits and lockouts stay, which most tests would only run
        into.
    :param listeners: hear what goes to the database.
    :param prepare: gets the app before FlaskOtpAuth does, and may return the Limiter to give it.
    :param options: ``CODE_LENGTH=4`` sets ``OTP_AUTH_CODE_LENGTH``.
    """
    app = Flask("world")
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=mongo_uri)
    app.config.update(config or {})
    options = options if guarded else {**UNGUARDED, **options}
    app.config.update({f"OTP_AUTH_{key}": value for key, value in options.items()})
    world = World(app, FlaskOtpAuth(), PyMongo(app, event_listeners=listeners))
    try:
        world.otp.init_app(app, mongo=world.mongo, limiter=prepare(app))
    except BaseException:
        world.close()
        raise
    if options.get("REFRESH_TOKEN"):
        manager = app.extensions["flask-jwt-extended"]
        manager.user_lookup_loader(lambda header, claims: {"id": claims["sub"]})
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
