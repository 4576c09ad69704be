"""Flask-OTP-Auth as a host would use it; the options under test come in BENCH_CONFIG as JSON."""

from __future__ import annotations

import json
import os
from typing import Any

from flask import Flask, Response, g
from flask_pymongo import PyMongo
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.settings import OPTIONS

otp = FlaskOtpAuth()


@otp.send_code_handler
def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
    """Hand the code to the load client."""
    g.code = code
    return True


@otp.get_user_handler
def get_user(identifier: str, method: str, payload: Any) -> dict[str, str]:
    """Everybody is a user; no database is asked, as in every app under test that allows it."""
    return {"id": identifier}


def finish(response: Response) -> Response:
    """Hand the code over."""
    if "code" in g:
        response.headers["X-Bench-Code"] = g.code
    return response


def options_under_test() -> dict[str, Any]:
    """Read the options, so that versions with fewer of them can be measured as well.

    What is off (None) and unknown to this version is off anyway. What BENCH_REQUIRES names, a row
    is about: without it there is nothing to measure.
    """
    known = {option.key for option in OPTIONS}
    required = set(json.loads(os.environ.get("BENCH_REQUIRES", "[]")))
    if missing := required - known:
        raise RuntimeError(f"this version has no {', '.join(sorted(missing))}")
    options: dict[str, Any] = json.loads(os.environ.get("BENCH_CONFIG", "{}"))
    return {key: value for key, value in options.items() if value is not None or key in known}


def create_app() -> Flask:
    """Make the app under test."""
    app = Flask(__name__)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=0)  # type: ignore[method-assign]
    app.config.update(
        # No SECRET_KEY, as in the floor: with one, Flask prepares its own session for each request.
        OTP_AUTH_SECRET_KEY="a secret of the benchmark, 32 bytes or more",
        JWT_SECRET_KEY="another secret of the benchmark, 32 bytes",
        MONGO_URI=os.environ["BENCH_MONGO_URI"],
    )
    app.config.update(options_under_test())
    otp.init_app(app, mongo=PyMongo(app))
    app.after_request(finish)
    return app
