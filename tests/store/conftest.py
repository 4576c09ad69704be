"""The database of one test, and the documents of its accounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from stored import Documents


@pytest.fixture
def database(mongo_uri: str) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as client:
        yield client.get_default_database()


@pytest.fixture
def documents(database: Database[dict[str, Any]]) -> Documents:
    return database["accounts"]
