"""The application that gunicorn serves in the tests; its handlers write to the database.

``MONGO_URI`` names the database, and ``CONFIG`` may hold more of ``app.config`` as JSON; with
``LIMITER`` the host has a Limiter of its own, as its documentation shows it. The collection
``outbox`` gets the codes, ``calls`` the calls of the handlers after a right code. With
``REFRESH`` the tokens are those of the extension, which can be refreshed.
"""

from __future__ import annotations

import json
import os
from typing import Any

from flask import Flask, Response
from flask_jwt_extended import jwt_required
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_pymongo import PyMongo
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_otp_auth import FlaskOtpAuth

SECRET_KEY = "the same in all of the processes"


def create_app() -> Flask:
    app = Flask("races")
    app.config.update(
        SECRET_KEY=SECRET_KEY,
        MONGO_URI=os.environ["MONGO_URI"],
        OTP_AUTH_CLIENT_LIMITS=None,
        OTP_AUTH_IDENTIFIER_LIMITS=None,
        OTP_AUTH_REFRESH_TOKEN="REFRESH" in os.environ,
    )
    app.config.update(json.loads(os.environ.get("CONFIG", "{}")))
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)
    if "LIMITER" in os.environ:
        Limiter(get_remote_address, app=app)
    mongo = PyMongo(app)
    otp = FlaskOtpAuth(app, mongo=mongo)

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        mongo.db.outbox.insert_one({"code": code, "identifier": identifier, "payload": payload})
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        mongo.db.calls.insert_one({"handler": "get_user", "payload": payload})
        return {"id": identifier}

    if "REFRESH" not in os.environ:

        @otp.verify_success_handler
        def on_success(user: Any, identifier: str, method: str, payload: Any) -> Any:
            mongo.db.calls.insert_one({"handler": "verify_success", "payload": payload})
            return {"user": user, "token": f"token for {payload}"}

    @app.get("/me")
    @jwt_required()
    def me() -> str:
        return "welcome"

    @app.after_request
    def name_the_process(response: Response) -> Response:
        response.headers["X-Process"] = str(os.getpid())
        return response

    return app
