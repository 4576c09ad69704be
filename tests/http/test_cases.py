"""The shared table of bad and good requests, each sent over real HTTP."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.servers import Site, threaded
from support.world import World, build_world

CASES = json.loads((Path(__file__).parent / "cases.json").read_text())
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")  # noqa: RUF001


def ascii_id(case: dict[str, Any]) -> str:
    text = f"{case['n']} {case['desc']}"
    return text.encode("ascii", "replace").decode()


@dataclass
class Live:
    """A world that is served, and is used by many cases."""

    world: World
    site: Site


@pytest.fixture(scope="module")
def live(mongo_uri_of_module: str) -> Iterator[Live]:
    world = build_world(mongo_uri_of_module)
    with contextlib.closing(world), threaded(world.app) as site:
        yield Live(world, site)


def body_of(case: dict[str, Any], session_id: str, code: str) -> bytes:
    if case["body_b64"] is None:
        start, part, times, end = case["body_repeat"]
        return f"{start}{part * times}{end}".encode()
    body = base64.b64decode(case["body_b64"])
    # The longer names first: SESSIONID is a part of SESSIONID_UPPER.
    for name, value in {
        "SESSIONID_UPPER": session_id.upper(),
        "SESSIONID": session_id,
        "RIGHT_FULLWIDTH": code.translate(FULL_WIDTH),
        "RIGHT_HYPHEN": f" {code[:3]}-{code[3:]} ",
        "RIGHT_NBSP": f"{code[:3]}\u00a0{code[3:]}",
        "RIGHT_ZWSP": json.dumps(f"{code[:2]}\u200b{code[2:]}\t")[1:-1],
        "RIGHT": code,
    }.items():
        body = body.replace(name.encode(), value.encode())
    return body


@pytest.mark.parametrize("case", CASES, ids=ascii_id)
def test_client_gets_the_agreed_answer(case: dict[str, Any], live: Live) -> None:
    session_id = live.site.initiate()
    while session_id == session_id.upper():  # without a letter it is no other id in upper case
        session_id = live.site.initiate()
    already_sent = len(live.world.outbox)
    headers = dict(case["headers"])
    if case["content_type"] is not None:
        headers["Content-Type"] = case["content_type"]

    answer = live.site.send(
        case["method"], case["path"], body_of(case, session_id, live.world.code), headers
    )

    assert answer.status == case["status"], answer.text
    if case["codes"]:
        said = answer.json.get("error", {}).get("code") or answer.json["data"]["status"]
        assert said in case["codes"]
    if case["attempts"] is not None:
        stored = live.world.sessions.find_one({"_id": session_id})
        assert stored is not None
        assert stored["attempts"] == case["attempts"]
        assert stored["status"] == "pending"
    starts = case["path"] == "/otp/initiate" and case["method"] == "POST" and answer.status == 200
    assert len(live.world.outbox) - already_sent == (1 if starts else 0)


def test_the_table_is_whole() -> None:
    assert len(CASES) == 135
    assert len({case["n"] for case in CASES}) == 135
