"""Latency of initiate and verify while the collection of sessions grows."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from bson import ObjectId

from .dialects import DIALECTS, phone
from .environment import say
from .load import Plan
from .servers import Running, Services, forget_sessions, prepare, running
from .targets import Target, choose
from .throughput import checked, installed, send

Document = dict[str, Any]

ROWS = "ours,node,node-index"
WARM_UP = 300
LOGINS = 100
SECONDS = 15.0
ROUNDS = 3
BATCH = 10_000
# Half of the templates are sessions that nobody finished: many codes are never typed.
BEGUN = FINISHED = 20
# Younger than the retention of a day, so that no TTL index deletes while we measure.
OLDEST = timedelta(hours=20)


def measure_growth(services: Services, sizes: list[int], *, quick: bool) -> dict[str, Any]:
    """Measure each size in turn, the apps A B A B within it, one login at a time."""
    rounds, seconds = (1, 3.0) if quick else (ROUNDS, SECONDS)
    targets, skipped = installed(services, choose(ROWS))
    points: dict[str, list[dict[str, Any]]] = {target.name: [] for target in targets}
    with contextlib.ExitStack() as stack:
        apps = {}
        for target in targets:
            prepare(services, target, 0)
            apps[target.name] = stack.enter_context(running(services, target))
            warm_up = Plan(apps[target.name].port, target.dialect, 8, WARM_UP, 60.0)
            checked(target, send(warm_up))
        for place, size in enumerate(sizes):
            for target in targets:
                fill(services, target, apps[target.name], size, place)
            services.client.admin.command("fsync")  # not while we measure
            runs: dict[str, list[dict[str, Any]]] = {target.name: [] for target in targets}
            for turn in range(rounds):
                for target in targets:
                    if size == 0:
                        forget_sessions(services, target)
                    first = WARM_UP + (place * rounds + turn) * LOGINS
                    port = apps[target.name].port
                    plan = Plan(port, target.dialect, 1, LOGINS, seconds, first)
                    runs[target.name].append(checked(target, send(plan)))
            for target in targets:
                point = _point(size, runs[target.name])
                points[target.name].append(point)
                say(
                    f"{size:8} sessions  {target.name:12} "
                    f"initiate {point['initiate_ms']:.2f} ms, verify {point['verify_ms']:.2f} ms"
                )
    return {
        "skipped": skipped,
        "targets": {
            target.name: {"title": target.title, "points": points[target.name]}
            for target in targets
        },
    }


def _point(size: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "sessions": size,
        "logins": sum(run["logins"] for run in runs),
        "initiate_ms": median(run["initiate_ms"]["p50"] for run in runs),
        "verify_ms": median(run["verify_ms"]["p50"] for run in runs),
    }


def fill(services: Services, target: Target, app: Running, size: int, place: int = 0) -> None:
    """Bring the collection of *target* to *size* sessions, made after its own ones.

    :param place: of the size among the sizes; each has users of its own, since an account gets no
        second code within 30 seconds.
    """
    assert target.sessions is not None
    sessions = services.client[services.database(target)][target.sessions]
    if size == 0:
        forget_sessions(services, target)
        return
    missing = size - sessions.count_documents({})
    if missing <= 0:
        return
    templates = _templates(services, target, app, 10**7 + place * (BEGUN + FINISHED))
    made = _sessions(templates, missing)
    while batch := [document for document, _ in zip(made, range(BATCH), strict=False)]:
        sessions.insert_many(batch, ordered=False)


def _templates(services: Services, target: Target, app: Running, first: int) -> list[Document]:
    assert target.sessions is not None
    sessions = services.client[services.database(target)][target.sessions]
    dialect = DIALECTS[target.dialect]
    since = datetime.now(UTC) - timedelta(seconds=1)
    checked(target, send(Plan(app.port, target.dialect, 1, FINISHED, 60.0, first=first)))
    for n in range(BEGUN):
        with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
            connection.sendall(dialect.begin(first + FINISHED + n))
            connection.recv(65536)
    found = list(sessions.find({"createdAt": {"$gte": since}}))
    if len(found) < BEGUN + FINISHED:
        raise RuntimeError(f"{target.name} stored {len(found)} of {BEGUN + FINISHED} sessions")
    return found


def _sessions(templates: list[Document], count: int) -> Iterator[Document]:
    """Make *count* sessions: the fields are the templates', ids, users and times are new."""
    draw = random.Random(count)
    now = datetime.now(UTC).replace(tzinfo=None)
    for n in range(count):
        document = dict(draw.choice(templates))
        created = now - OLDEST * draw.random()
        shift = created - document["createdAt"]
        session_id = f"{draw.getrandbits(128):032x}"
        document["_id"] = session_id if isinstance(document["_id"], str) else ObjectId()
        if "sessionId" in document:
            document["sessionId"] = session_id
        document["identifier"] = phone(10**7 + n % 10**7)
        for name, value in document.items():
            if isinstance(value, datetime):
                document[name] = value + shift
        yield document
