"""The description is the one that is shipped, and says what this application offers, no more."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate
from support.world import MakeWorld, World

from flask_otp_auth.openapi import SHIPPED, describe

DESCRIPTION = json.loads(SHIPPED.read_text(encoding="utf-8"))
_REFERENCE = re.compile(r'"\$ref": "#/components/schemas/(\w+)"')


def test_the_file_that_is_shipped_is_openapi() -> None:
    validate(DESCRIPTION)
    assert DESCRIPTION["openapi"] == "3.1.0"
    assert DESCRIPTION["info"]["version"] == version("Flask-OTP-Auth")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"REFRESH_TOKEN": True},
        {"URL_PREFIX": "/api/v1/login"},
        {"URL_PREFIX": "/"},
        {"METHODS": ("email",)},
    ],
    ids=str,
)
def test_what_is_described_is_what_is_there(make_world: MakeWorld, options: Any) -> None:
    world = make_world(OPENAPI=True, **options)

    served = world.client.get(f"{options.get('URL_PREFIX', '/otp').rstrip('/')}/openapi.json")

    assert served.status_code == 200
    assert served.mimetype == "application/json"
    assert served.headers["Cache-Control"] == "no-store"
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(served.text) == describe(world.app)
    validate(json.loads(served.text))
    assert describe(world.app)["paths"].keys() == {
        rule.rule for rule in world.app.url_map.iter_rules() if "POST" in (rule.methods or ())
    }


def test_only_the_methods_on_offer_are_described(make_world: MakeWorld) -> None:
    description = describe(make_world(METHODS=("email",)).app)

    request = description["components"]["schemas"]["OtpInitiateRequest"]
    assert request["properties"]["method"]["enum"] == ["email"]
    assert "sms" not in json.dumps(request)
    assert '"sms"' not in json.dumps(description["paths"])


@pytest.mark.parametrize(
    ("options", "told", "untold"),
    [
        ({"REFRESH_TOKEN": True}, "refreshToken", "deviceToken"),
        ({"TRUSTED_DEVICES": 86_400}, "deviceToken", "refreshToken"),
    ],
    ids=["refresh token", "device token"],
)
def test_a_token_is_described_only_where_the_app_gives_one(
    make_world: MakeWorld, options: Any, told: str, untold: str
) -> None:
    description = describe(make_world(**options).app)

    assert told in description["components"]["schemas"]["OtpSuccess"]["properties"]
    assert untold not in json.dumps(description)


def test_a_device_token_is_described_for_the_message_that_it_is_in(make_world: MakeWorld) -> None:
    schemas = describe(make_world(TRUSTED_DEVICES=86_400).app)["components"]["schemas"]

    sent = schemas["OtpInitiateRequest"]["properties"]["deviceToken"]["description"]
    got = schemas["OtpSuccess"]["properties"]["deviceToken"]["description"]
    assert "verify" in sent
    assert "cookies" in got


def test_an_old_client_lets_members_pass_that_a_later_version_answers_with(
    make_world: MakeWorld,
) -> None:
    description = describe(make_world(REFRESH_TOKEN=True, TRUSTED_DEVICES=86_400).app)
    taken, told = set(), set()
    for operation in (item["post"] for item in description["paths"].values()):
        taken |= schemas_below(operation.get("requestBody"), description)
        told |= schemas_below(operation["responses"], description)
    schemas = description["components"]["schemas"]
    closed = {name for name in schemas if schemas[name].get("additionalProperties") is False}

    assert len(told) > 20
    assert closed & told == set()
    assert closed == taken - {"OtpPayload"}


def schemas_below(part: Any, description: Any) -> set[str]:
    """Return the names of the schemas that a part of a description leads to."""
    found: set[str] = set()
    new = set(_REFERENCE.findall(json.dumps(part)))
    while new:
        found |= new
        below = [description["components"]["schemas"][name] for name in new]
        new = set(_REFERENCE.findall(json.dumps(below))) - found
    return found


def test_every_operation_and_member_says_what_it_is_for() -> None:
    schemas = DESCRIPTION["components"]["schemas"]

    silent = [
        f"{name}.{member}"
        for name, schema in schemas.items()
        for member, about in schema.get("properties", {}).items()
        if not ({"description", "$ref", "oneOf"} & about.keys())
    ]
    assert silent == []
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []
    for path, item in DESCRIPTION["paths"].items():
        assert item["post"]["description"], path


def test_every_error_code_says_when_it_comes() -> None:
    schemas = DESCRIPTION["components"]["schemas"]
    codes = [
        schema["properties"]["code"]
        for schema in schemas.values()
        if "code" in schema.get("properties", {}) and "enum" in schema["properties"]["code"]
    ]

    assert len(codes) == 8
    for code in codes:
        assert code["x-enumDescriptions"].keys() == set(code["enum"])


def test_nobody_is_told_about_the_endpoints_without_the_option(world: World) -> None:
    assert world.client.get("/otp/openapi.json").status_code == 404


def test_an_app_without_routes_describes_none(make_world: MakeWorld) -> None:
    world = make_world(REGISTER_ROUTES=False, OPENAPI=True)

    assert world.client.get("/otp/openapi.json").status_code == 404
    assert describe(world.app)["paths"] == {}
    assert describe(world.app)["components"]["schemas"] == {}


def test_an_app_below_a_path_of_its_host_says_where_it_is(make_world: MakeWorld) -> None:
    client = make_world(OPENAPI=True).client

    assert "servers" not in json.loads(client.get("/otp/openapi.json").text)
    below = client.get("/otp/openapi.json", environ_overrides={"SCRIPT_NAME": "/shop"})
    assert json.loads(below.text)["servers"] == [{"url": "/shop"}]


def test_an_app_without_the_extension_has_no_description() -> None:
    with pytest.raises(RuntimeError, match="init_app"):
        describe(Flask("bare"))
