"""Floor: a hand-written Flask app that does only the irreducible work for the same answers.

One insert for initiate, one find_one_and_update for verify, an HMAC in each, one HS256 token.
It checks no body, no identifier, no account and no lock: nobody should use it. It is what the
extension is measured against. With BENCH_LIMITS clients are limited by Flask-Limiter, and with
BENCH_ACCOUNTS accounts are protected as those of the extension are.
"""

from __future__ import annotations

import hmac
import os
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import accounts
import jwt
from flask import Flask, Response, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from pymongo import MongoClient, ReturnDocument, WriteConcern
from werkzeug.middleware.proxy_fix import ProxyFix

KEY = b"a key of the benchmark, 32 bytes or more"
CODE_TTL = 300
MAX_ATTEMPTS = 3
TOKEN_TTL = 900

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=0)  # type: ignore[method-assign]

client: MongoClient[dict[str, Any]] = MongoClient(
    os.environ["BENCH_MONGO_URI"], connect=False, tz_aware=True
)
sessions = client.get_default_database().otp_sessions
protected = sessions.database["otp_sessions.accounts"] if os.environ.get("BENCH_ACCOUNTS") else None
judged = sessions.with_options(
    write_concern=WriteConcern("majority") if os.environ.get("BENCH_JOURNAL") else None
)


def digest(session_id: str, code: str) -> bytes:
    """Return what is stored in place of *code*."""
    return hmac.digest(KEY, f"{session_id}:{code}".encode(), "sha256")


def limited(view: Callable[[], Any]) -> Callable[[], Any]:
    """Put the default rules of clients on a view as a user of Flask-Limiter would, if asked."""
    store = os.environ.get("BENCH_LIMITS")
    if not store:
        return view
    uri = os.environ["BENCH_MONGO_URI"] if store == "mongodb" else store
    options = {"database_name": "bench_floor_limits"} if store == "mongodb" else {}
    limiter = Limiter(
        get_remote_address,
        app=app,
        storage_uri=uri,
        storage_options=options,
        strategy="moving-window",
    )
    return limiter.limit("10 per 15 minutes; 100 per day", override_defaults=False)(view)


@app.post("/otp/initiate")
@limited
def initiate() -> Any:
    """Store a session and hand its code to the load client."""
    body = request.get_json()
    session_id = secrets.token_hex(16)
    code = f"{secrets.randbelow(10**6):06d}"
    now = datetime.now(UTC)
    expires_at = now + timedelta(seconds=CODE_TTL)
    account: dict[str, Any] = {}
    if protected is not None:
        key = accounts.key_of(KEY, body["identifier"])
        found = accounts.admit(protected, key, session_id, now)
        if found["event"] != "sent":
            return {"error": found["event"]}, 429
        account = {"account": key, "settle": found["settle"]}
    sessions.insert_one(
        {
            "_id": session_id,
            "identifier": body["identifier"],
            "method": body["method"],
            "payload": body.get("payload"),
            "status": "pending",
            "attempts": 0,
            "maxAttempts": found["granted"] if account else MAX_ATTEMPTS,
            "createdAt": now,
            "expiresAt": expires_at,
            "digest": digest(session_id, code),
            **account,
        }
    )
    g.code = code
    stamp = expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"data": {"sessionId": session_id, "expiresAt": stamp, "ttl": CODE_TTL}}


@app.post("/otp/verify")
def verify() -> tuple[dict[str, Any], int]:
    """Judge the code in one operation and answer with a token."""
    body = request.get_json()
    now = datetime.now(UTC)
    matches = {"$eq": ["$digest", digest(body["sessionId"], body["code"])]}
    tried = {"$add": ["$attempts", 1]}
    after_miss = {"$cond": [{"$gte": [tried, "$maxAttempts"]}, "locked", "pending"]}
    session = judged.find_one_and_update(
        {"_id": body["sessionId"], "status": "pending", "expiresAt": {"$gt": now}},
        [
            {
                "$set": {
                    "status": {"$cond": [matches, "verified", after_miss]},
                    "attempts": {"$cond": [matches, "$attempts", tried]},
                    "verifiedAt": {"$cond": [matches, now, None]},
                }
            },
        ],
        return_document=ReturnDocument.AFTER,
    )
    is_right = session is not None and session["status"] == "verified"
    if protected is not None and session is not None and (not is_right or session["settle"]):
        count = accounts.settle if is_right else accounts.fail
        count(protected, session["account"], body["sessionId"], now)
    if session is None or not is_right:
        return {"data": {"status": "invalid_code"}}, 401
    seconds = int(time.time())
    token = jwt.encode(
        {
            "fresh": True,
            "iat": seconds,
            "jti": str(uuid.uuid4()),
            "type": "access",
            "sub": session["identifier"],
            "nbf": seconds,
            "exp": seconds + TOKEN_TTL,
            "amr": ["otp", "sms"] if session["method"] == "sms" else ["otp"],
            "auth_time": seconds,
        },
        KEY,
        "HS256",
    )
    user = {"id": session["identifier"]}
    return {"data": {"status": "success", "token": token, "user": user}}, 200


@app.after_request
def finish(response: Response) -> Response:
    """Set the headers that every answer carries, and hand the code over."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if "code" in g:
        response.headers["X-Bench-Code"] = g.code
    return response
