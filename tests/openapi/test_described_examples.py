"""Every example of the description is what the application really takes and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from jsonschema import Draft202012Validator
from live import closed
from support.world import MakeWorld, World

from flask_otp_auth.exceptions import Refused
from flask_otp_auth.openapi import SHIPPED

DESCRIPTION = json.loads(SHIPPED.read_text(encoding="utf-8"))
OPERATIONS = {path.rpartition("/")[2]: item["post"] for path, item in DESCRIPTION["paths"].items()}
SMS = {"identifier": "+46701234567", "method": "sms"}
OTHER = {"identifier": "+46701234568", "method": "sms"}
# What differs from one answer to the next.
_OF_THE_MOMENT = {"id", "sessionId", "expiresAt", "ttl", "retryAfter"}
_OF_THE_MOMENT |= {"token", "refreshToken", "deviceToken"}
HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
# An operation, a status, the name of an example, and the answer that it stands for.
Answer = tuple[str, int, str, Any]


def examples() -> dict[tuple[str, int, str], Any]:
    return {
        (operation, int(status), name): example["value"]
        for operation, described in OPERATIONS.items()
        for status, answer in described["responses"].items()
        for content in answer.get("content", {}).values()
        for name, example in content["examples"].items()
    }


def steady(value: Any) -> Any:
    """Return *value* with the type of what differs from one answer to the next."""
    if not isinstance(value, dict):
        return value
    return {
        name: type(member) if name in _OF_THE_MOMENT else steady(member)
        for name, member in value.items()
    }


def test_the_application_answers_as_the_examples_say(make_world: MakeWorld) -> None:
    wanted = examples()
    seen = set()

    for operation, status, name, answer in [
        *signing_in(make_world),
        *ended_sessions(make_world),
        *refusals_of_bodies(make_world),
        *refusals_of_tokens(make_world),
        *limits(make_world),
        *limits_of_the_host(make_world),
        *failures(make_world),
    ]:
        case = (operation, status, name)
        assert (answer.status_code, steady(answer.json)) == (status, steady(wanted[case])), case
        assert HEADERS.items() <= dict(answer.headers).items(), case
        assert "access-control-" not in str(answer.headers).lower(), case
        wait = answer.json.get("error", {}).get("retryAfter")
        assert answer.headers.get("Retry-After") == (None if wait is None else str(wait)), case
        seen.add(case)

    assert seen == wanted.keys()


def post(world: World, operation: str, body: Any = None, **arguments: Any) -> Any:
    if body is not None:
        arguments["json"] = body
    return world.client.post(f"/otp/{operation}", **arguments)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def login(world: World) -> dict[str, Any]:
    answer = world.verify(world.initiate(**SMS), world.code)
    assert answer.status_code == 200
    data: dict[str, Any] = answer.json["data"]
    return data


def signing_in(make_world: MakeWorld) -> Iterator[Answer]:
    world = make_world(REFRESH_TOKEN=True, TRUSTED_DEVICES=86_400, MAX_RESENDS=1)
    world.users[SMS["identifier"]] = {"id": "user-2"}
    started = post(world, "initiate", SMS)
    yield "initiate", 200, "started", started
    session = {"sessionId": started.json["data"]["sessionId"]}
    yield "resend", 200, "started", post(world, "resend", session)
    yield "resend", 429, "tooManyResends", post(world, "resend", session)
    wrong, right = ({**session, "code": code} for code in (world.wrong_code, world.code))
    yield "verify", 401, "invalid_code", post(world, "verify", wrong)
    signed_in = post(world, "verify", right)
    yield "verify", 200, "success", signed_in
    yield "verify", 400, "alreadyVerified", post(world, "verify", right)
    yield "resend", 404, "not_found", post(world, "resend", session)
    headers = bearer(signed_in.json["data"]["refreshToken"])
    yield "refresh", 200, "refreshed", post(world, "refresh", headers=headers)


def ended_sessions(make_world: MakeWorld) -> Iterator[Answer]:
    world = make_world(MAX_ATTEMPTS=1)
    world.users[OTHER["identifier"]] = None
    nobody = world.initiate(**OTHER)
    yield "verify", 404, "user", world.verify(nobody, world.code)
    yield "verify", 400, "alreadyVerified", world.verify(nobody, world.code)
    yield "verify", 404, "session", world.verify("0" * 32, world.code)
    blocked = world.initiate(**SMS)
    code = world.code

    @world.otp.get_user_handler
    def refuse(identifier: str, method: str, payload: Any) -> Any:
        raise Refused("This account is blocked.")

    yield "verify", 403, "refused", world.verify(blocked, code)
    session_id = world.initiate(**SMS)
    yield "verify", 403, "locked", world.verify(session_id, world.wrong_code)
    late = world.initiate(**SMS)
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=301)):
        yield "resend", 403, "expired", post(world, "resend", {"sessionId": late})
        yield "verify", 403, "expired", world.verify(late, world.code)


def refusals_of_bodies(make_world: MakeWorld) -> Iterator[Answer]:
    world = make_world()
    for operation, known in (
        ("initiate", {"identifier": "+46701234567"}),
        ("verify", {"sessionId": "0" * 32}),
        ("resend", {}),
    ):
        yield operation, 400, "badRequest", post(world, operation, known)
        large = post(world, operation, {"sessionId": "0" * 20_000})
        yield operation, 413, "payloadTooLarge", large
        yield operation, 415, "unsupportedMediaType", post(world, operation, data="{}")
    for method in ("sms", "email"):
        refused = post(world, "initiate", {"identifier": "nobody", "method": method})
        yield "initiate", 400, method, refused


def refusals_of_tokens(make_world: MakeWorld) -> Iterator[Answer]:
    world = make_world(REFRESH_TOKEN=True, config={"JWT_TOKEN_LOCATION": ["cookies"]})
    yield "refresh", 401, "invalidRefreshToken", post(world, "refresh")
    client = world.app.test_client()
    session_id = world.initiate(**SMS)
    body = {"sessionId": session_id, "code": world.code}
    assert client.post("/otp/verify", json=body, base_url="https://localhost").status_code == 200
    yield "refresh", 401, "csrf", client.post("/otp/refresh", base_url="https://localhost")
    yield "logout", 401, "unauthorized", client.post("/otp/logout", base_url="https://localhost")


def limits(make_world: MakeWorld) -> Iterator[Answer]:
    world = make_world(IDENTIFIER_LIMITS="1 per minute")
    session = {"sessionId": world.initiate(**OTHER)}
    yield "initiate", 429, "tooManyRequests", post(world, "initiate", OTHER)
    yield "resend", 429, "tooManyRequests", post(world, "resend", session)
    world = make_world(LOCKOUT_THRESHOLD=3)
    session = {"sessionId": world.initiate(**OTHER)}
    locked = world.initiate(**OTHER)
    for _ in range(3):
        world.verify(locked, world.wrong_code)
    yield "initiate", 429, "identifierLocked", post(world, "initiate", OTHER)
    yield "resend", 429, "identifierLocked", post(world, "resend", session)


def limits_of_the_host(make_world: MakeWorld) -> Iterator[Answer]:
    world = make_world(REFRESH_TOKEN=True)
    rules = {"default_limits": ["1 per minute"], "storage_uri": "memory://"}
    Limiter(get_remote_address, app=world.app, **rules)
    for operation in ("verify", "refresh", "logout"):
        assert post(world, operation).status_code != 429
        yield operation, 429, "tooManyRequests", post(world, operation)


def failures(make_world: MakeWorld) -> Iterator[Answer]:
    world = make_world(REFRESH_TOKEN=True)
    session_id = world.initiate(**SMS)
    token = bearer(login(world)["refreshToken"])
    world.otp.send_code_handler(lambda code, identifier, method, payload: False)
    yield "initiate", 500, "internalServerError", post(world, "initiate", SMS)
    resent = post(world, "resend", {"sessionId": session_id})
    yield "resend", 500, "internalServerError", resent
    world.otp.get_user_handler(lambda identifier, method, payload: 1 // 0)
    failed = world.verify(session_id, world.outbox[0].code)
    yield "verify", 500, "internalServerError", failed
    for status, name, other in (
        (500, "internalServerError", broken(make_world)),
        (503, "serviceUnavailable", without_database(make_world)),
    ):
        for operation in ("refresh", "logout"):
            yield operation, status, name, post(other, operation, headers=token)
    session = {"sessionId": session_id}
    for operation, body in (
        ("initiate", SMS),
        ("verify", {**session, "code": "1"}),
        ("resend", session),
    ):
        yield operation, 503, "serviceUnavailable", post(other, operation, body)


def broken(make_world: MakeWorld) -> World:
    world = make_world(REFRESH_TOKEN=True)
    world.app.before_request(lambda: 1 // 0)
    return world


def without_database(make_world: MakeWorld) -> World:
    config = {"MONGO_URI": "mongodb://127.0.0.1:1/none"}
    return make_world(REFRESH_TOKEN=True, DB_TIMEOUT=0.1, config=config)


def test_the_examples_fit_their_schemas() -> None:
    components = closed(DESCRIPTION)["components"]
    checked = 0
    for operation in OPERATIONS.values():
        request = [operation["requestBody"]] if "requestBody" in operation else []
        for part in [*request, *operation["responses"].values()]:
            for content in part.get("content", {}).values():
                validator = Draft202012Validator({**content["schema"], "components": components})
                for example in content["examples"].values():
                    validator.validate(example["value"])
                    checked += 1

    assert checked > 40


def test_every_error_code_of_the_description_has_an_example() -> None:
    shown = {value["error"]["code"] for value in examples().values() if "error" in value}
    schemas = DESCRIPTION["components"]["schemas"]
    described = {
        code
        for schema in schemas.values()
        for code in schema.get("properties", {}).get("code", {}).get("enum", ())
    }

    assert shown == described
