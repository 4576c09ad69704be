"""Starting and stopping what is measured: one mongod, one Redis, and the apps one after another."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo import MongoClient, ReplaceOne

from flask_otp_auth.testing.mongod import LocalMongod, free_port

from .environment import HERE, MAIN, PEERS, ROOT, node_environment, python_environment, redis_server
from .targets import REDIS_URI, Target

WORKERS, THREADS = 2, 4
START_TIMEOUT = 30.0
# The data fits the cache, so that growth shows the work of a search and not the disk.
MONGOD_ARGS = ("--wiredTigerCacheSizeGB=2",)


@dataclass
class Services:
    """What every app under test shares, and where things are kept."""

    work: Path
    mongod: LocalMongod
    client: MongoClient[dict[str, Any]]
    redis: subprocess.Popen[bytes] | None = None
    redis_port: int = 0

    def database(self, target: Target) -> str:
        """Return the name of the database that is this app's alone."""
        return f"bench_{target.name.replace('-', '_')}"

    def environment(self, target: Target, port: int) -> dict[str, str]:
        """Return the environment variables of an app."""
        uri = f"redis://127.0.0.1:{self.redis_port}/0"
        return {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(PEERS / target.app))),
            "NODE_ENV": "production",
            "BENCH_MONGO_URI": self.mongod.uri(self.database(target)),
            "BENCH_WORK": str(self.work),
            "BENCH_PORT": str(port),
            "BENCH_PROCS": str(target.node_processes),
            **{name: value.replace(REDIS_URI, uri) for name, value in target.env.items()},
        }

    def start_redis(self) -> None:
        """Start a Redis that writes nothing to disk, once."""
        if self.redis is not None:
            return
        self.redis_port = free_port()
        command = [redis_server(), "--port", str(self.redis_port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self.work)]
        self.redis = _launch(command, self.work / "logs" / "redis.log", os.environ, self.work)
        _wait_for(self.redis_port, self.redis, b"PING\r\n", b"+PONG")

    def flush_redis(self) -> None:
        """Forget every count in Redis."""
        if self.redis is not None:
            _ask(self.redis_port, b"FLUSHALL\r\n")


@contextlib.contextmanager
def services(work: Path, data: Path, *, replica_set: bool = False) -> Iterator[Services]:
    """Start the mongod that everybody shares, on a new folder below *data*.

    In a replica set, every app's writes wait for the journal, unless it asks otherwise; on a
    server of its own only those do that ask for it.
    """
    (work / "logs").mkdir(parents=True, exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="mongod-", dir=data))
    try:
        args = (*MONGOD_ARGS, "--replSet=bench") if replica_set else MONGOD_ARGS
        with LocalMongod(folder, args=args) as mongod:
            if replica_set:
                _initiate(mongod)
            client = MongoClient[dict[str, Any]](mongod.uri("admin"))
            shared = Services(work, mongod, client)
            try:
                yield shared
            finally:
                client.close()
                if shared.redis is not None:
                    _stop(shared.redis)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initiate(mongod: LocalMongod) -> None:
    member = {"_id": 0, "host": f"127.0.0.1:{mongod.port}"}
    with MongoClient[dict[str, Any]](mongod.uri("admin"), directConnection=True) as client:
        client.admin.command("replSetInitiate", {"_id": "bench", "members": [member]})
        while not client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.05)


def install(services_: Services, target: Target) -> None:
    """Set up what *target* needs before anything is timed; MissingToolError if that cannot be."""
    if target.redis:
        services_.start_redis()
    if target.runtime == "node":
        node_environment(services_.work, target.app)
    else:
        _python(services_.work, target)


def prepare(services_: Services, target: Target, users: int) -> None:
    """Empty the database of *target*, then add its index and *users* users, if it needs them."""
    name = services_.database(target)
    services_.client.drop_database(name)
    services_.flush_redis()
    if target.index is not None and target.sessions is not None:
        services_.client[name][target.sessions].create_index(target.index)
    if target.seeded:
        folder, command = _seed(services_.work, target)
        subprocess.run(
            [*command, str(users)], env=services_.environment(target, 0), cwd=folder, check=True
        )


def forget_sessions(services_: Services, target: Target) -> None:
    """Delete what the warm-up left, or the peers without an index would carry it along."""
    if target.sessions is None:
        return
    if target.sqlite:
        file = services_.work / f"{target.wsgi.partition(':')[0]}.sqlite3"
        with contextlib.closing(sqlite3.connect(file, timeout=20)) as database, database:
            database.execute(f"DELETE FROM {target.sessions}")
    else:
        services_.client[services_.database(target)][target.sessions].delete_many({})


def an_hour_later(services_: Services, target: Target) -> None:
    """Make the accounts look as if their users had signed in an hour ago."""
    accounts = services_.client[services_.database(target)][f"{target.sessions}.accounts"]
    changes = [ReplaceOne({"_id": found["_id"]}, _aged(found)) for found in accounts.find()]
    accounts.bulk_write(changes, ordered=False)


def _aged(value: Any) -> Any:
    if isinstance(value, datetime):
        return value - timedelta(hours=1)
    if isinstance(value, dict):
        return {name: _aged(inner) for name, inner in value.items()}
    return [_aged(inner) for inner in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Running:
    """An app that answers on a port."""

    pid: int
    port: int


@contextlib.contextmanager
def running(services_: Services, target: Target) -> Iterator[Running]:
    """Start the app *target* and stop it in the end."""
    port = free_port()
    folder, command = _command(services_.work, target, port)
    log = services_.work / "logs" / f"{target.name}.log"
    process = _launch(command, log, services_.environment(target, port), folder)
    try:
        _wait_for(port, process, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/", log)
        yield Running(process.pid, port)
    finally:
        _stop(process)


def _python(work: Path, target: Target) -> Path:
    if target.environment == MAIN:
        return python_environment(work, MAIN, HERE / "requirements.txt")
    requirements = PEERS / target.environment / "requirements.txt"
    return python_environment(work, target.environment, requirements)


def _command(work: Path, target: Target, port: int) -> tuple[Path, list[str]]:
    if target.runtime == "node":
        return node_environment(work, target.app), ["node", next_server(target)]
    command = [str(_python(work, target)), "-m", "gunicorn", "--workers", str(WORKERS)]
    command += ["--worker-class", "gthread", "--threads", str(THREADS), "--log-level", "warning"]
    command += ["--no-control-socket", "--bind", f"127.0.0.1:{port}", target.wsgi]
    return PEERS / target.app, command


def next_server(target: Target) -> str:
    """Return the file name of a Node app's server."""
    return next((PEERS / target.app).glob("server.*js")).name


def _seed(work: Path, target: Target) -> tuple[Path, list[str]]:
    if target.runtime == "node":
        folder = node_environment(work, target.app)
        return folder, ["node", next(folder.glob("seed.*js")).name]
    return PEERS / target.app, [str(_python(work, target)), "seed.py"]


def _launch(
    command: list[str], log: Path, env: Mapping[str, str], cwd: Path
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
        probe.sendall(request)
        return probe.recv(4096)


def _wait_for(
    port: int,
    process: subprocess.Popen[bytes],
    request: bytes,
    answer: bytes,
    log: Path | None = None,
) -> None:
    until = time.monotonic() + START_TIMEOUT
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            if _ask(port, request).startswith(answer):
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {_reason(log)}")


def _reason(log: Path | None) -> str:
    """Return the line of *log* that says most about a failed start."""
    lines = log.read_text(errors="replace").strip().splitlines() if log else []
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or lines or ["it wrote nothing"])[0]


def _stop(process: subprocess.Popen[bytes]) -> None:
    # The whole group, and the second time whoever of it has outlived its parent.
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
