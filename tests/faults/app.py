"""The application that gunicorn serves while its database fails.

Options come from the environment, as ``FLASK_OTP_AUTH_...``. What the handlers and signals see is
kept outside the database: in ``JOURNAL``, a folder with a file for each message, token and verdict.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.signals import code_rejected, code_verified


def note(kind: str, name: str, line: str) -> None:
    """Add a line to a file; so short a one is written whole or not at all."""
    with (Path(os.environ["JOURNAL"]) / kind / name).open("a") as file:
        file.write(line + "\n")


def create_app() -> Flask:
    app = Flask("faults")
    app.config.from_prefixed_env()
    app.config.update(
        SECRET_KEY="the same in all of the processes",
        MONGO_URI=os.environ["MONGO_URI"],
        OTP_AUTH_IDENTIFIER_LIMITS="20 per day",
    )
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)
    otp = FlaskOtpAuth(app)

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

    @app.after_request
    def name_the_process(response: Response) -> Response:
        response.headers["X-Process"] = str(os.getpid())
        return response

    return app
