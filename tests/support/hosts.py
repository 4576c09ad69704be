"""Applications of hosts that have a Limiter of their own."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_qualified_name, get_remote_address

from support.world import Prepare, World, build_world

ASK = {"identifier": "+46701234567", "method": "sms"}
MONGODB = {"serverSelectionTimeoutMS": 200}  # so that a dead store does not hold up the tests


def limiter_of(app: Flask, **options: Any) -> Limiter:
    """Put a Limiter on *app*; that it counts in memory is none of the tests' news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Limiter(get_remote_address, app=app, **options)


def in_memory(app: Flask, **options: Any) -> Limiter:
    """Put a Limiter on *app* that counts in the memory of the process."""
    return limiter_of(app, storage_uri="memory://", **options)


@contextlib.contextmanager
def host(
    uri: str, prepare: Prepare = lambda app: None, *, testing: bool = True, **config: Any
) -> Iterator[World]:
    """An application with the default limits.

    :param prepare: gets the app before FlaskOtpAuth does, and may return the Limiter to give it.
    :param testing: what ``TESTING`` is, which switches the warnings off.
    :param config: more of ``app.config``.
    """
    world = build_world(uri, guarded=True, prepare=prepare, config={"TESTING": testing, **config})
    world.app.add_url_rule("/", view_func=lambda: "index")
    with contextlib.closing(world):
        yield world


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


def ask(world: World, n: int = 0) -> Any:
    """Ask for a code for the person number *n*."""
    body = {"identifier": f"+4670{n:07d}", "method": "sms"}
    return world.client.post("/otp/initiate", json=body)
