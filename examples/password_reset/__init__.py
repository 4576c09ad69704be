"""A password reset by code: the payload says what the code is for, and contains no password.

The client asks for a code with ``"payload": {"purpose": "password_reset"}``. A correct code then
yields no login, but a token that is valid for ten minutes and for one thing: setting a new
password, once. If the payload contained the new password, MongoDB would store it in plain text, and
the owner's code would set a password chosen by whoever started the session.

Every view refuses a token that is not meant for it, because the check is in one place. The token
can be used only once because it names the password that it replaces. Tokens of earlier logins stay
valid until they expire.

Set ``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` as in the README, add a user, and start the
application, which prints its codes::

    python - <<'END'
    import os, pymongo
    users = pymongo.MongoClient(os.environ["FLASK_MONGO_URI"]).get_default_database().users
    users.insert_one({"identifier": "reader@example.com"})
    END
    flask --app examples/password_reset run --debug
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from bson import ObjectId
from flask import Flask, abort, request
from flask_jwt_extended import JWTManager, create_access_token, get_jwt, jwt_required
from flask_pymongo import PyMongo
from pymongo.database import Database
from werkzeug.security import generate_password_hash

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery

Claims = Mapping[str, Any]

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
    jwt = JWTManager(app)
    otp = FlaskOtpAuth(app, mongo=mongo)
    Delivery(otp)

    @jwt.token_verification_loader
    def is_for_this_view(header: Claims, claims: Claims) -> bool:
        return (claims.get("purpose") == RESET) == (request.endpoint == "set_password")

    @jwt.token_verification_failed_loader
    def not_for_this_view(header: Claims, claims: Claims) -> tuple[str, int]:
        return "", 403

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
        return {"id": get_jwt()["sub"]}

    return app


def password_in(body: Any) -> str:
    """Return the new password in a request, or answer with a 400 if there is no acceptable one."""
    password = body.get("password") if isinstance(body, dict) else None
    if not isinstance(password, str) or not SHORTEST <= len(password) <= LONGEST:
        abort(400)
    return password


def fingerprint(user: dict[str, Any]) -> str:
    """Return a value that identifies the stored password hash of a user without revealing it."""
    return hashlib.sha256(user.get("password", "").encode()).hexdigest()[:32]
