"""A password reset by code: the payload says what the code is for, and holds no password.

The client asks for a code with ``"payload": {"purpose": "password_reset"}``. The right code then
gives no login but a token for one use: setting a new password, within ten minutes, once. A payload
with the new password in it would lie in MongoDB in the clear, and whoever started the session
would have chosen the password that the owner's code sets.

A token is for one use since it names the password that it replaces. Tokens of earlier logins live
on until they lapse.

Run it with a ``SECRET_KEY`` and a ``MONGO_URI`` in the environment::

    flask --app examples/password_reset run --debug
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from bson import ObjectId
from flask import Flask, abort, request
from flask_jwt_extended import create_access_token, get_jwt, jwt_required
from flask_pymongo import PyMongo
from pymongo.database import Database
from werkzeug.security import generate_password_hash

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery

RESET = "password_reset"
LONGEST = 128  # characters
SHORTEST = 15  # characters: NIST SP 800-63B-4, section 3.1.1.2, where a password is the only factor


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app.

    :param config: settings; they win over the environment's ``FLASK_...``.
    """
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    mongo = PyMongo(app)
    users = cast("Database[dict[str, Any]]", mongo.db).users
    otp = FlaskOtpAuth(app, mongo=mongo)
    Delivery(otp)

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, Any] | None:
        return users.find_one({"identifier": identifier})

    @otp.verify_success_handler
    def sign_in(user: dict[str, Any], identifier: str, method: str, payload: Any) -> dict[str, Any]:
        if (payload or {}).get("purpose") != RESET:
            return {"user": {"id": user["_id"]}, "token": create_access_token(str(user["_id"]))}
        claims = {"purpose": RESET, "replaces": fingerprint(user)}
        token = create_access_token(
            str(user["_id"]), expires_delta=timedelta(minutes=10), additional_claims=claims
        )
        return {"user": {"id": user["_id"]}, "token": token}

    @app.post("/password")
    @jwt_required()
    def set_password() -> tuple[str, int]:
        claims = get_jwt()
        if claims.get("purpose") != RESET:
            abort(403)
        password = password_in(request.get_json())
        user = users.find_one({"_id": ObjectId(claims["sub"])}) or abort(403)
        if fingerprint(user) != claims["replaces"]:
            abort(403)  # the token was used before, or the password has changed since
        changed = users.update_one(
            {"_id": user["_id"], "password": user.get("password")},
            {"$set": {"password": generate_password_hash(password)}},
        )
        return ("", 204) if changed.modified_count else abort(403)

    @app.get("/me")
    @jwt_required()
    def me() -> dict[str, str]:
        if "purpose" in get_jwt():
            abort(403)  # a token for one use is no login
        return {"id": get_jwt()["sub"]}

    return app


def password_in(body: Any) -> str:
    """Return the new password of a request; without one that will do it is a 400."""
    password = body.get("password") if isinstance(body, dict) else None
    if not isinstance(password, str) or not SHORTEST <= len(password) <= LONGEST:
        abort(400)
    return password


def fingerprint(user: dict[str, Any]) -> str:
    """Return what names the stored password hash of a user, and tells nothing of it."""
    return hashlib.sha256(user.get("password", "").encode()).hexdigest()[:32]
