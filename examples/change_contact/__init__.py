"""Changing the address or number with which somebody signs in.

The code goes to the new address, and belongs to the user who is signed in: nobody else can use it,
and it signs nobody in. What is stored is the normalised address from the result, never what the
client sent. A unique index decides if two users want the same one at once. The former address gets
a notice, and every other login of the user is over.

Set ``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` as in the README, add a user, and start the
application, which prints its codes and notices::

    python - <<'END'
    import os, pymongo
    users = pymongo.MongoClient(os.environ["FLASK_MONGO_URI"]).get_default_database().users
    users.insert_one({"identifier": "reader@example.com"})
    END
    flask --app examples/change_contact run --debug
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from bson import ObjectId
from flask import Blueprint, Flask, abort, current_app, request
from flask_jwt_extended import get_jwt, get_jwt_identity, jwt_required
from flask_pymongo import PyMongo
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from werkzeug.exceptions import HTTPException

from flask_otp_auth import FlaskOtpAuth, OtpAuthError
from flask_otp_auth.delivery import Delivery

Answer = tuple[dict[str, Any], int]

CHANGE = "change-contact"

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
    mongo.init_app(app)
    otp.init_app(app, mongo=mongo)
    app.register_blueprint(api)
    with app.app_context():
        users().create_index("identifier", unique=True)
    return app


def users() -> Collection[dict[str, Any]]:
    """Return the collection of the users."""
    return cast("Database[dict[str, Any]]", mongo.db).users


@otp.get_user_handler
def get_user(identifier: str, method: str, payload: Any) -> dict[str, Any] | None:
    """Find the user of an identifier."""
    return users().find_one({"identifier": identifier})


@api.post("/contact")
@jwt_required(fresh=True)
@otp.limit_client
def send_code() -> Answer:
    """Send a code to the new address or number."""
    wanted = member("identifier")
    started = otp.initiate(
        wanted,
        "email" if "@" in wanted else "sms",
        purpose=CHANGE,
        subject=get_jwt_identity(),
    )
    return {"sessionId": started.session_id, "ttl": started.ttl}, 200


@api.post("/contact/confirm")
@jwt_required(fresh=True)
def change_contact() -> Answer:
    """Change the contact of whoever has the code and is signed in as the one who asked for it."""
    user_id = get_jwt_identity()
    result = otp.confirm(member("sessionId"), member("code"), purpose=CHANGE, subject=user_id)
    if result.status != "success":
        return {"message": otp.message(result)}, 403
    try:
        before = users().find_one_and_update(
            {"_id": ObjectId(user_id)}, {"$set": {"identifier": result.identifier}}
        )
    except DuplicateKeyError:
        return {"message": "Somebody else signs in with this one."}, 409
    if before is None:
        abort(404)
    send_notice(before["identifier"], "Your account is now reached in another way. Was it you?")
    otp.end_logins(user_id, keep=get_jwt())
    return {"identifier": result.identifier}, 200


@api.get("/me")
@jwt_required()
def me() -> Answer:
    """Say who is signed in."""
    return {"id": get_jwt_identity()}, 200


@api.errorhandler(HTTPException)
@api.errorhandler(OtpAuthError)
def tell(error: HTTPException) -> Answer:
    """Answer every error in JSON, ours with a sentence in the reader's language."""
    is_ours = isinstance(error, OtpAuthError) or error.code == 429
    return {"message": otp.message(error) if is_ours else error.description}, error.code or 500


def send_notice(identifier: str, text: str) -> None:
    """Tell the former address; send it as you send your other messages."""
    current_app.logger.warning("to %s: %s", identifier, text)


def member(name: str) -> str:
    """Return a text from the JSON of the request, or answer with a 400."""
    body = request.get_json()
    text = body.get(name) if isinstance(body, dict) else None
    return text if isinstance(text, str) else abort(400, f"{name} is missing.")
