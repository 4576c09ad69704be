"""A real mongod for the whole run, and an application with its outbox for each test."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, settings
from pymongo import MongoClient
from support.databases import Databases
from support.mongod import mongod_in_memory
from support.world import NOW, MakeWorld, World, build_world

from flask_otp_auth.testing.pytest_plugin import with_database

# A slow machine is no fault of the code, and a CI run must not depend on luck.
settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # that of a busy machine
)
settings.load_profile("tests")


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


@pytest.fixture(scope="session")
def databases_of_the_run(mongo_server: str) -> Iterator[Databases]:
    """The databases that tests use one after the other."""
    with contextlib.closing(Databases(mongo_server)) as databases:
        yield databases


@pytest.fixture
def mongo_uri(databases_of_the_run: Databases, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of its own for one test, without documents; the usual indexes may be there.

    With the marker ``new_database`` there is no collection in it.
    """
    if request.node.get_closest_marker("new_database"):
        yield request.getfixturevalue("otp_mongo_uri")
        return
    name = databases_of_the_run.take()
    yield databases_of_the_run.uri(name)
    databases_of_the_run.clear(name)


@pytest.fixture(scope="module")
def mongo_uri_of_module(mongo_server: str) -> Iterator[str]:
    """A database for all tests of a module, dropped after the last."""
    name = f"otp_test_{uuid.uuid4().hex[:12]}"
    yield with_database(mongo_server, name)
    with MongoClient[dict[str, Any]](mongo_server) as client:
        client.drop_database(name)


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
