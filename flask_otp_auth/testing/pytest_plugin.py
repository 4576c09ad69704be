"""The pytest fixtures, which pytest finds by the entry point of the package."""

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
    """Give the address of a real MongoDB: that of ``MONGO_URI``, or of a server for this run."""
    given = os.environ.get("MONGO_URI")
    if given:
        yield given
        return
    from .mongod import LocalMongod

    with LocalMongod() as mongod:
        yield mongod.uri("")


@pytest.fixture
def otp_mongo_uri(_otp_mongo_server: str) -> Iterator[str]:
    """Give the URI of an empty MongoDB database for one test; it is dropped afterwards.

    The server is that of the environment's ``MONGO_URI``, else one that the wheel of the extra
    ``testing`` brings, started once for the whole run.
    """
    from pymongo import MongoClient

    name = f"otp_test_{uuid.uuid4().hex[:12]}"
    uri = with_database(_otp_mongo_server, name)
    yield uri
    with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=5000) as client:
        client.drop_database(name)


@pytest.fixture(name="otp_outbox")
def _otp_outbox(app: Flask) -> Iterator[Outbox]:
    """Keep the messages of the fixture ``app`` for one test instead of sending them."""
    from .outbox import otp_outbox

    with otp_outbox(app) as outbox:
        yield outbox


def with_database(uri: str, name: str) -> str:
    """Return the URI of another database of the same server, with the same login."""
    parts = urlsplit(uri)
    query = parts.query
    if "@" in parts.netloc and "authsource=" not in query.lower():
        # A login belongs to the database of the URI unless it says otherwise.
        source = urlencode({"authSource": parts.path.strip("/") or "admin"})
        query = f"{query}&{source}" if query else source
    return parts._replace(path=f"/{name}", query=query).geturl()
