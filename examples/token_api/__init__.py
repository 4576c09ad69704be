"""An API that signs in by code and answers with tokens in JSON, for React and for phones.

Run it from the root of the repository::

    pip install -e '.[demo]' flask-cors
    flask --app examples/token_api run

then start ``examples/react`` or ``examples/react_native``. Codes are printed to the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from flask_cors import CORS
from flask_jwt_extended import get_current_user, jwt_required
from flask_pymongo import PyMongo

from flask_otp_auth import FlaskOtpAuth
from quickstart import print_boxed
from quickstart.prepare import find_or_add_user, prepare, users_of

VITE_ORIGINS = ("http://localhost:5173", "http://127.0.0.1:5173")
TRUSTED_FOR = 180 * 86400  # seconds


def create_app(
    config: Mapping[str, Any] | None = None, *, instance_path: Path | None = None
) -> Flask:
    """Build the API.

    :param config: settings; they win over the environment's ``FLASK_...``. ``FRONTEND_ORIGINS``
        lists the origins whose pages may call the API, by default those of Vite's own server.
    :param instance_path: where the database and the secret key live; by default the folder
        ``instance`` beside this file, which git ignores.
    """
    instance = instance_path or Path(__file__).with_name("instance")
    app = Flask(__name__, instance_path=str(instance.resolve()))
    app.config.from_mapping(
        OTP_AUTH_REFRESH_TOKEN=True,
        OTP_AUTH_TRUSTED_DEVICES=TRUSTED_FOR,
        FRONTEND_ORIGINS=VITE_ORIGINS,
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    prepare(app)

    # Whatever a client needs is in the body, so no header is exposed; tokens are no cookies.
    CORS(
        app,
        origins=app.config["FRONTEND_ORIGINS"],
        methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        max_age=600,
    )
    mongo = PyMongo(app)
    users = users_of(mongo)
    otp = FlaskOtpAuth(app, mongo=mongo)

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        print_boxed(f"Code: {code}", f"for {identifier} by {method}")
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, Any] | None:
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

    return app
