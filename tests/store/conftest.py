"""The database of one test, and the documents of its accounts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from stored import Account, Documents, Make


@pytest.fixture
def database(mongo_uri: str) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as client:
        yield client.get_default_database()


@pytest.fixture
def documents(database: Database[dict[str, Any]]) -> Documents:
    return database["accounts"]


@pytest.fixture
def make_account(database: Database[dict[str, Any]]) -> Make:
    """Make an account in the database of the test, with what ``Account`` takes."""
    return partial(Account, database)
