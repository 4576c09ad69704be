"""Generates ``openapi.json``, the description that is shipped, from the schemas with apispec.

To update it, run ``python -m flask_otp_auth.openapi.generate``. It describes the endpoints with
every option turned on; ``describe`` then removes what an application does not offer.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from ..http import schemas
from ..settings import METHODS
from . import SHIPPED, answers, as_text, operations, requests

_OPERATIONS = (
    operations.initiate,
    operations.verify,
    operations.resend,
    operations.refresh,
    operations.logout,
)


def generate() -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of all endpoints, with every option turned on."""
    plugin = MarshmallowPlugin(schema_name_resolver=_component_name)
    spec = APISpec(
        title="Login with a one-time code",
        version=version("Flask-OTP-Auth"),
        openapi_version="3.1.0",
        info={
            "description": "The endpoints of Flask-OTP-Auth, with which people sign in with a "
            "short code sent by SMS or email."
        },
        tags=[{"name": "otp", "description": "Signing in with a one-time code."}],
        plugins=[plugin],
    )
    assert plugin.converter is not None  # noqa: S101 - made by the line above
    plugin.converter.add_attribute_function(requests.rules_of)  # type: ignore[no-untyped-call]
    _add_schemas(spec)
    for name, scheme in operations.SECURITY.items():
        spec.components.security_scheme(name, scheme)
    for name, header in operations.HEADERS.items():
        spec.components.header(name, header)
    for describe in _OPERATIONS:
        spec.path(f"/otp/{describe.__name__}", operations={"post": describe()})
    return {"openapi": "3.1.0", **spec.to_dict()}


def _component_name(schema: Any) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__


def _add_schemas(spec: APISpec) -> None:
    taken: dict[str, tuple[Any, str]] = {
        "OtpInitiateRequest": (
            schemas.initiate_request(METHODS, trusts_devices=True),
            "A request for a code.",
        ),
        "OtpVerifyRequest": (schemas.verify_request, "A code that a person typed."),
        "OtpResendRequest": (schemas.resend_request, "A request for another code."),
    }
    told: dict[str, tuple[Any, str]] = {}
    for answer in vars(answers).values():
        if isinstance(answer, type) and issubclass(answer, Schema) and answer is not Schema:
            told[answer.__name__] = (answer, answer.__doc__ or "")
    for status, (name, codes) in operations.ERRORS.items():
        told[name] = (
            answers.error_schema(name, status, codes),
            f"An error with the HTTP status {status}.",
        )
    for name, (schema, text) in {**taken, **told}.items():
        spec.components.schema(name, schema=schema)
        spec.components.schemas[name]["description"] = text
    for name, component in spec.components.schemas.items():
        if name in taken:
            for member, text in requests.MEMBERS[name].items():
                component["properties"][member]["description"] = text
        else:  # a client must ignore members that are added later
            del component["additionalProperties"]
            component.setdefault("description", "What went wrong.")
    for name, component in requests.COMPONENTS.items():
        spec.components.schema(name, component)
    spec.components.schemas["OtpInitiateRequest"] |= requests.IDENTIFIER_BY_METHOD
    for name, data in _ANSWERS.items():
        spec.components.schema(name, _envelope(*data))


_ANSWERS = {
    "OtpStartedSessionAnswer": (
        "The session that was started or got another code.",
        ["OtpStartedSession"],
    ),
    "OtpSuccessAnswer": ("The person is signed in.", ["OtpSuccess"]),
    "OtpInvalidCodeAnswer": ("The code is wrong.", ["OtpInvalidCode"]),
    "OtpForbiddenAnswer": ("The session is locked or has expired.", ["OtpLocked", "OtpExpired"]),
    "OtpExpiredAnswer": ("The session has expired.", ["OtpExpired"]),
    "OtpNotFoundAnswer": ("There is no such session or no such user.", ["OtpNotFound"]),
    "OtpTokensAnswer": ("The new tokens.", ["OtpTokens"]),
}
_STATUS_OF = {"OtpLocked": "locked", "OtpExpired": "expired"}


def _envelope(description: str, data: list[str]) -> dict[str, Any]:
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in data]
    inside: dict[str, Any] = refs[0]
    if len(refs) > 1:
        mapping = {_STATUS_OF[name]: ref["$ref"] for name, ref in zip(data, refs, strict=True)}
        inside = {
            "oneOf": refs,
            "discriminator": {"propertyName": "status", "mapping": mapping},
        }
    return {
        "description": description,
        "type": "object",
        "required": ["data"],
        "properties": {"data": inside},
    }


if __name__ == "__main__":
    SHIPPED.write_text(as_text(generate()), encoding="utf-8")
