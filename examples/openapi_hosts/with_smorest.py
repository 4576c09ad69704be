"""A Flask-Smorest host whose description at ``/openapi.json`` has the login in it."""

from __future__ import annotations

from apispec import APISpec
from flask import Flask
from flask.views import MethodView
from flask_smorest import Api, Blueprint
from marshmallow import Schema, fields

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.openapi import describe

pets = Blueprint("pets", __name__, description="The pets of the host.")


class Pet(Schema):
    """A pet."""

    name = fields.String(required=True)


@pets.route("/pets")
class Pets(MethodView):
    """The endpoint that the host describes itself."""

    @pets.response(200, Pet(many=True))
    def get(self) -> list[dict[str, str]]:
        """List the pets."""
        return [{"name": "Rex"}]


def create_app(config: dict[str, object]) -> tuple[Flask, FlaskOtpAuth]:
    """Return the host and its login."""
    app = Flask(__name__)
    app.config.update(
        API_TITLE="Pets", API_VERSION="1", OPENAPI_VERSION="3.1.0", OPENAPI_URL_PREFIX="/"
    )
    app.config.update(config)
    otp = FlaskOtpAuth(app)
    api = Api(app)
    api.register_blueprint(pets)
    add_login(app, api.spec)
    return app, otp


def add_login(app: Flask, spec: APISpec) -> None:
    """Add the endpoints of the login to *spec*; call it after ``otp.init_app``."""
    login = describe(app)
    components = login["components"]
    for name, schema in components["schemas"].items():
        spec.components.schema(name, schema)
    for name, header in components["headers"].items():
        spec.components.header(name, header)
    for name, scheme in components.get("securitySchemes", {}).items():
        spec.components.security_scheme(name, scheme)
    rules = {rule.rule: rule for rule in app.url_map.iter_rules()}
    for path, operations in login["paths"].items():
        spec.path(rule=rules[path], operations=operations)
