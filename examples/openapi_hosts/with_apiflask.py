"""An APIFlask host whose description at ``/openapi.json`` has the login in it."""

from __future__ import annotations

from typing import Any

from apiflask import APIFlask, Schema
from apiflask.fields import String

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.openapi import describe


class Pet(Schema):
    """A pet."""

    name = String(required=True)


def create_app(config: dict[str, object]) -> tuple[APIFlask, FlaskOtpAuth]:
    """Return the host and its login."""
    app = APIFlask(__name__, title="Pets", version="1")
    app.config.update(config, OPENAPI_VERSION="3.1.0")
    otp = FlaskOtpAuth(app)

    @app.get("/pets")
    @app.output(Pet(many=True))
    def pets() -> list[dict[str, str]]:
        """List the pets."""
        return [{"name": "Rex"}]

    @app.spec_processor
    def add_login(spec: Any) -> Any:
        """Add the endpoints of the login to the description of the host."""
        login = describe(app)
        spec["paths"].update(login["paths"])
        components = spec.setdefault("components", {})
        for kind, named in login["components"].items():
            components.setdefault(kind, {}).update(named)
        return spec

    return app, otp
