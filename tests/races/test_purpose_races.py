"""Parallel confirmations of one code for a purpose, over four processes."""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
from support.world import MakeWorld, World, build_world

from flask_otp_auth.exceptions import SessionAlreadyVerified

pytestmark = [
    pytest.mark.races,
    pytest.mark.skipif(sys.platform == "win32", reason="as the other races"),
]

PROCESSES, THREADS = 4, 10
BOUND: dict[str, Any] = {"purpose": "change-email", "subject": 7}


def confirm(world: World, session_id: str, code: str) -> str:
    with world.app.app_context():
        try:
            return str(world.otp.confirm(session_id, code, **BOUND).status)
        except SessionAlreadyVerified:
            return "used"


def confirm_all(uri: str, rounds: list[tuple[str, list[str]]], start: Barrier, told: Any) -> None:
    """Confirm all codes of a session at once from one process, and tell the outcomes of each."""
    world = build_world(uri, guarded=True)
    with ThreadPoolExecutor(THREADS) as threads:
        for session_id, codes in rounds:
            start.wait(60)
            outcomes = threads.map(lambda code, id_=session_id: confirm(world, id_, code), codes)
            told.put((session_id, list(outcomes)))
    world.close()


def together(uri: str, *rounds: tuple[str, list[str]]) -> list[Counter[str]]:
    """Confirm all codes of each session at once, over all processes."""
    spawn = get_context("spawn")
    start, told = spawn.Barrier(PROCESSES), spawn.Queue()
    processes: list[SpawnProcess] = []
    for n in range(PROCESSES):
        shares = [(session_id, codes[n::PROCESSES]) for session_id, codes in rounds]
        processes.append(spawn.Process(target=confirm_all, args=(uri, shares, start, told)))
        processes[-1].start()
    outcomes: dict[str, Counter[str]] = {session_id: Counter() for session_id, _ in rounds}
    for _ in range(PROCESSES * len(rounds)):
        session_id, seen = told.get(timeout=120)
        outcomes[session_id].update(seen)
    for process in processes:
        process.join(60)
    return list(outcomes.values())


def test_right_code_confirms_once_and_wrong_ones_get_three_verdicts(
    make_world: MakeWorld, mongo_uri: str
) -> None:
    world = make_world(guarded=True)
    with world.app.app_context():
        right, wrong = (
            world.otp.initiate(f"{name}@example.com", "email", **BOUND).session_id
            for name in ("right", "wrong")
        )
    first, second = (sent.code for sent in world.outbox)
    wrong_codes = [f"{(int(second) + n) % 10**6:06d}" for n in range(1, 201)]

    outcomes = together(mongo_uri, (right, [first] * 100), (wrong, wrong_codes))

    assert outcomes == [{"success": 1, "used": 99}, {"invalid_code": 2, "locked": 198}]
    [account] = world.accounts.find({"failures": {"$gt": 0}})
    assert account["failures"] == 3
