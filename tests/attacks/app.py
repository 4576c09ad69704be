"""The application that gunicorn serves to the attackers: default limits, behind one proxy.

``MONGO_URI`` names the database, and ``SECRET_KEY`` is shared with the application inside the test.
The collection ``outbox`` gets what is sent.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, Response
from flask_pymongo import PyMongo
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_otp_auth import FlaskOtpAuth


def create_app() -> Flask:
    app = Flask("attacked")
    app.config.update(SECRET_KEY=os.environ["SECRET_KEY"], MONGO_URI=os.environ["MONGO_URI"])
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)
    mongo = PyMongo(app)
    otp = FlaskOtpAuth(app, mongo=mongo)

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        mongo.db.outbox.insert_one({"code": code, "identifier": identifier})
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        return {"id": identifier}

    @app.after_request
    def name_the_process(response: Response) -> Response:
        response.headers["X-Process"] = str(os.getpid())
        return response

    return app
