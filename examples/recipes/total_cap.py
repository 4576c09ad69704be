"""A cap on all codes together, so that nobody can run up a bill however many addresses they have.

It is an ordinary rule of Flask-Limiter whose key is the same for everybody. Run it with
``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` set::

    flask --app examples/recipes/total_cap.py run
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from flask_otp_auth import FlaskOtpAuth

View = Callable[..., Any]
VIEWS_THAT_SEND = ("otp_auth.initiate", "otp_auth.resend")


def everybody() -> str:
    """Return one key for all clients."""
    return "everybody"


def cap_all_codes(app: Flask, limiter: Limiter, rules: str) -> None:
    """Limit the codes that all clients together may ask for.

    :param rules: limits in the notation of Flask-Limiter, according to your budget.
    """
    # One limit for both views. Set it above what a busy hour needs: once it is reached, nobody
    # gets a code.
    cap = limiter.shared_limit(
        rules, scope="all codes", key_func=everybody, override_defaults=False
    )
    for name in VIEWS_THAT_SEND:
        view: View = app.view_functions[name]
        app.view_functions[name] = cap(view)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build an application with the cap."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(ALL_CODES="500 per hour")
    app.config.from_mapping(config)
    limiter = Limiter(
        get_remote_address, app=app, storage_uri=app.config["MONGO_URI"], strategy="moving-window"
    )
    otp = FlaskOtpAuth(app, limiter=limiter)
    cap_all_codes(app, limiter, app.config["ALL_CODES"])

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        app.logger.info("send a code to %s here", method)
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, str]:
        return {"id": identifier}

    return app
