"""Signing up apart from signing in, for anybody or by invitation.

Signing in never makes a user. A code to sign up has a purpose of its own, so it signs in nobody who
has an account, and a code to sign in makes none. An invitation is signed, and says for which
address it is and which role it gives; what the client sends besides changes neither.

Set ``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` as in the README, make the first invitation, and
start the application, which prints its codes::

    flask --app examples/sign_up invite editor@example.com editor
    flask --app examples/sign_up run --debug
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import click
from flask import Blueprint, Flask, abort, current_app, request
from flask_jwt_extended import create_access_token
from flask_pymongo import PyMongo
from itsdangerous import BadSignature, URLSafeTimedSerializer
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from werkzeug.exceptions import HTTPException

from flask_otp_auth import FlaskOtpAuth, OtpAuthError
from flask_otp_auth.delivery import Delivery

Answer = tuple[dict[str, Any], int]

SIGN_UP = "sign-up"
READER = "reader"  # the role of whoever comes without an invitation
WEEK = 7 * 24 * 3600  # seconds that an invitation is good for

mongo = PyMongo()
otp = FlaskOtpAuth()
Delivery(otp, console=True)
api = Blueprint("api", __name__, cli_group=None)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app.

    :param config: settings; they win over the environment's ``FLASK_...``. With ``INVITED_ONLY``,
        nobody signs up without an invitation.
    """
    app = Flask(__name__)
    app.config["INVITED_ONLY"] = False
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    mongo.init_app(app)
    otp.init_app(app, mongo=mongo)
    app.register_blueprint(api)
    return app


def users() -> Collection[dict[str, Any]]:
    """Return the collection of the users, whose ids are their addresses."""
    return cast("Database[dict[str, Any]]", mongo.db).users


@otp.get_user_handler
def get_user(identifier: str, method: str, payload: Any) -> dict[str, Any] | None:
    """Find the user of an identifier; signing in makes none."""
    return users().find_one({"_id": identifier})


@api.post("/sign-up")
@otp.limit_client
def send_code() -> Answer:
    """Send a code to whoever wants an account, whether or not they have one."""
    body = request.get_json()
    if not isinstance(body, dict):
        abort(400, "A JSON object is needed.")
    address, role = body.get("email"), READER
    if "invitation" in body or current_app.config["INVITED_ONLY"]:
        address, role = read_invitation(body.get("invitation"))
    started = otp.initiate(cast(str, address), "email", {"role": role}, purpose=SIGN_UP)
    return {"sessionId": started.session_id, "ttl": started.ttl}, 200


@api.post("/sign-up/confirm")
def sign_up() -> Answer:
    """Make the user of whoever has the code, and sign them in."""
    body = request.get_json()
    if not isinstance(body, dict):
        abort(400, "A JSON object is needed.")
    result = otp.confirm(body.get("sessionId", ""), body.get("code", ""), purpose=SIGN_UP)
    if result.status != "success":
        return {"message": otp.message(result)}, 403
    user = {"_id": result.identifier, **(result.payload or {})}
    try:
        users().insert_one(user)
    except DuplicateKeyError:
        return {"message": "You have an account. Sign in instead."}, 409
    token = create_access_token(cast(str, user["_id"]), fresh=True)
    return {"token": token, "role": user["role"]}, 201


@api.cli.command("invite")
@click.argument("address")
@click.argument("role")
def invite(address: str, role: str) -> None:
    """Print an invitation; send it to its address, in a link."""
    click.echo(invitations().dumps([address, role]))


@api.errorhandler(HTTPException)
@api.errorhandler(OtpAuthError)
def tell(error: HTTPException) -> Answer:
    """Answer every error in JSON, ours with a sentence in the reader's language."""
    is_ours = isinstance(error, OtpAuthError) or error.code == 429
    return {"message": otp.message(error) if is_ours else error.description}, error.code or 500


def read_invitation(text: Any) -> tuple[str, str]:
    """Return the address and the role of an invitation, or answer with a 403."""
    try:
        address, role = invitations().loads(text if isinstance(text, str) else "", max_age=WEEK)
    except BadSignature:
        abort(403, "This invitation is not good, or no longer.")
    return address, role


def invitations() -> URLSafeTimedSerializer:
    """Return what signs invitations."""
    return URLSafeTimedSerializer(cast(str, current_app.secret_key), salt="invitation")
