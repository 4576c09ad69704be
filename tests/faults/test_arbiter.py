"""A primary, an arbiter, and a secondary that is down: there is a primary and no majority."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from replica_set import ReplicaSet, wait_for
from support.servers import threaded
from support.world import MakeWorld, World

pytestmark = pytest.mark.slow

PHONE = {"identifier": "+46701234567", "method": "sms"}
DB_TIMEOUT = 2.0


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[ReplicaSet]:
    with ReplicaSet(tmp_path, arbiter=True) as mongo:
        yield mongo


def app_over(mongo: ReplicaSet, make_world: MakeWorld) -> World:
    """Return an app whose indexes are made, while all members are there."""
    world = make_world(config={"MONGO_URI": mongo.uri("otp")}, DB_TIMEOUT=DB_TIMEOUT)
    world.initiate("before@example.com", "email")
    assert world.verify(world.sessions.find_one()["_id"], world.code).status_code == 200
    world.outbox.clear()
    return world


def test_with_the_default_of_the_server_codes_go_out_that_nobody_can_use(
    mongo: ReplicaSet, make_world: MakeWorld
) -> None:
    world = app_over(mongo, make_world)
    _, secondary, _ = mongo.members
    mongo.kill(secondary)
    with threaded(world.app) as site:
        session_id = site.initiate()
        assert len(world.outbox) == 1
        answer = site.verify(session_id, world.wrong_code)
        assert (answer.status, bool(answer.headers["Retry-After"])) == (503, True)

        # What docs/deployment.rst says for a secondary that stays away.
        with mongo.client(mongo.members[0]) as client:
            config: dict[str, Any] = client.admin.command("replSetGetConfig")["config"]
            config["version"] += 1
            config["members"][1] |= {"votes": 0, "priority": 0}
            client.admin.command("replSetReconfig", config)
        answer = site.verify(session_id, world.code)
    assert answer.status == 200
    assert answer.json["data"]["token"]


def test_with_majority_as_the_default_no_code_goes_out_that_nobody_can_use(
    mongo: ReplicaSet, make_world: MakeWorld
) -> None:
    with MongoClient(mongo.uri("")) as client:
        client.admin.command("setDefaultRWConcern", defaultWriteConcern={"w": "majority"})
    world = app_over(mongo, make_world)
    _, secondary, _ = mongo.members
    mongo.kill(secondary)
    with threaded(world.app) as site:
        answer = site.post("/otp/initiate", PHONE)
        assert (answer.status, bool(answer.headers["Retry-After"])) == (503, True)
        assert not world.outbox

        secondary.start()
        wait_for(lambda: site.post("/otp/initiate", PHONE).status == 200, "it does not come back")
        [sent] = world.outbox
        session = world.sessions.find_one({"identifier": PHONE["identifier"]}, sort=[("_id", 1)])
        ids = [session["_id"] for session in world.sessions.find()]
        answers = [site.verify(session_id, sent.code).status for session_id in ids]
        assert session is not None
        assert 200 in answers
