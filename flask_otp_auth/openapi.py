"""The OpenAPI 3.1 description: ``openapi.json``, kept by hand, reduced to what an app offers."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request

from .settings import Settings
from .state import EXTENSION, AppState
from .types import METHODS

#: The file with the description of all endpoints, with every option turned on.
SHIPPED = Path(__file__).with_name("openapi.json")

_PREFIX = "/otp"
_REFERENCE = re.compile(r'"\$ref": "#/components/schemas/(\w+)"')


def describe(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI description of the endpoints of an application.

    It contains only the endpoints, methods and members that the options of the application turn
    on, and its paths begin with ``OTP_AUTH_URL_PREFIX``.

    :param app: an application on which Flask-OTP-Auth has been initialised.
    :return: the description as a dictionary that can be changed freely.
    :raises RuntimeError: Flask-OTP-Auth has not been initialised on *app*.
    """
    state = app.extensions.get(EXTENSION)
    if not isinstance(state, AppState):
        raise RuntimeError(
            "Flask-OTP-Auth has not been initialised on this app; call init_app(app) first."
        )
    description: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    description["info"]["version"] = version("Flask-OTP-Auth")
    _cut_members(description, state.settings)
    description["paths"] = {
        state.settings.url_prefix + path.removeprefix(_PREFIX): item
        for path, item in description["paths"].items()
        if f"otp_auth.{path.rpartition('/')[2]}" in app.view_functions
    }
    _cut_schemas(description)
    components = description["components"]
    schemes = components["securitySchemes"]
    schemes["otpRefreshCookie"]["name"] = app.config["JWT_REFRESH_COOKIE_NAME"]
    if not any(operation["post"]["security"] for operation in description["paths"].values()):
        del components["securitySchemes"]
    return description


def _cut_members(description: dict[str, Any], settings: Settings) -> None:
    """Remove the members and methods that the options of the app turn off."""
    schemas = description["components"]["schemas"]
    initiate = schemas["OtpInitiateRequest"]
    _cut_examples(description["paths"], settings)
    initiate["properties"]["method"]["enum"] = list(settings.methods)
    initiate["allOf"] = [
        rule
        for rule in initiate["allOf"]
        if rule["if"]["properties"]["method"]["const"] in settings.methods
    ]
    if settings.trusted_devices is None:
        del initiate["properties"]["deviceToken"]
        del schemas["OtpSuccess"]["properties"]["deviceToken"]
    if not settings.refresh_token:
        del schemas["OtpSuccess"]["properties"]["refreshToken"]


def _cut_examples(paths: dict[str, Any], settings: Settings) -> None:
    initiate = paths[f"{_PREFIX}/initiate"]["post"]
    for part in (initiate["requestBody"], initiate["responses"]["400"]):
        examples = part["content"]["application/json"]["examples"]
        for method in set(METHODS) - set(settings.methods):
            del examples[method]
    verified = paths[f"{_PREFIX}/verify"]["post"]["responses"]["200"]
    success = verified["content"]["application/json"]["examples"]["success"]["value"]["data"]
    if settings.trusted_devices is None:
        del success["deviceToken"]
    if not settings.refresh_token:
        del success["refreshToken"]


def _cut_schemas(description: dict[str, Any]) -> None:
    """Remove the schemas that no path refers to."""
    schemas = description["components"]["schemas"]
    wanted: set[str] = set()
    new = set(_REFERENCE.findall(json.dumps(description["paths"])))
    while new:
        wanted |= new
        new = {name for old in new for name in _REFERENCE.findall(json.dumps(schemas[old]))}
        new -= wanted
    description["components"]["schemas"] = {
        name: schema for name, schema in schemas.items() if name in wanted
    }


def as_text(description: dict[str, Any]) -> str:
    """Return a description as the JSON text that is printed and served."""
    return json.dumps(description, indent=2, ensure_ascii=False) + "\n"


def serve(app: Flask, url_prefix: str) -> None:
    """Add ``GET {prefix}/openapi.json`` to an application.

    ``init_app`` does this if ``OTP_AUTH_OPENAPI`` is on.

    :param app: the application to describe.
    :param url_prefix: the path under which ``/openapi.json`` is added.
    """
    blueprint = Blueprint("otp_auth_openapi", __name__, url_prefix=url_prefix)

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        description = describe(current_app._get_current_object())  # type: ignore[attr-defined]
        if request.script_root:  # the app is mounted below the root of its host
            description["servers"] = [{"url": request.script_root}]
        response = current_app.response_class(as_text(description), mimetype="application/json")
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    app.register_blueprint(blueprint)
