"""Sign in by email, on as many machines as you like; docs/deployment.rst says how to run it.

Options come from the environment: ``FLASK_SECRET_KEY``, ``FLASK_JWT_SECRET_KEY``,
``FLASK_MONGO_URI``, ``FLASK_OTP_AUTH_EMAIL_URLS`` and any other of Flask or of the extensions, with
``FLASK_`` before its name.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_jwt_extended import get_jwt_identity, jwt_required
from flask_pymongo import PyMongo
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery


def create_app() -> Flask:
    """Build the application of one machine."""
    app = Flask(__name__)
    app.config["PREFERRED_URL_SCHEME"] = "https"
    app.config["OTP_AUTH_METHODS"] = ["email"]
    app.config["OTP_AUTH_APP_NAME"] = "Example"
    app.config["OTP_AUTH_TRUSTED_DEVICES"] = 90 * 86400
    app.config.from_prefixed_env()
    # One proxy stands in front, and sets each of these headers itself.
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    otp = FlaskOtpAuth(app, mongo=PyMongo(app))
    Delivery(otp)

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, str]:
        return {"id": identifier}

    @app.get("/me")
    @jwt_required()
    def me() -> dict[str, str]:
        return {"id": get_jwt_identity()}

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        # Only of this process: if it depended on the database, an election would take all
        # machines out of the balancer, and not one would be left to answer 503.
        return {"status": "ok"}

    return app
