"""What the demo needs before it can run: a database, a few users and a secret key."""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any, cast

import click
from flask import Flask
from flask_pymongo import PyMongo
from pymongo import MongoClient, ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import PyMongoError
from werkzeug.serving import is_running_from_reloader

from flask_otp_auth.testing.mongod import LocalMongod, MongodError, find_running

DATABASE = "otp_demo"
USERS = (
    {"_id": "user-1", "identifier": "editor@example.com", "name": "Editor"},
    {"_id": "user-2", "identifier": "reader@example.com", "name": "Reader"},
    {"_id": "user-3", "identifier": "+46701234567", "name": "Phone owner"},
)

# The server belongs to the reloader's parent; its children learn where it is from this variable.
_URI_FOR_CHILDREN = "OTP_QUICKSTART_MONGO_URI"


def prepare(app: Flask) -> None:
    """Set ``SECRET_KEY`` and ``MONGO_URI`` unless they are set, and put the users in place.

    :raises click.ClickException: the database cannot be had; the message says what to do.
    """
    instance = Path(app.instance_path)
    try:
        instance.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not app.config["SECRET_KEY"]:
            app.config["SECRET_KEY"] = _stored_secret(instance / "secret_key")
        if not app.config.get("MONGO_URI"):
            app.config["MONGO_URI"] = os.environ.get("MONGO_URI") or _own_uri(instance / "mongodb")
        _prepare_users(app.config["MONGO_URI"])
    except PyMongoError as error:
        reason = re.split(r" \(configured timeouts|, Timeout:", str(error))[0]
        raise click.ClickException(
            f"The database cannot be used: {reason}\n"
            f"MONGO_URI should look like mongodb://127.0.0.1:27017/{DATABASE}"
        ) from error
    except (MongodError, OSError) as error:
        raise click.ClickException(str(error)) from error


def users_of(mongo: PyMongo) -> Collection[dict[str, Any]]:
    """Return the collection of users, in the database that ``MONGO_URI`` names."""
    return cast("Database[dict[str, Any]]", mongo.db).users


def find_or_add_user(users: Collection[dict[str, Any]], identifier: str) -> dict[str, Any] | None:
    """Return the user of an identifier, a new one if there is none."""
    new = {"_id": secrets.token_hex(12), "name": identifier.partition("@")[0]}
    return users.find_one_and_update(
        {"identifier": identifier},
        {"$setOnInsert": new},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )


def _stored_secret(file: Path) -> str:
    """Return a random key that outlives restarts, so that tokens do too."""
    file.touch(mode=0o600)
    key = file.read_text()
    if not key:
        key = secrets.token_hex(32)
        file.write_text(key)
    return key


def _own_uri(dbpath: Path) -> str:
    """Return the URI of the demo's own server, which is started if it does not run yet."""
    if is_running_from_reloader() and (inherited := os.environ.get(_URI_FOR_CHILDREN)):
        return inherited
    if running := find_running(dbpath):
        return f"{running}/{DATABASE}"  # of another command, say `flask run` beside `flask shell`
    server = _server(dbpath)
    server.start()
    _end_in_order()
    os.environ[_URI_FOR_CHILDREN] = server.uri(DATABASE)
    return server.uri(DATABASE)


@cache
def _server(dbpath: Path) -> LocalMongod:
    return LocalMongod(dbpath)


def _end_in_order() -> None:
    """Let SIGTERM and SIGHUP end Python in the usual way, so that the server is stopped too."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda signum, _frame: sys.exit(128 + signum))


def _prepare_users(uri: str) -> None:
    """Put the index and the first users in place; they may be there already."""
    # A client for this alone: that of the app must not connect before a web server has forked.
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5000) as client:
        users = client.get_default_database().users
        users.create_index("identifier", unique=True)
        for user in USERS:
            users.update_one(
                {"identifier": user["identifier"]}, {"$setOnInsert": user}, upsert=True
            )
