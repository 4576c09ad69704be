"""Applications of hosts that have a Limiter of their own."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_qualified_name, get_remote_address
from flask_pymongo import PyMongo
from limits.storage.mongodb import MongoDBStorage
from pymongo import MongoClient

from flask_otp_auth import FlaskOtpAuth
from support.world import SECRET_KEY, Sent, World

Prepare = Callable[[Flask], Limiter | None]
ASK = {"identifier": "+46701234567", "method": "sms"}
MONGODB = {"serverSelectionTimeoutMS": 200}  # so that a dead store does not hold up the tests


def limiter_of(app: Flask, **options: Any) -> Limiter:
    """Put a Limiter on *app*; that it counts in memory is none of the tests' news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Limiter(get_remote_address, app=app, **options)


@contextlib.contextmanager
def host(
    uri: str, prepare: Prepare = lambda app: None, *, testing: bool = True, **config: Any
) -> Iterator[World]:
    """An application with the default limits.

    :param prepare: gets the app before FlaskOtpAuth does, and may return the Limiter to give it.
    :param testing: what ``TESTING`` is, which switches the warnings off.
    :param config: more of ``app.config``.
    """
    app = Flask("host")
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=uri, TESTING=testing)
    app.config.update(config)
    mongo = PyMongo(app)
    world = World(app, FlaskOtpAuth(), mongo)
    try:
        limiter = prepare(app)
        world.otp.init_app(app, mongo=mongo, limiter=limiter)

        @world.otp.send_code_handler
        def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
            world.outbox.append(Sent(code, identifier, method, payload))
            return True

        @world.otp.get_user_handler
        def get_user(identifier: str, method: str, payload: Any) -> Any:
            return {"id": identifier}

        @app.get("/")
        def index() -> str:
            return "index"

        yield world
    finally:
        assert mongo.cx is not None
        mongo.cx.close()
        close_stores(app)


def limiter_in(app: Flask) -> Limiter:
    """Return the Limiter that our rules are attached to."""
    name = get_qualified_name(app.view_functions["otp_auth.initiate"])
    with app.app_context():
        [limiter] = [
            limiter
            for limiter in app.extensions.get("limiter", ())
            if limiter.limit_manager.decorated_limits(name)
        ]
    return limiter


def close_stores(app: Flask) -> None:
    """Close the clients that the storages of the limits library have opened for themselves."""
    for limiter in app.extensions.get("limiter", ()):
        storage = limiter._storage
        if isinstance(storage, MongoDBStorage):
            # One without a client would open one in its destructor, whenever that runs.
            storage._storage = storage._storage or MongoClient(connect=False)
            storage._storage.close()


def ask(world: World, n: int = 0) -> Any:
    """Ask for a code for the person number *n*."""
    body = {"identifier": f"+4670{n:07d}", "method": "sms"}
    return world.client.post("/otp/initiate", json=body)
