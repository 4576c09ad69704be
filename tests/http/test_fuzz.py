"""Hypothesis: whatever is sent, no 5xx, no operator in a query, and no guess that is free."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from support.world import MakeWorld, World
from werkzeug.test import TestResponse

from flask_otp_auth import codes

ENDPOINTS = ["/otp/initiate", "/otp/resend", "/otp/verify"]
STATUSES = {200, 400, 401, 403, 404, 413, 415}

budget = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# What every filter for a session has, whatever a client sends.
OURS = {
    "identifier": {"$type": "string"},
    "method": {"$in": ["sms", "email"]},
    "createdAt": {"$type": "date"},
    "purpose": None,
    "binding": None,
}


class Queries(CommandListener):
    """The filters and the written documents of all commands."""

    def __init__(self) -> None:
        self.filters: list[Any] = []
        self.unknown: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        command = event.command
        match event.command_name:
            case "findAndModify":
                self.filters.append(command["query"])
            case "update":
                self.filters.extend(update["q"] for update in command["updates"])
            case "find":
                self.filters.append(command["filter"])
            case "insert" | "createIndexes" | "endSessions":
                pass
            case name:
                self.unknown.append(name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def check(self) -> None:
        """Every query names one document by text, and nothing of the client's is an operator."""
        for filter_ in self.filters:
            query = {name: filter_[name] for name in filter_ if filter_[name] != OURS.get(name, "")}
            assert isinstance(query.get("_id", query.get("identifier")), str)
            for name, value in query.items():
                if name in ("expiresAt", "resends"):
                    [(operator, bound)] = value.items()
                    assert operator in ("$gt", "$lt")
                    assert isinstance(bound, datetime | int)
                else:
                    assert name in ("_id", "identifier", "status")
                    assert isinstance(value, str)
        assert not self.unknown
        self.filters.clear()


@pytest.fixture
def queries() -> Queries:
    return Queries()


@pytest.fixture
def watched(make_world: MakeWorld, queries: Queries) -> World:
    world = make_world(listeners=[queries])
    world.initiate()  # looks at the collection before it makes the indexes
    queries.filters.clear()
    world.verify("0" * 32, "123456")
    [sent] = queries.filters  # so what is checked below is what was sent
    assert sent["_id"] == "0" * 32
    return world


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["sms", "email", "+46701234567", "user@example.com", "0" * 32, "\ud800"])
)
names = st.sampled_from(
    ["identifier", "method", "payload", "sessionId", "code", "$ne", "$where", "$oid", "_id", ""]
) | st.text(st.characters(), max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
identifiers = st.sampled_from(["+46701234567", "user@example.com"]) | values
bodies = (
    values
    | st.fixed_dictionaries(
        {"identifier": identifiers, "method": st.sampled_from(["sms", "email"]) | values},
        optional={"payload": values},
    )
    | st.fixed_dictionaries({"sessionId": values}, optional={"code": values})
)


def assert_orderly(answer: TestResponse) -> None:
    """Check that an answer is one of those that the contract has."""
    assert answer.status_code in STATUSES, answer.text
    body = json.loads(answer.text)  # the client's own reader knows about BSON
    if "error" in body:
        assert body.keys() == {"status", "error"}
        assert body["status"] == answer.status_code
        assert body["error"].keys() - {"fields"} == {"id", "title", "detail", "code"}
    else:
        assert body.keys() == {"data"}
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ENDPOINTS)
@budget
@given(body=bodies)
@example(body={"sessionId": {"$ne": None}, "code": {"$ne": None}})
@example(body={"sessionId": {"$oid": "0" * 24}, "code": "1"})
@example(body={"identifier": "+46701234567", "method": "sms", "payload": {"a": {"$oid": "zzz"}}})
def test_no_json_breaks_an_endpoint_or_gets_into_a_query(
    watched: World, queries: Queries, path: str, body: Any
) -> None:
    answer = watched.client.post(path, data=json.dumps(body), content_type="application/json")

    assert_orderly(answer)
    queries.check()


@pytest.mark.parametrize("path", ENDPOINTS)
@budget
@given(
    body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()),
    content_type=st.sampled_from(["application/json", "application/json; charset=utf-8"])
    | st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=30),
)
@example(body=b"[" * 16_000, content_type="application/json")
@example(body=b'{"a":' * 3_000, content_type="application/json")
@example(body=b"9" * 16_000, content_type="application/json")
@example(body=b'{"sessionId": "' + b"0" * 32 + b'", "code": "\\ud800"}', content_type="text/json")
def test_no_bytes_break_an_endpoint(
    watched: World, queries: Queries, path: str, body: bytes, content_type: str
) -> None:
    answer = watched.client.post(path, data=body, content_type=content_type)

    assert_orderly(answer)
    assert answer.status_code >= 400
    queries.check()


@budget
@given(data=st.data())
def test_right_code_is_right_however_it_is_grouped(watched: World, data: st.DataObject) -> None:
    session_id = watched.initiate()
    code = watched.code
    gaps = data.draw(
        st.lists(st.text(" -\t\n\u00a0\u200b\u2013\u202c", max_size=8), min_size=7, max_size=7)
    )
    typed = "".join(gap + digit for gap, digit in zip(gaps, [*code, ""], strict=True))

    assert len(typed) <= 64
    assert watched.verify(session_id, typed).json["data"]["status"] == "success"


def near_misses(code: str) -> st.SearchStrategy[str]:
    """Texts that a careless reader would take for *code*."""
    position = st.integers(0, len(code))
    other = st.characters(exclude_characters=" -", exclude_categories=["Cs"])
    return st.one_of(
        st.tuples(position, other).map(lambda at: code[: at[0]] + at[1] + code[at[0] :]),
        st.tuples(position, other).map(lambda at: code[: at[0]] + at[1] + code[at[0] + 1 :]),
        position.map(lambda at: code[:at] + code[at + 1 :]),
        st.sampled_from(
            [
                code[::-1],
                f"{code}{code}",
                f"+{code}",
                f"{code}.0",
                f"{code}\u00b2",
                f"{code[:3]}_{code[3:]}",
                f"{code}\0",
            ]
        ),
    )


@budget
@given(data=st.data())
def test_any_other_text_is_a_wrong_try_if_it_can_be_a_code(
    watched: World, data: st.DataObject
) -> None:
    session_id = watched.initiate()
    code = watched.code
    digits = st.text("0123456789", min_size=1, max_size=64)
    anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
    typed = data.draw(near_misses(code) | digits | anything)
    meant = codes.read(typed)

    answer = watched.verify(session_id, typed)

    stored = watched.sessions.find_one({"_id": session_id})
    assert stored is not None
    if meant == code:
        assert (answer.status_code, stored["status"]) == (200, "verified")
    elif codes.normalise(typed):
        tries = 0 if meant is None else 1
        assert (answer.status_code, stored["attempts"]) == (401, tries)
        assert answer.json["data"]["remainingAttempts"] == 3 - tries
    else:
        assert (answer.status_code, stored["attempts"]) == (400, 0)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=16)
member_names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="$.\0"), min_size=1, max_size=16
).filter(lambda name: name != "__proto__")
payload_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)


def payload_values(levels: int) -> st.SearchStrategy[Any]:
    """JSON of at most *levels* levels of objects and arrays."""
    if levels == 0:
        return payload_scalars
    inner = payload_values(levels - 1)
    return (
        payload_scalars
        | st.lists(inner, max_size=3)
        | st.dictionaries(member_names, inner, max_size=3)
    )


payloads = st.dictionaries(member_names, payload_values(4), max_size=4)


def in_bytes(payload: Any) -> int:
    return len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode())


@budget
@given(payload=payloads.filter(lambda payload: in_bytes(payload) <= 2048))
@example(payload={})
@example(payload={"a": {"b": {"c": {"d": [1, 1.0, True, None, ""]}}}})
@example(payload={str(n): list(range(7)) for n in range(32)})
@example(payload={"x": "y" * 2040})
@example(payload={"k" * 64: "å" * 980})
def test_payload_reaches_the_host_as_it_was_sent(watched: World, payload: dict[str, Any]) -> None:
    session_id = watched.initiate(payload=payload)
    watched.verify(session_id, watched.code)

    stored = watched.sessions.find_one({"_id": session_id})
    assert stored is not None
    sent = json.dumps(payload)
    assert json.dumps(stored["payload"]) == sent
    assert json.dumps(watched.outbox[-1].payload) == sent
    assert json.dumps(watched.lookups[-1][2]) == sent
