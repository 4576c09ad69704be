"""A captcha before a code is sent, so that a machine pays something for each message.

The page solves the captcha and sends the proof in the header ``Captcha-Token``. Here a stand-in
checks it; put the call of your captcha's provider in its place, and the provider's script into
``captcha_page/templates/otp_auth/login.html``. Run it with ``FLASK_SECRET_KEY``,
``FLASK_MONGO_URI``, ``FLASK_CAPTCHA_SECRET`` and ``FLASK_CAPTCHA_ORIGIN`` set::

    flask --app examples/recipes/captcha.py run
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, request

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.exceptions import RequestError

Verifier = Callable[[str, str | None], bool]
VIEWS_THAT_SEND = ("otp_auth.initiate", "otp_auth.resend")


class CaptchaNotSolved(RequestError):
    """Somebody asks for a code without the proof of a solved captcha."""

    code = 403
    error_code = "forbidden"
    detail = "Please show that you are no machine, and try again."


def ask_for_captcha(app: Flask, is_human: Verifier) -> None:
    """Refuse to send a code without a solved captcha.

    :param is_human: a function that receives the proof and the client's address, and returns
        whether the proof is valid. It needs a timeout of its own, and has to return ``False`` if
        the provider does not answer.
    """

    @app.before_request
    def captcha() -> None:
        if request.endpoint not in VIEWS_THAT_SEND or request.method != "POST":
            return
        proof = request.headers.get("Captcha-Token", "")
        if not 1 <= len(proof) <= 2048 or not is_human(proof, request.remote_addr):
            raise CaptchaNotSolved


def let_captcha_into_page(app: Flask, origin: str) -> None:
    """Allow the login page to load the script and the frame of a captcha.

    :param origin: that of the provider, such as ``https://captcha.example``.
    """
    policy = (
        f"default-src 'none'; script-src 'self' {origin}; frame-src {origin}; "
        f"connect-src 'self' {origin}; style-src 'self'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )

    @app.after_request
    def allow(response: Response) -> Response:
        if request.endpoint in ("otp_auth.login", "otp_auth.login_form"):
            response.headers["Content-Security-Policy"] = policy
        return response


def stand_in(secret: str) -> Verifier:
    """Return a verifier that takes one secret word for a solved captcha."""

    def is_human(proof: str, address: str | None) -> bool:
        return hmac.compare_digest(proof.encode(), secret.encode())

    return is_human


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build an application that asks for a captcha."""
    app = Flask(
        __name__,
        template_folder="captcha_page/templates",
        static_folder="captcha_page/static",
    )
    app.config.from_mapping(
        CAPTCHA_ORIGIN="https://captcha.example",
        OTP_AUTH_LOGIN_PAGE=True,
        JWT_TOKEN_LOCATION=["cookies"],
        JWT_COOKIE_SAMESITE="Lax",
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    otp = FlaskOtpAuth(app)
    ask_for_captcha(app, stand_in(app.config["CAPTCHA_SECRET"]))
    let_captcha_into_page(app, app.config["CAPTCHA_ORIGIN"])

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        app.logger.info("send a code by %s here", method)
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, str]:
        return {"id": identifier}

    return app
