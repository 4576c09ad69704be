"""A replica set of real mongods on loopback, and what can happen to its members."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, PyMongoError
from support.servers import freeze, thaw

from flask_otp_auth.testing.mongod import HOST, LocalMongod

NAME = "rs"
PATIENCE = 60.0  # seconds until a set that does not come back is given up
ELECTION_TIMEOUT = 2.0  # seconds; the default is 10, which a test need not wait for


class ReplicaSet:
    """Members that can be killed, frozen and brought back, each on a port that it keeps.

    :param folder: where their data lives.
    :param arbiter: whether the last of the three holds no data.
    """

    def __init__(self, folder: Path, *, arbiter: bool = False) -> None:
        self.members = [
            LocalMongod(folder / f"member{number}", args=[f"--replSet={NAME}", "--oplogSize=64"])
            for number in range(3)
        ]
        self._arbiter = arbiter
        self._frozen: set[LocalMongod] = set()

    def __enter__(self) -> ReplicaSet:
        with contextlib.ExitStack() as stack:
            for member in self.members:
                stack.enter_context(member)
            self._initiate()
            stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for member in [*self._frozen]:
            self.thaw(member)
        for member in self.members:
            self.kill(member)

    def _initiate(self) -> None:
        members: list[dict[str, Any]] = [
            {"_id": number, "host": f"{HOST}:{member.port}", "priority": 1}
            for number, member in enumerate(self.members)
        ]
        if self._arbiter:
            members[1]["priority"] = 0  # so that the first stays primary
            members[2] = {**members[2], "arbiterOnly": True, "priority": 0}
        settings = {
            "electionTimeoutMillis": int(ELECTION_TIMEOUT * 1000),
            "heartbeatIntervalMillis": 500,
            # After so long the others no longer replicate from a member that is frozen.
            "heartbeatTimeoutSecs": int(ELECTION_TIMEOUT),
        }
        config = {"_id": NAME, "members": members, "settings": settings}
        with self.client(self.members[0]) as client:
            client.admin.command("replSetInitiate", config)
        self.wait_until_whole()

    def uri(self, database: str) -> str:
        """Return the URI of a database of the set."""
        hosts = ",".join(f"{HOST}:{member.port}" for member in self.members)
        return f"mongodb://{hosts}/{database}?replicaSet={NAME}"

    def client(self, member: LocalMongod) -> MongoClient[dict[str, Any]]:
        """Return a client of one member alone."""
        return MongoClient(HOST, member.port, directConnection=True, timeoutMS=3000)

    def ask(self, member: LocalMongod, command: str | dict[str, Any]) -> dict[str, Any] | None:
        """Return what a member answers, or ``None`` if it cannot."""
        try:
            with self.client(member) as client:
                return dict(client.admin.command(command))
        except PyMongoError:
            return None

    @property
    def primary(self) -> LocalMongod:
        """The member that takes writes, once there is one."""
        found: list[LocalMongod] = []

        def is_there() -> bool:
            found[:] = [
                member
                for member in self.members
                if member not in self._frozen
                and (self.ask(member, "hello") or {}).get("isWritablePrimary")
            ]
            return len(found) == 1

        wait_for(is_there, "there is no primary")
        return found[0]

    @property
    def secondaries(self) -> Sequence[LocalMongod]:
        """All the others."""
        primary = self.primary
        return [member for member in self.members if member is not primary]

    def wait_until_whole(self) -> None:
        """Wait until every member does what it is there for."""

        def is_whole() -> bool:
            hellos = [self.ask(member, "hello") or {} for member in self.members]
            roles = [
                role
                for hello in hellos
                for role in ("isWritablePrimary", "secondary", "arbiterOnly")
                if hello.get(role)
            ]
            return len(roles) == len(self.members) and roles.count("isWritablePrimary") == 1

        wait_for(is_whole, "the replica set is not whole")

    def step_down(self) -> None:
        """Have the primary give its place to another member."""
        before = self.primary
        with self.client(before) as client, contextlib.suppress(AutoReconnect):
            client.admin.command("replSetStepDown", 20, secondaryCatchUpPeriodSecs=10)
        wait_for(lambda: self.primary is not before, "nobody takes over")

    def kill(self, member: LocalMongod) -> None:
        """End a member as a loss of power does."""
        with contextlib.suppress(RuntimeError, ProcessLookupError):
            os.kill(member.pid, signal.SIGKILL)
        member.stop()

    def freeze(self, member: LocalMongod) -> None:
        """Stop a member in the middle of what it does; its connections stay open."""
        freeze(member.pid)
        self._frozen.add(member)

    def thaw(self, member: LocalMongod) -> None:
        """Let it go on, as if no time had passed."""
        thaw(member.pid)
        self._frozen.discard(member)


def wait_for(condition: Callable[[], bool], otherwise: str, patience: float = PATIENCE) -> None:
    """Wait until *condition* is true."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
