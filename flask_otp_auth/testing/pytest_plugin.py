"""The pytest fixtures, which pytest finds through an entry point of the package."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import pytest

if TYPE_CHECKING:
    from flask import Flask

    from .outbox import Outbox


@pytest.fixture(scope="session")
def _otp_mongo_server() -> Iterator[str]:
    """Return the URI of a MongoDB server: ``MONGO_URI``, or that of a server for this run."""
    given = os.environ.get("MONGO_URI")
    if given:
        yield given
        return
    from .mongod import LocalMongod

    with LocalMongod() as mongod:
        yield mongod.uri("")


@pytest.fixture
def otp_mongo_uri(_otp_mongo_server: str) -> Iterator[str]:
    """Return the URI of an empty MongoDB database, which is dropped after the test.

    The server is that of the environment variable ``MONGO_URI``. Without it, one is started for the
    whole run, from the wheel of the extra ``testing`` or from ``PATH``.
    """
    from pymongo import MongoClient

    name = f"otp_test_{uuid.uuid4().hex[:12]}"
    uri = with_database(_otp_mongo_server, name)
    yield uri
    with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=5000) as client:
        client.drop_database(name)


@pytest.fixture(name="otp_outbox")
def _otp_outbox(app: Flask) -> Iterator[Outbox]:
    """Keep the messages of the fixture ``app`` instead of sending them, for the whole test."""
    from .outbox import otp_outbox

    with otp_outbox(app) as outbox:
        yield outbox


def with_database(uri: str, name: str) -> str:
    """Return the URI of the database *name* on the same server, with the same credentials."""
    parts = urlsplit(uri)
    query = parts.query
    if "@" in parts.netloc and "authsource=" not in query.lower():
        # Credentials belong to the database of the URI unless it says otherwise.
        source = urlencode({"authSource": parts.path.strip("/") or "admin"})
        query = f"{query}&{source}" if query else source
    return parts._replace(path=f"/{name}", query=query).geturl()
