"""A captcha before a code is sent, so that a machine pays something for each message.

The page solves the captcha and sends the proof in the header ``Captcha-Token``. Here a stand-in
checks it; put the call of your captcha's provider in its place. Run it with ``FLASK_SECRET_KEY``,
``FLASK_MONGO_URI`` and ``FLASK_CAPTCHA_SECRET`` set::

    flask --app examples/recipes/captcha.py run
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, abort, request

from flask_otp_auth import FlaskOtpAuth

Verifier = Callable[[str, str | None], bool]


def ask_for_captcha(app: Flask, is_human: Verifier) -> None:
    """Refuse to send a code without a solved captcha.

    :param is_human: a function that receives the proof and the client's address, and returns
        whether the proof is valid. It needs a timeout of its own, and has to return ``False`` if
        the provider does not answer.
    """

    @app.before_request
    def captcha() -> None:
        # Not for verify and resend: a session was only started with a proof.
        if request.endpoint != "otp_auth.initiate" or request.method != "POST":
            return
        proof = request.headers.get("Captcha-Token", "")
        if not 1 <= len(proof) <= 2048 or not is_human(proof, request.remote_addr):
            # The blueprint turns this into an error object: {"error": {"code": "forbidden"}}
            abort(403)


def stand_in(secret: str) -> Verifier:
    """Return a verifier that takes one secret word for a solved captcha."""

    def is_human(proof: str, address: str | None) -> bool:
        return hmac.compare_digest(proof.encode(), secret.encode())

    return is_human


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build an application that asks for a captcha."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    otp = FlaskOtpAuth(app)
    ask_for_captcha(app, stand_in(app.config["CAPTCHA_SECRET"]))

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        app.logger.info("send a code by %s here", method)
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, str]:
        return {"id": identifier}

    return app
