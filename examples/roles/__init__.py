"""Roles in the token, from the user and never from the payload, and a view for editors only.

The roles are looked up anew at each refresh, so that a change holds after fifteen minutes at most,
and a user who has been blocked gets no more tokens.

Set ``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` as in the README, add a user, and start the
application, which prints its codes::

    python - <<'END'
    import os, pymongo
    users = pymongo.MongoClient(os.environ["FLASK_MONGO_URI"]).get_default_database().users
    users.insert_one({"identifier": "reader@example.com", "roles": ["editor"]})
    END
    flask --app examples/roles run --debug
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from bson import ObjectId
from flask import Flask, abort
from flask_jwt_extended import JWTManager, get_jwt, jwt_required
from flask_pymongo import PyMongo
from pymongo.database import Database

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery

View = TypeVar("View", bound=Callable[..., Any])


def role_required(role: str) -> Callable[[View], View]:
    """Let only those into a view whose token names *role*; others get a 403."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        @jwt_required()
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if role not in get_jwt().get("roles", ()):
                abort(403)
            return view(*args, **kwargs)

        return cast(View, guarded)

    return decorate


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app.

    :param config: settings; they win over the environment's ``FLASK_...``.
    """
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    app.config["OTP_AUTH_REFRESH_TOKEN"] = True
    mongo = PyMongo(app)
    users = cast("Database[dict[str, Any]]", mongo.db).users
    jwt = JWTManager(app)
    otp = FlaskOtpAuth(app, mongo=mongo)
    Delivery(otp)

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, Any] | None:
        return users.find_one({"identifier": identifier, "blocked": {"$ne": True}})

    @jwt.user_identity_loader
    def subject_of(user: dict[str, Any]) -> str:
        return str(user["_id"])

    @jwt.user_lookup_loader
    def look_up(_header: Any, claims: Mapping[str, Any]) -> dict[str, Any] | None:
        return users.find_one({"_id": ObjectId(claims["sub"]), "blocked": {"$ne": True}})

    @jwt.additional_claims_loader
    def claims_of(user: dict[str, Any]) -> dict[str, Any]:
        return {"roles": user.get("roles", [])}

    @app.get("/drafts")
    @role_required("editor")
    def drafts() -> dict[str, list[str]]:
        return {"drafts": ["On login codes"]}

    return app
