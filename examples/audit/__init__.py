"""An audit trail: every event of the login becomes a document of its own in MongoDB."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pymongo
from flask import Flask, has_request_context, request
from flask_pymongo import PyMongo
from pymongo import WriteConcern

from flask_otp_auth import signals

EVENTS = (
    *("session_initiated", "code_sent", "send_failed", "code_verified", "code_rejected"),
    *("sign_in_failed", "session_locked", "identifier_locked", "identifier_unlocked"),
    *("rate_limited", "trusted_device_used"),
)
KEPT = 90 * 24 * 3600  # seconds
TIMEOUT = 1  # seconds to write a document, for which the login waits


def add_audit(app: Flask, mongo: PyMongo, name: str = "otp_audit") -> None:
    """Write every event of *app* to the collection *name*.

    A document records what happened, when, to whom (masked), in which session (its first digits)
    and from which address. If it cannot be written, the login continues and the log of the
    application says so.
    """
    if mongo.db is None:
        raise ValueError("the URI of mongo names no database")
    events = mongo.db.get_collection(name, write_concern=WriteConcern("majority"))

    def writer(event: str) -> Callable[..., None]:
        def write(
            _: Flask, *, session_id: str | None, error: Exception | None = None, **about: str | None
        ) -> None:
            document = {
                "event": event,
                # The message of the exception may contain the code.
                "error": type(error).__name__ if error is not None else None,
                "at": dt.datetime.now(dt.UTC),
                "session": session_id and session_id[:8],
                "address": request.remote_addr if has_request_context() else None,
                **about,
            }
            with pymongo.timeout(TIMEOUT):
                events.insert_one(document)

        return write

    writers = {event: writer(event) for event in EVENTS}
    for event, write in writers.items():
        getattr(signals, event).connect(write, app)
    app.extensions["audit"] = writers  # signals hold their receivers weakly

    @app.cli.command("create-audit-indexes")
    def create_audit_indexes() -> None:
        """Create the indexes of the audit trail."""
        events.create_index("at", expireAfterSeconds=KEPT)
        events.create_index([("identifier", 1), ("at", -1)])
