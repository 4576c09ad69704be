"""Sign in with a code, on a MongoDB that the demo brings along.

Run it from the root of the repository::

    flask --app examples/quickstart run

then open the page it names, or follow README.md with curl. Codes are printed to the terminal.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, Response, render_template
from flask_jwt_extended import (
    get_current_user,
    get_jwt,
    get_jwt_identity,
    jwt_required,
    verify_jwt_in_request,
)
from flask_jwt_extended.exceptions import JWTExtendedException
from flask_pymongo import PyMongo
from jwt import PyJWTError

from flask_otp_auth import FlaskOtpAuth, SecurityWarning

from .prepare import USERS, find_or_add_user, prepare, users_of

CONFIG = {
    "OTP_AUTH_APP_NAME": "Example",
    "OTP_AUTH_LOGIN_PAGE": True,
    "OTP_AUTH_REFRESH_TOKEN": True,
    # Cookies for the pages, and the header for curl.
    "JWT_TOKEN_LOCATION": ["headers", "cookies"],
    "JWT_COOKIE_SAMESITE": "Lax",
}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_app(
    config: Mapping[str, Any] | None = None, *, instance_path: Path | None = None
) -> Flask:
    """Build the demo.

    :param config: settings; they win over the environment's ``FLASK_...``.
    :param instance_path: where the database and the secret key live; by default the folder
        ``instance`` beside this file, which git ignores.
    """
    instance = instance_path or Path(__file__).with_name("instance")
    app = Flask(__name__, instance_path=str(instance.resolve()))
    app.config.from_mapping(CONFIG)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    prepare(app)

    mongo = PyMongo(app)
    users = users_of(mongo)
    otp = FlaskOtpAuth()
    with warnings.catch_warnings():
        # The demo has no HTTPS; an application that has sets it.
        warnings.filterwarnings("ignore", "JWT_COOKIE_SECURE", SecurityWarning)
        otp.init_app(app, mongo=mongo)

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        # A real application calls its SMS or email provider here.
        print_boxed(f"Code: {code}", f"for {identifier} by {method}")
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, Any] | None:
        # The code was right, so whoever is new may sign up here.
        return find_or_add_user(users, identifier)

    @app.extensions["flask-jwt-extended"].user_lookup_loader
    def look_up(_header: Any, claims: Mapping[str, Any]) -> dict[str, Any] | None:
        # Whoever is deleted gets no further tokens at a refresh.
        return users.find_one({"_id": claims["sub"]})

    @app.get("/me")
    @jwt_required()
    def me() -> dict[str, str]:
        user = get_current_user()
        return {"id": user["_id"], "identifier": user["identifier"], "name": user["name"]}

    @app.get("/")
    def index() -> str:
        token = valid_token()
        user = get_current_user() if token else None
        return render_template("index.html", user=user, token=token, users=USERS)

    @app.get("/logins")
    @jwt_required()
    def logins() -> str:
        found = otp.logins(get_jwt_identity())
        return render_template("logins.html", logins=found, here=get_jwt().get("otp_login"))

    @app.post("/logins/end-others")
    @jwt_required()
    def end_other_logins() -> tuple[str, int]:
        otp.end_logins(get_jwt_identity(), keep=get_jwt())
        return "", 204

    app.after_request(harden)
    return app


def harden(response: Response) -> Response:
    """Let a page load nothing but what is its own, unless it has a policy already."""
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response


def valid_token() -> dict[str, Any]:
    """Return the claims of the access token of the request; one that has expired has none."""
    try:
        verify_jwt_in_request(optional=True)
        return get_jwt()
    except (JWTExtendedException, PyJWTError):
        return {}


def print_boxed(*lines: str) -> None:
    """Print lines to the terminal in a box, at once."""
    width = max(map(len, lines))
    edge = "+" + "-" * (width + 4) + "+"
    inside = [f"|  {line.ljust(width)}  |" for line in lines]
    print("", edge, *inside, edge, "", sep="\n", file=sys.stderr, flush=True)
