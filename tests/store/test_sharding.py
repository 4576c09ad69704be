"""What docs/deployment.rst says of a sharded cluster: a login asks one shard at a time."""

from __future__ import annotations

from typing import Any

from support.listeners import Heard
from support.world import MakeWorld


def shard_keys(command: dict[str, Any]) -> list[Any]:
    """Return the ids by which mongos finds the shards of a command."""
    match next(iter(command)):
        case "insert":
            return [document["_id"] for document in command["documents"]]
        case "update":
            return [part["q"]["_id"] for part in command["updates"]]
        case "findAndModify":
            return [command["query"]["_id"]]
    return [command["filter"]["_id"]]


def test_every_command_of_a_login_names_one_document_by_its_shard_key(
    make_world: MakeWorld,
) -> None:
    heard = Heard()
    limits = "9 per day"
    world = make_world(
        guarded=True, IDENTIFIER_LIMITS=limits, TRUSTED_DEVICES=3600, listeners=[heard]
    )
    token = world.verify(world.initiate(), world.code).json["data"]["deviceToken"]
    world.initiate("before@example.com", "email")
    heard.commands.clear()

    session_id = world.initiate(deviceToken=token)
    world.verify(session_id, world.wrong_code)
    world.client.post("/otp/resend", json={"sessionId": session_id})
    assert world.verify(session_id, world.code).status_code == 200
    with world.app.app_context():
        world.otp.get_session(session_id)

    names = {next(iter(command)) for command in heard.commands}
    assert names == {"insert", "update", "findAndModify", "find"}
    for command in heard.commands:
        for key in shard_keys(command):
            assert isinstance(key, str), command
