"""A new password by code, for somebody who has forgotten the old one.

The code is for this purpose alone: it signs nobody in, and a code for a login sets no password. The
new password comes together with the code, so it is never stored in plain text, and whoever starts
the session cannot choose the password that the owner's code will set. Afterwards all other logins
of the user are over.

Set ``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` as in the README, add a user, and start the
application, which prints its codes::

    python - <<'END'
    import os, pymongo
    users = pymongo.MongoClient(os.environ["FLASK_MONGO_URI"]).get_default_database().users
    users.insert_one({"identifier": "reader@example.com"})
    END
    flask --app examples/new_password run --debug
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from flask import Blueprint, Flask, abort, request
from flask_jwt_extended import create_access_token, get_jwt, jwt_required
from flask_pymongo import PyMongo
from pymongo.collection import Collection
from pymongo.database import Database
from werkzeug.exceptions import HTTPException
from werkzeug.security import check_password_hash, generate_password_hash

from flask_otp_auth import FlaskOtpAuth, OtpAuthError
from flask_otp_auth.delivery import Delivery

Answer = tuple[dict[str, Any], int]

NEW_PASSWORD = "new-password"
LONGEST = 128  # characters
SHORTEST = 15  # characters: NIST SP 800-63B-4, section 3.1.1.2, where a password is the only factor
# Compared with where there is no user, so that both cases take equally long.
NO_PASSWORD = generate_password_hash("no password")

mongo = PyMongo()
otp = FlaskOtpAuth()
Delivery(otp, console=True)
api = Blueprint("api", __name__)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app.

    :param config: settings; they win over the environment's ``FLASK_...``.
    """
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    app.config["OTP_AUTH_REGISTER_ROUTES"] = False  # people sign in with their password
    mongo.init_app(app)
    otp.init_app(app, mongo=mongo)
    app.register_blueprint(api)
    return app


def users() -> Collection[dict[str, Any]]:
    """Return the collection of the users."""
    return cast("Database[dict[str, Any]]", mongo.db).users


@otp.get_user_handler
def get_user(identifier: str, method: str, payload: Any) -> dict[str, Any] | None:
    """Find the user of an identifier; codes for a purpose do not ask for them."""
    return users().find_one({"identifier": identifier})


@api.post("/password/forgotten")
@otp.limit_client
def send_code() -> Answer:
    """Send a code to an address, whether or not it has an account."""
    started = otp.initiate(member("identifier"), "email", purpose=NEW_PASSWORD)
    return {"sessionId": started.session_id, "ttl": started.ttl}, 200


@api.post("/password")
def set_password() -> Answer:
    """Set the password of whoever has the code."""
    password = member("password")
    if not SHORTEST <= len(password) <= LONGEST:  # before the code is used up
        abort(400, f"A password has {SHORTEST} to {LONGEST} characters.")
    result = otp.confirm(member("sessionId"), member("code"), purpose=NEW_PASSWORD)
    if result.status != "success":
        return {"message": otp.message(result)}, 403
    changed = users().find_one_and_update(
        {"identifier": result.identifier},
        {"$set": {"password": generate_password_hash(password)}},
    )
    if changed is None:
        return {"message": "There is no account for this address."}, 404
    otp.end_logins(changed["_id"])
    return {}, 200


@api.post("/login")
def login() -> Answer:
    """Sign in with a password; a real application also limits the guesses here."""
    user = users().find_one({"identifier": member("identifier")}) or {}
    if not check_password_hash(user.get("password", NO_PASSWORD), member("password")) or not user:
        abort(401)
    return {"token": create_access_token(str(user["_id"]))}, 200


@api.get("/me")
@jwt_required()
def me() -> Answer:
    """Say who is signed in."""
    return {"id": get_jwt()["sub"]}, 200


@api.errorhandler(HTTPException)
@api.errorhandler(OtpAuthError)
def tell(error: HTTPException) -> Answer:
    """Answer every error in JSON, ours with a sentence in the reader's language."""
    is_ours = isinstance(error, OtpAuthError) or error.code == 429
    return {"message": otp.message(error) if is_ours else error.description}, error.code or 500


def member(name: str) -> str:
    """Return a text from the JSON of the request, or answer with a 400."""
    body = request.get_json()
    text = body.get(name) if isinstance(body, dict) else None
    return text if isinstance(text, str) else abort(400, f"{name} is missing.")
