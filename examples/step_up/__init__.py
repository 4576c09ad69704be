"""A code before a dangerous action, with a form rendered by the server and with JSON.

Whoever is signed in may look at the account; to send money they type a code once more, so that a
browser left open is not enough. The code belongs to the user *and* holds what is to be done: the
payload is the application's own word, from the first step, and nothing of the second step can
change it. A right code works once, so the money is sent once.

Set ``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` as in the README, start the application, which
prints its codes, and open /transfer::

    flask --app examples/step_up run --debug
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from flask import Blueprint, Flask, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_jwt_extended import get_csrf_token, get_jwt_identity, jwt_required
from flask_pymongo import PyMongo
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from werkzeug.exceptions import HTTPException

from flask_otp_auth import FlaskOtpAuth, OtpAuthError
from flask_otp_auth.delivery import Delivery

TRANSFER = "transfer"
MOST = 10_000

mongo = PyMongo()
otp = FlaskOtpAuth()
Delivery(otp, console=True)
bank = Blueprint("bank", __name__)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app.

    :param config: settings; they win over the environment's ``FLASK_...``.
    """
    app = Flask(__name__)
    app.config.update(
        JWT_TOKEN_LOCATION=["headers", "cookies"],
        JWT_COOKIE_SECURE=not app.debug,
        JWT_CSRF_CHECK_FORM=True,  # forms send the CSRF token as a field
        OTP_AUTH_LOGIN_PAGE=True,
        OTP_AUTH_LOGIN_REDIRECT="/transfer",
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    mongo.init_app(app)
    otp.init_app(app, mongo=mongo)
    app.register_blueprint(bank)
    return app


def database() -> Database[dict[str, Any]]:
    """Return the database of the application."""
    return cast("Database[dict[str, Any]]", mongo.db)


def transfers() -> Collection[dict[str, Any]]:
    """Return the collection of the money that was sent."""
    return database().transfers


@otp.get_user_handler
def get_or_add_user(identifier: str, method: str, payload: Any) -> dict[str, Any] | None:
    """Find the user of an identifier, or sign them up once they have typed a right code."""
    user = {"_id": identifier, "method": method}
    if otp.is_asking_before_send:
        return database().users.find_one(user)
    return database().users.find_one_and_update(
        {"_id": identifier}, {"$set": user}, upsert=True, return_document=ReturnDocument.AFTER
    )


@bank.get("/transfer")
@jwt_required()
def show_form() -> str:
    """Show the form."""
    return page("transfer.html")


@bank.post("/transfer")
@jwt_required()
@otp.limit_client
def send_code() -> ResponseReturnValue:
    """Send a code for one transfer to the address with which the user signs in."""
    order = {"to": field("to"), "amount": amount(field("amount"))}
    user = database().users.find_one({"_id": get_jwt_identity()}) or abort(403)
    started = otp.initiate(
        user["_id"], user["method"], order, purpose=TRANSFER, subject=user["_id"]
    )
    if request.is_json:
        return {"sessionId": started.session_id, "order": order}
    return page("confirm.html", session_id=started.session_id, order=order)


@bank.post("/transfer/confirm")
@jwt_required()
def transfer() -> ResponseReturnValue:
    """Send the money of the order that the code was sent for."""
    session_id, user_id = field("sessionId"), get_jwt_identity()
    result = otp.confirm(session_id, field("code"), purpose=TRANSFER, subject=user_id)
    if result.status == "success":
        transfers().insert_one({"from": user_id, **(result.payload or {})})
        if request.is_json:
            return {"done": result.payload}
        return page("transfer.html", message="The money is on its way.")
    words = otp.message(result)
    if request.is_json:
        return {"message": words, "remainingAttempts": result.remaining_attempts}, 403
    if not result.remaining_attempts:
        return page("transfer.html", message=words), 403
    return page("confirm.html", message=words, session_id=session_id, order=None), 403


@bank.errorhandler(HTTPException)
@bank.errorhandler(OtpAuthError)
def tell(error: HTTPException) -> ResponseReturnValue:
    """Say what went wrong, on the page or in JSON."""
    is_ours = isinstance(error, OtpAuthError) or error.code == 429
    words = otp.message(error) if is_ours else error.description
    if request.is_json:
        return jsonify(message=words), error.code or 500
    return page("transfer.html", message=words), error.code or 500


def page(template: str, **values: Any) -> str:
    """Render a page whose forms have the CSRF token of the login."""
    token = request.cookies.get("access_token_cookie")
    return render_template(template, csrf=get_csrf_token(token) if token else "", **values)


def field(name: str) -> str:
    """Return a text from the form or the JSON of the request, or answer with a 400."""
    source = request.get_json() if request.is_json else request.form
    text = source.get(name) if isinstance(source, Mapping) else None
    return text if isinstance(text, str) and text else abort(400, f"{name} is missing.")


def amount(text: str) -> int:
    """Return an amount of money, or answer with a 400."""
    if text.isascii() and text.isdecimal() and len(text) < 10 and 0 < int(text) <= MOST:
        return int(text)
    return abort(400, f"An amount is a whole number from 1 to {MOST}.")
