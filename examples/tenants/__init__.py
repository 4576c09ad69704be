"""One application for each tenant, chosen by the host name of the request.

Each tenant has a database and keys of its own, so a code, a token, a lock or a limit of one is
nothing to the others, not even where the same person uses several. The handlers are written once:
one ``FlaskOtpAuth`` serves all of the applications. A host name that is not in the list gets a 404.

Set ``MONGO_SERVER`` and a key for each tenant, and start the server, which prints its codes; then
send requests with the header ``Host: red.example.com``::

    export MONGO_SERVER=mongodb://127.0.0.1:27017
    export RED_SECRET_KEY=$(openssl rand -hex 32) BLUE_SECRET_KEY=$(openssl rand -hex 32)
    gunicorn --chdir examples "tenants:create_site()"
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, current_app
from flask_jwt_extended import get_jwt_identity, jwt_required
from flask_pymongo import PyMongo
from pymongo.database import Database
from werkzeug.exceptions import NotFound
from werkzeug.wsgi import get_host

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TENANTS = {"red.example.com": "red", "blue.example.com": "blue"}

otp = FlaskOtpAuth()
Delivery(otp, console=True)


@otp.get_user_handler
def get_user(identifier: str, method: str, payload: Any) -> dict[str, Any] | None:
    """Find the user of an identifier in the database of the tenant."""
    database = cast("Database[dict[str, Any]]", current_app.extensions["tenant_mongo"].db)
    return database.users.find_one({"_id": identifier})


def create_app(config: Mapping[str, Any]) -> Flask:
    """Build the app of one tenant.

    :param config: its settings, with keys and a ``MONGO_URI`` of its own.
    """
    app = Flask(__name__)
    app.config.from_mapping(config)
    mongo = app.extensions["tenant_mongo"] = PyMongo(app)
    otp.init_app(app, mongo=mongo)

    @app.get("/me")
    @jwt_required()
    def me() -> dict[str, str]:
        return {"id": get_jwt_identity(), "tenant": app.config["OTP_AUTH_APP_NAME"]}

    return app


class Site:
    """Passes each request to the application of the tenant that its host name names.

    :param apps: the applications by host name.
    """

    def __init__(self, apps: Mapping[str, Flask]) -> None:
        self.apps = apps

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        name = get_host(environ).partition(":")[0].lower()
        return self.apps.get(name, NotFound())(environ, start_response)


def create_site() -> Site:
    """Build the applications of all tenants."""
    return Site(
        {
            host: create_app(
                {
                    "SECRET_KEY": os.environ[f"{name.upper()}_SECRET_KEY"],
                    "MONGO_URI": f"{os.environ['MONGO_SERVER']}/{name}",
                    "OTP_AUTH_APP_NAME": name.capitalize(),
                }
            )
            for host, name in TENANTS.items()
        }
    )
