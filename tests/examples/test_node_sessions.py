"""Switching over from the Node plugin: who has asked for a code there notices nothing here."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from pymongo.collection import Collection
from support.servers import PATIENCE, threaded
from support.world import SECRET_KEY

from recipes import node_sessions

CODE = "480213"
WRONG = "480214"
LOCKED = {
    "status": "locked",
    "message": "Too many failed attempts. Session is locked.",
    "remainingAttempts": 0,
}


@pytest.fixture
def app(mongo_uri: str) -> Iterator[Flask]:
    """The application that takes the place of the Node server."""
    app = node_sessions.create_app(
        {"SECRET_KEY": SECRET_KEY, "MONGO_URI": mongo_uri, "TESTING": True}
    )
    yield app
    app.extensions["otp_auth"].mongo.cx.close()


@pytest.fixture
def sessions(app: Flask) -> Collection[dict[str, Any]]:
    """The collection of the Node plugin, with the index that it makes."""
    collection: Collection[dict[str, Any]] = app.extensions["otp_auth"].mongo.db["otp_sessions"]
    collection.create_index("createdAt", expireAfterSeconds=86400)
    return collection


def node_session(sessions: Collection[dict[str, Any]], **changes: Any) -> str:
    """Store a session as ``createSession`` of @flink-app/otp-auth-plugin 1.0.0 does."""
    now = datetime.now(UTC)
    session = {
        "_id": ObjectId(),
        "sessionId": secrets.token_hex(16),
        "identifier": "+46701234567",
        "method": "sms",
        "code": CODE,
        "attempts": 0,
        "maxAttempts": 3,
        "status": "pending",
        "createdAt": now,
        "expiresAt": now + timedelta(seconds=300),
        "payload": {"language": "sv"},
    } | changes
    sessions.insert_one(session)
    return str(session["sessionId"])


def verify(app: Flask, session_id: str, code: str) -> Any:
    return app.test_client().post("/otp/verify", json={"sessionId": session_id, "code": code})


def test_a_code_that_the_node_server_sent_signs_its_owner_in(
    app: Flask, sessions: Collection[dict[str, Any]]
) -> None:
    session_id = node_session(sessions)

    answer = verify(app, session_id, CODE)

    assert (answer.status_code, answer.json["data"]["status"]) == (200, "success")
    assert answer.json["data"]["user"] == {"id": "+46701234567"}
    assert answer.json["data"]["token"].startswith("eyJ")
    again = verify(app, session_id, CODE)
    assert (again.status_code, again.json["error"]["detail"]) == (400, "Session already verified")


def test_without_the_recipe_that_code_would_be_refused(
    app: Flask, sessions: Collection[dict[str, Any]]
) -> None:
    session_id = node_session(sessions)
    app.before_request_funcs.clear()

    assert verify(app, session_id, CODE).status_code == 404


def test_tries_that_were_used_there_are_used_here(
    app: Flask, sessions: Collection[dict[str, Any]]
) -> None:
    session_id = node_session(sessions, attempts=1)

    wrong, last, right = (verify(app, session_id, code) for code in (WRONG, WRONG, CODE))

    assert (wrong.status_code, wrong.json["data"]["remainingAttempts"]) == (401, 1)
    assert (last.status_code, last.json["data"]) == (403, LOCKED)
    assert (right.status_code, right.json["data"]) == (403, LOCKED)


def test_what_ended_there_has_ended_here(app: Flask, sessions: Collection[dict[str, Any]]) -> None:
    late = datetime.now(UTC) - timedelta(seconds=1)
    verified = node_session(sessions, status="verified", verifiedAt=late)
    locked = node_session(sessions, status="locked", attempts=3)
    expired = node_session(sessions, status="expired")
    too_late = node_session(sessions, expiresAt=late)

    answers = [verify(app, session, CODE) for session in (verified, locked, expired, too_late)]

    assert [answer.status_code for answer in answers] == [400, 403, 403, 403]
    assert answers[0].json["error"]["code"] == "alreadyVerified"
    statuses = [answer.json["data"]["status"] for answer in answers[1:]]
    assert statuses == ["locked", "expired", "expired"]


def test_a_session_without_payload_or_with_one_keeps_it(
    app: Flask, sessions: Collection[dict[str, Any]]
) -> None:
    with_payload, without = node_session(sessions), node_session(sessions, payload=None)
    verify(app, with_payload, WRONG)
    verify(app, without, WRONG)

    with app.app_context():
        state = app.extensions["otp_auth"]
        found = [state.sessions.find(session) for session in (with_payload, without)]

    assert [session.payload for session in found] == [{"language": "sv"}, None]
    assert found[0].expires_at - found[0].created_at == timedelta(seconds=300)


def test_a_resend_works_for_a_session_of_the_node_server(
    app: Flask, sessions: Collection[dict[str, Any]]
) -> None:
    session_id = node_session(sessions)

    answer = app.test_client().post("/otp/resend", json={"sessionId": session_id})

    assert (answer.status_code, answer.json["data"]["sessionId"]) == (200, session_id)
    assert verify(app, session_id, CODE).status_code == 200


def test_no_code_lies_about_in_the_database_after_the_first_guess(
    app: Flask, sessions: Collection[dict[str, Any]]
) -> None:
    session_id = node_session(sessions)

    verify(app, session_id, WRONG)

    left = list(sessions.find())
    assert len(left) == 2
    assert CODE not in str(left)
    # A Node server that still runs judges it no more.
    assert sessions.find_one({"sessionId": session_id})["status"] == "locked"


def test_wrong_codes_count_for_the_account(
    app: Flask, sessions: Collection[dict[str, Any]]
) -> None:
    for session_id in [node_session(sessions) for _ in range(2)]:
        for _ in range(3):
            verify(app, session_id, WRONG)

    answer = app.test_client().post(
        "/otp/initiate", json={"identifier": "+46701234567", "method": "sms"}
    )

    assert (answer.status_code, answer.json["error"]["code"]) == (429, "identifierLocked")


def test_new_codes_are_sent_on_the_collection_of_the_node_plugin(
    app: Flask, sessions: Collection[dict[str, Any]]
) -> None:
    node_session(sessions)

    answer = app.test_client().post(
        "/otp/initiate", json={"identifier": "+46707654321", "method": "sms"}
    )

    assert answer.status_code == 200
    assert sessions.find_one({"_id": answer.json["data"]["sessionId"]})["status"] == "pending"


def test_many_guesses_at_once_get_the_tries_of_one_session(
    app: Flask, sessions: Collection[dict[str, Any]]
) -> None:
    session_id = node_session(sessions)
    answers: list[int] = []

    with threaded(app) as site:

        def guess() -> None:
            answers.append(site.verify(session_id, WRONG).status)

        threads = [threading.Thread(target=guess) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)

    assert sorted(answers) == [401] * 2 + [403] * 18


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"sessionId": 5}', b"[" * 9000])
def test_a_body_that_is_no_request_gets_the_400_that_it_always_gets(
    app: Flask, body: bytes
) -> None:
    answer = app.test_client().post(
        "/otp/verify", data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 400
