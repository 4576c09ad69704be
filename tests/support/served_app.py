"""The application that gunicorn serves in the tests, behind one proxy.

``MONGO_URI`` names the database; options come as ``FLASK_OTP_AUTH_...``. With ``LIMITER`` the host
has a Limiter of its own, as its documentation shows it. What the handlers see goes to the
collections ``outbox`` and ``calls``, or, with ``JOURNAL``, to a folder outside the database.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response
from flask_jwt_extended import jwt_required
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_pymongo import PyMongo
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.signals import code_rejected, code_verified
from support.world import SECRET_KEY

Note = Callable[..., None]


def note_in(folder: Path) -> Note:
    """Note what happens in a file for each message, token and verdict."""

    def note(kind: str, name: str, line: str) -> None:
        # So short a line is written whole or not at all.
        with (folder / kind / name).open("a") as file:
            file.write(line + "\n")

    return note


def keep_a_journal(app: Flask, otp: FlaskOtpAuth, note: Note) -> None:
    """Have the handlers and signals note what they see outside of the database."""

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        note("outbox", payload["run"], code)
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        return {"id": identifier}

    @otp.verify_success_handler
    def on_success(user: Any, identifier: str, method: str, payload: Any) -> Any:
        note("tokens", payload["run"], str(os.getpid()))
        return {"user": user, "token": f"token for {payload['run']}"}

    def on_verified(sender: Flask, session_id: str, **_: Any) -> None:
        note("verdicts", session_id, "accepted")

    def on_rejected(sender: Flask, session_id: str, reason: str, **_: Any) -> None:
        note("verdicts", session_id, reason)

    code_verified.connect(on_verified, app, weak=False)
    code_rejected.connect(on_rejected, app, weak=False)


def store_all(app: Flask, otp: FlaskOtpAuth, mongo: PyMongo) -> None:
    """Have the handlers store what they see in the database."""

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        mongo.db.outbox.insert_one({"code": code, "identifier": identifier, "payload": payload})
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        mongo.db.calls.insert_one({"handler": "get_user", "payload": payload})
        return {"id": identifier}

    if app.config.get("OTP_AUTH_REFRESH_TOKEN"):
        manager = app.extensions["flask-jwt-extended"]
        manager.user_lookup_loader(lambda header, claims: {"id": claims["sub"]})
    else:

        @otp.verify_success_handler
        def on_success(user: Any, identifier: str, method: str, payload: Any) -> Any:
            mongo.db.calls.insert_one({"handler": "verify_success", "payload": payload})
            return {"user": user, "token": f"token for {payload}"}


def create_app() -> Flask:
    app = Flask("served")
    app.config.from_prefixed_env()
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=os.environ["MONGO_URI"])
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)
    if "LIMITER" in os.environ:
        Limiter(get_remote_address, app=app)
    if "JOURNAL" in os.environ:
        keep_a_journal(app, FlaskOtpAuth(app), note_in(Path(os.environ["JOURNAL"])))
    else:
        mongo = PyMongo(app)
        store_all(app, FlaskOtpAuth(app, mongo=mongo), mongo)

    @app.get("/me")
    @jwt_required()
    def me() -> str:
        return "welcome"

    @app.after_request
    def name_the_process(response: Response) -> Response:
        response.headers["X-Process"] = str(os.getpid())
        return response

    return app
