"""Databases that one test leaves to the next: creating indexes takes longer than most tests."""

from __future__ import annotations

import uuid
from typing import Any

from pymongo import MongoClient

from flask_otp_auth.testing.pytest_plugin import with_database

from .world import build_world


class Databases:
    """Databases in which nothing is left but the indexes of an application with default options.

    :param server: the URI of the server.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._client: MongoClient[dict[str, Any]] = MongoClient(server)
        self._ready: list[str] = []
        self._usual: dict[str, Any] = {}
        first = self.take()
        world = build_world(self.uri(first), guarded=True)
        world.initiate()
        world.wait_for_indexes()
        world.close()
        self._usual = self._indexes(first)
        self.clear(first)

    def uri(self, name: str) -> str:
        """Return the URI of a database."""
        return with_database(self._server, name)

    def take(self) -> str:
        """Return the name of a database without documents."""
        return self._ready.pop() if self._ready else f"otp_test_{uuid.uuid4().hex[:12]}"

    def clear(self, name: str) -> None:
        """Delete what a test stored, or the whole database if it changed more than documents."""
        indexes = self._indexes(name)
        if indexes.items() <= self._usual.items():
            for collection in indexes:
                self._client[name][collection].delete_many({})
            self._ready.append(name)
        else:
            self._client.drop_database(name)

    def close(self) -> None:
        """Drop all databases."""
        for name in self._ready:
            self._client.drop_database(name)
        self._client.close()

    def _indexes(self, name: str) -> dict[str, Any]:
        """Return the indexes of each collection, and its options."""
        database = self._client[name]
        return {
            each["name"]: (each["options"], database[each["name"]].index_information())
            if each["type"] == "collection"
            else each["type"]
            for each in database.list_collections()
        }
