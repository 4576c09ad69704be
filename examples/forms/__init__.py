"""Forms of your own, without JavaScript: ask for a code, type it, ask for another one.

The JSON endpoints are off; the views call the Python API. The login is Flask's own session cookie,
whose ``SameSite=Lax`` keeps other sites from posting these forms with it. What there is to say
about a code, ``otp.message`` says in the language of the reader.

Set ``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` as in the README, and start the application, which
prints its codes. Whoever types a right code gets an account::

    flask --app examples/forms run --debug
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from flask import Blueprint, Flask, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_pymongo import PyMongo
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from werkzeug.exceptions import HTTPException

from flask_otp_auth import FlaskOtpAuth, OtpAuthError
from flask_otp_auth.delivery import Delivery
from flask_otp_auth.exceptions import (
    AuthenticationFailed,
    Refused,
    SessionAlreadyVerified,
    SessionExpired,
    SessionNotFound,
)

PENDING = "login_in_progress"
# After these errors no code of the login in progress can be right any more.
OVER = (AuthenticationFailed, Refused, SessionAlreadyVerified, SessionExpired, SessionNotFound)

mongo = PyMongo()
otp = FlaskOtpAuth()
Delivery(otp, console=True)
pages = Blueprint("pages", __name__)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app.

    :param config: settings; they win over the environment's ``FLASK_...``.
    """
    app = Flask(__name__)
    app.config.update(
        OTP_AUTH_REGISTER_ROUTES=False,
        SESSION_COOKIE_SAMESITE="Lax",  # so that no other site can post with it
        SESSION_COOKIE_SECURE=not app.debug,  # HTTPS alone, but for the server of your own machine
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    mongo.init_app(app)
    otp.init_app(app, mongo=mongo)
    app.register_blueprint(pages)
    return app


def users() -> Collection[dict[str, Any]]:
    """Return the collection of the people who may sign in."""
    return cast("Database[dict[str, Any]]", mongo.db).users


@otp.get_user_handler
def get_or_add_user(identifier: str, method: str, payload: Any) -> dict[str, Any] | None:
    """Find the user of an identifier, or sign them up once they have typed a right code."""
    user = {"_id": identifier}
    if otp.is_asking_before_send:
        return users().find_one(user)
    return users().find_one_and_update(
        user, {"$set": user}, upsert=True, return_document=ReturnDocument.AFTER
    )


@otp.verify_success_handler
def identify(user: dict[str, Any], identifier: str, method: str, payload: Any) -> dict[str, Any]:
    """Say who signs in; there is no token, since the session cookie is the login."""
    return {"user": user["_id"]}


@pages.get("/login")
def login() -> str:
    """Show the form that asks for an address or a number."""
    return render_template("login.html")


@pages.post("/login")
@otp.limit_client
def send_code() -> ResponseReturnValue:
    """Send a code, and remember in the session cookie what it is for."""
    identifier = request.form.get("identifier", "")
    started = otp.initiate(identifier, "email" if "@" in identifier else "sms")
    session[PENDING] = started.session_id
    return redirect(url_for("pages.enter_code"), 303)


@pages.before_request
def begin_at_the_beginning() -> ResponseReturnValue | None:
    """Ask nobody for a code who has not asked for one."""
    is_about_code = request.path.startswith("/code")
    return begin_again() if is_about_code and PENDING not in session else None


@pages.get("/code")
def enter_code() -> str:
    """Show the form that asks for the code."""
    return render_template("code.html")


@pages.post("/code")
def check_code() -> ResponseReturnValue:
    """Sign in whoever typed the right code."""
    result = otp.verify(session[PENDING], request.form.get("code", ""))
    if result.status == "success":
        session.clear()
        session["user"] = result.user
        return redirect(url_for("pages.home"), 303)
    flash(otp.message(result))
    return (render_template("code.html"), 401) if result.remaining_attempts else begin_again()


@pages.post("/code/another")
@otp.limit_client
def send_another_code() -> ResponseReturnValue:
    """Send another code; the one before keeps working."""
    otp.resend(session[PENDING])
    return redirect(url_for("pages.enter_code"), 303)


@pages.errorhandler(429)  # otp.limit_client raises the error of Flask-Limiter
@pages.errorhandler(OtpAuthError)
def tell(error: HTTPException) -> ResponseReturnValue:
    """Show an error above the form from which it came."""
    flash(otp.message(error))
    if isinstance(error, OVER):
        return begin_again()
    template = "login.html" if request.endpoint == "pages.send_code" else "code.html"
    wait = getattr(error, "retry_after", None)
    return render_template(template), error.code or 500, {"Retry-After": wait} if wait else {}


def begin_again() -> ResponseReturnValue:
    """Go back to the first form."""
    session.pop(PENDING, None)
    return redirect(url_for("pages.login"), 303)


@pages.get("/")
def home() -> ResponseReturnValue:
    """Show who is signed in."""
    if "user" not in session:
        return redirect(url_for("pages.login"))
    return render_template("home.html", user=session["user"])


@pages.post("/logout")
def logout() -> ResponseReturnValue:
    """Sign out."""
    session.clear()
    return redirect(url_for("pages.login"), 303)
