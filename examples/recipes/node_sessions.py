"""Switch from the Node plugin without a user noticing: sessions that it opened are taken over.

Between the moment when the Node server sent a code and the moment when its owner types it, you may
put this application in its place. The first request that names such a session makes a session of
ours out of it. After ``codeTTL`` no code of the Node plugin is right any more, and you can take
this out again. Run it with ``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` set::

    flask --app examples/recipes/node_sessions.py run
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Request, request
from flask_pymongo import PyMongo
from pymongo import WriteConcern
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from flask_otp_auth import FlaskOtpAuth, Session
from flask_otp_auth.identifiers import account_of
from flask_otp_auth.store.account import Event, Reservation
from flask_otp_auth.store.database import database_calls
from flask_otp_auth.types import AccountId

SESSION_ID = re.compile(r"[0-9a-f]{32}")
TAKES_A_SESSION = ("otp_auth.verify", "otp_auth.resend")
Sessions = Collection[dict[str, Any]]


def take_over_sessions(app: Flask, sessions: Sessions) -> None:
    """Take over the sessions that the Node plugin left in *sessions*.

    Call it after ``init_app``.

    :param sessions: the collection that the Node plugin uses; it may be that of this extension.
    """
    # As durable as the verdict, so that no crash brings a code back that was taken over.
    sessions = sessions.with_options(write_concern=WriteConcern("majority"))

    @app.before_request
    def take_over() -> None:
        if request.endpoint not in TAKES_A_SESSION:
            return
        session_id = session_id_of(request)
        if session_id is not None:
            with database_calls(app.config.get("OTP_AUTH_DB_TIMEOUT", 3)):
                take_over_one(app, sessions, session_id)


def session_id_of(request: Request) -> str | None:
    """Return the session id that a request names, if it does."""
    if not 0 < (request.content_length or 0) < 16_384:
        return None
    try:
        body = json.loads(request.get_data())  # which Flask keeps, for the endpoint to read
    except (ValueError, RecursionError):
        return None
    session_id = body.get("sessionId") if isinstance(body, dict) else None
    is_one = isinstance(session_id, str) and SESSION_ID.fullmatch(session_id)
    return session_id if is_one else None


def take_over_one(app: Flask, sessions: Sessions, session_id: str) -> None:
    """Convert a session of the Node plugin, if there is one.

    Two requests may convert the same session at the same time. Both create the same document, and
    one of them finds that it exists.
    """
    found = sessions.find_one({"sessionId": session_id, "code": {"$type": "string"}})
    if found is None:
        return
    state = app.extensions["otp_auth"]
    session = session_of(found, state.accounts.id_of(account_of(found["identifier"])))
    settle = True
    if session.status == "pending":
        # Its attempts count for the account like those of any other session.
        tries = max(1, session.max_attempts - session.attempts)
        admission = state.accounts.admit(
            [session.account],
            now=datetime.now(UTC),
            reserve=Reservation(session_id, tries, session.expires_at),
            counts=False,
        )
        if admission.event is not Event.SENT:
            return
        settle = admission.settle
        session = replace(session, max_attempts=session.attempts + admission.tries)
    digest = state.digester.digest(session_id, found["code"])
    with contextlib.suppress(DuplicateKeyError):  # another request was first
        state.sessions.insert(session, digest, settle=settle)
    # The Node server must not accept the code any more, and it must not stay in plain text.
    taken = {"$set": {"status": "locked"}, "$unset": {"code": ""}}
    sessions.update_one({"_id": found["_id"]}, taken)


def session_of(found: Mapping[str, Any], account: AccountId) -> Session:
    """Return a session of the Node plugin as one of ours."""
    return Session(
        session_id=found["sessionId"],
        identifier=found["identifier"],
        method=found["method"],
        status=found["status"],
        attempts=int(found["attempts"]),
        max_attempts=int(found["maxAttempts"]),
        created_at=in_utc(found["createdAt"]),
        expires_at=in_utc(found["expiresAt"]),
        verified_at=found.get("verifiedAt"),
        payload=found.get("payload"),
        account=account,
    )


def in_utc(time: datetime) -> datetime:
    """Return a time as PyMongo gives it, with its zone."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build an application that takes the place of a Node server."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    mongo = PyMongo(app)
    otp = FlaskOtpAuth(app, mongo=mongo)
    take_over_sessions(app, app.extensions["otp_auth"].database["otp_sessions"])

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        app.logger.info("send a code by %s here", method)
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, Any]:
        return {"id": identifier, "payload": payload}

    return app
