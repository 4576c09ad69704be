"""More than one thing is wrong, and the first of them is answered: the order of docs/http.rst."""

from __future__ import annotations

from typing import Any

from flask import abort
from support.world import MakeWorld, World

SMS = {"identifier": "+46701234567", "method": "sms"}
LARGE = "{" * 20_000


def told(world: World, path: str, **arguments: Any) -> tuple[int, str]:
    answer = world.client.post(f"/otp/{path}", **arguments)
    body = answer.json
    return answer.status_code, body["error"]["code"] if "error" in body else body["data"]["status"]


def as_json(text: str) -> dict[str, Any]:
    return {"data": text, "content_type": "application/json"}


def test_a_refusal_of_the_application_comes_before_any_of_ours(make_world: MakeWorld) -> None:
    world = make_world()
    world.app.before_request(lambda: abort(403))

    assert world.client.get("/otp/verify").status_code == 403
    assert told(world, "verify", data=LARGE) == (403, "forbidden")


def test_a_wrong_method_uses_up_no_limit_of_a_client(make_world: MakeWorld) -> None:
    world = make_world(CLIENT_LIMITS="1 per hour")

    assert world.client.get("/otp/initiate").status_code == 405
    world.initiate()
    assert world.client.get("/otp/initiate").status_code == 405


def test_a_client_over_its_limit_is_told_so_whatever_its_body_is(make_world: MakeWorld) -> None:
    world = make_world(CLIENT_LIMITS="1 per hour")

    assert told(world, "initiate", data=LARGE) == (415, "unsupportedMediaType")
    for path in ("initiate", "resend"):
        assert told(world, path, data=LARGE) == (429, "tooManyRequests")
    assert told(world, "verify", data=LARGE) == (415, "unsupportedMediaType")


def test_a_body_is_judged_by_its_type_then_its_length_then_its_members(world: World) -> None:
    assert told(world, "initiate", data=LARGE) == (415, "unsupportedMediaType")
    assert told(world, "initiate", **as_json(LARGE)) == (413, "payloadTooLarge")
    refused = {**SMS, "identifier": "nobody", "more": 1}
    assert told(world, "initiate", json=refused) == (400, "badRequest")
    del refused["more"]
    assert told(world, "initiate", json=refused) == (400, "invalidIdentifier")


def test_a_session_that_has_ended_says_so_whatever_code_is_typed(make_world: MakeWorld) -> None:
    world = make_world(MAX_ATTEMPTS=1)
    used, locked = world.initiate(), world.initiate()
    codes = [sent.code for sent in world.outbox]
    assert world.verify(used, codes[0]).status_code == 200
    assert world.verify(locked, "0000").status_code == 403

    for typed in ("wrong", "0000", *codes):
        for session_id, expected in (
            ("0" * 32, (404, "not_found")),
            (used, (400, "alreadyVerified")),
            (locked, (403, "locked")),
        ):
            body = {"sessionId": session_id, "code": typed}
            assert told(world, "verify", json=body) == expected
