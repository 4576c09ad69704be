"""Reading a body: host code that reads it too loses nothing, and the bound holds all the same."""

from __future__ import annotations

import gzip
import json
import logging

import pytest
from flask import request
from support.servers import JSON, threaded
from support.world import World

LOGIN = {"identifier": "+46701234567", "method": "sms"}
BODY_MAX = 16 * 1024


def padded(size: int, body: dict[str, str] = LOGIN) -> bytes:
    return json.dumps(body).encode().ljust(size)


READERS = {
    "get_json": lambda: request.get_json(),
    "get_data": lambda: request.get_data(),
    "data": lambda: request.data,
    "values": lambda: request.values.get("language"),
    "stream": lambda: request.stream,
}


def sign_in(world: World, *, chunked: bool) -> None:
    """Go through a whole login over HTTP."""
    with threaded(world.app) as site:
        answer = site.send("POST", "/otp/initiate", padded(200), chunked=chunked)
        assert answer.status == 200, answer.text
        session = answer.json["data"]["sessionId"]
        guess = padded(200, {"sessionId": session, "code": world.code})
        answer = site.send("POST", "/otp/verify", guess, chunked=chunked)
        assert answer.status == 200, answer.text


@pytest.mark.parametrize("chunked", [False, True], ids=["plain", "chunked"])
@pytest.mark.parametrize("reader", READERS)
class TestHostThatReadsTheBody:
    def test_after_the_endpoint_can_sign_in(self, world, reader, chunked):
        bodies = []

        @world.app.after_request
        def log_body(response):
            bodies.append((READERS[reader](), request.get_json()))
            return response

        sign_in(world, chunked=chunked)
        assert bodies[0][1] == LOGIN

    def test_in_a_handler_burns_no_right_code(self, world, reader, chunked):
        @world.otp.verify_success_handler
        def on_success(user, identifier, method, payload):
            READERS[reader]()
            return {"user": {"code": request.get_json()["code"]}, "token": "t"}

        sign_in(world, chunked=chunked)

    def test_before_the_endpoint_can_sign_in_within_the_same_bound(self, world, reader, chunked):
        world.app.before_request(lambda: READERS[reader]() and None)
        sign_in(world, chunked=chunked)
        with threaded(world.app) as site:
            for size, status in ((BODY_MAX, 200), (BODY_MAX + 1, 413), (3 * BODY_MAX, 413)):
                answer = site.send("POST", "/otp/initiate", padded(size), chunked=chunked)
                assert answer.status == status, size


def test_a_host_that_takes_the_body_away_is_told_how_to_read_it(world, caplog):
    world.app.before_request(lambda: request.stream.read() and None)
    with caplog.at_level(logging.ERROR, "flask_otp_auth"):
        assert world.client.post("/otp/initiate", json=LOGIN).status_code == 400
    assert "request.get_data()" in caplog.text


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "gzip, identity"])
def test_a_compressed_body_is_refused_as_such(world, coding):
    with threaded(world.app) as site:
        body = gzip.compress(json.dumps(LOGIN).encode())
        answer = site.send("POST", "/otp/initiate", body, {**JSON, "Content-Encoding": coding})
    assert answer.status == 415
    assert answer.json["error"]["code"] == "unsupportedMediaType"
    assert "compressed" in answer.json["error"]["detail"]
    assert not world.outbox


def test_identity_is_no_compression(world):
    headers = {"Content-Encoding": "Identity"}
    assert world.client.post("/otp/initiate", json=LOGIN, headers=headers).status_code == 200


UNKNOWN = {f"{number:03}{'x' * 300}": 1 for number in range(50)}


@pytest.mark.parametrize("path", ["initiate", "verify", "resend"])
def test_a_body_full_of_unknown_members_gets_a_short_answer(world, path):
    """Else every request of 16 KiB would be answered with three times as much."""
    body = {f"{number}": 1 for number in range(1500)}
    assert len(json.dumps(body)) < BODY_MAX
    for unknown in (body, UNKNOWN):
        answer = world.client.post(f"/otp/{path}", json=unknown)
        assert answer.status_code == 400
        assert len(answer.data) < 3000
        assert 1 < len(answer.json["error"]["fields"]) <= 16
        assert all(len(name) <= 67 for name in answer.json["error"]["fields"])


def test_what_is_wrong_with_known_members_is_told_before_what_is_unknown(world):
    answer = world.client.post("/otp/initiate", json={**UNKNOWN, "identifier": 1})
    found = answer.json["error"]["fields"]
    assert list(found)[:2] == ["identifier", "method"]
    assert found["identifier"] == ["Not a valid string."]
    assert found[f"{next(iter(UNKNOWN))[:64]}..."] == ["Unknown field."]


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"a":['])
def test_a_deep_body_gets_the_same_answer_from_every_version_of_python(world, opening):
    """The parser of 3.13 takes what that of 3.11 gives up on."""
    closing = "".join({"[": "]", "{": "}"}.get(each, "") for each in reversed(opening))
    for levels in (101, 900):
        deep = opening * levels + "0" + closing * levels
        body = f'{{"identifier": "+46701234567", "method": "sms", "payload": {deep}}}'
        answer = world.client.post("/otp/initiate", data=body, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json["error"]["detail"] == "The request body is not a valid JSON object"


def test_brackets_in_a_text_are_no_depth(world):
    payload = {"text": "[{" * 400, "quoted": '"' + "[" * 300}
    assert world.client.post("/otp/initiate", json={**LOGIN, "payload": payload}).status_code == 200
