"""The endpoints as a client and a host see them, over real HTTP; see also tests/openapi."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from bson import ObjectId
from flask import Response, abort
from flask_jwt_extended import verify_jwt_in_request
from support.servers import JSON, Answer, Site, threaded
from support.world import NOW, MakeWorld, World
from werkzeug.exceptions import ServiceUnavailable as HostIsDown

PHONE = {"identifier": "+46701234567", "method": "sms"}
LARGE = "{" * 20_000
UNKNOWN_SESSION = "0123456789abcdef" * 2
USED = (400, "alreadyVerified", "Session already verified")
FAILED = (500, "internalServerError", "Failed to complete authentication")
USER_ID = ObjectId("65a1b2c3d4e5f6a7b8c9d0e1")


@pytest.fixture
def site(world: World) -> Iterator[Site]:
    with threaded(world.app) as site:
        yield site


def assert_error(answer: Answer, status: int, code: str, detail: str) -> str:
    """Check an error answer and return its id."""
    error = answer.json["error"]
    assert (answer.status, error["code"], error["detail"]) == (status, code, detail)
    assert str(uuid.UUID(error["id"])) == error["id"]
    assert_hardened(answer)
    return str(error["id"])


def assert_hardened(answer: Answer) -> None:
    assert answer.headers.get_all("Cache-Control") == ["no-store"]
    assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert "Set-Cookie" not in answer.headers
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    ("microsecond", "shown"), [(0, "000"), (1, "000"), (123_999, "123"), (999_999, "999")]
)
def test_client_reads_the_expiry_in_milliseconds_as_it_is_stored(
    world: World,
    site: Site,
    clock: time_machine.Traveller,
    microsecond: int,
    shown: str,
) -> None:
    clock.move_to(NOW.replace(microsecond=microsecond))

    data = site.post("/otp/initiate", PHONE).json["data"]

    assert data["expiresAt"] == f"2050-01-02T12:35:00.{shown}Z"
    stored = world.sessions.find_one({"_id": data["sessionId"]})
    assert stored is not None
    assert stored["expiresAt"].isoformat(timespec="milliseconds") + "Z" == data["expiresAt"]


class TestHandlers:
    @pytest.mark.parametrize("handler", ["get_user_handler", "verify_success_handler"])
    def test_failing_handler_is_answered_and_the_code_stays_used(
        self, world: World, site: Site, handler: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*args: Any) -> None:
            raise RuntimeError("the pool of replica-7 is empty")

        getattr(world.otp, handler)(fail)
        session_id = site.initiate()

        answer = site.verify(session_id, world.code)

        id_ = assert_error(answer, *FAILED)
        assert "replica-7" not in answer.text
        assert id_ in caplog.text
        assert "replica-7" in caplog.text
        assert world.code not in caplog.text
        assert_error(site.verify(session_id, world.code), *USED)

    @pytest.mark.parametrize("user", [{1, ...}, float("nan"), {("a", "b"): 1}], ids=repr)
    def test_user_that_is_no_json_is_no_sign_in(
        self, world: World, site: Site, user: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        @world.otp.verify_success_handler
        def on_success(*args: Any) -> Any:
            return {"user": user, "token": "t"}

        session_id = site.initiate()

        assert assert_error(site.verify(session_id, world.code), *FAILED) in caplog.text
        assert site.verify(session_id, world.code).status == 400

    @pytest.mark.parametrize(
        ("user", "read"),
        [
            ({"id": 7}, {"id": 7}),
            ({"in": [{"_id": USER_ID}]}, {"in": [{"_id": str(USER_ID)}]}),
            ({"at": datetime(2026, 1, 2, tzinfo=UTC)}, {"at": "2026-01-02T00:00:00.000Z"}),
        ],
        ids=["plain", "of MongoDB", "with a time"],
    )
    @pytest.mark.parametrize(
        "token", [{}, {"token": None}, {"token": "the host's own"}], ids=["without", "None", "own"]
    )
    def test_host_gives_any_user_with_or_without_a_token(
        self, world: World, site: Site, user: Any, read: Any, token: dict[str, Any]
    ) -> None:
        world.otp.verify_success_handler(lambda *args: {"user": user, **token})

        data = site.verify(site.initiate(), world.code).json["data"]

        given = token if token.get("token") else {}
        assert data == {"status": "success", "user": read, **given}


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "body", "fields"),
        [
            ("initiate", {}, {"identifier", "method"}),
            ("initiate", {"identifier": ["hunter2"], "method": "sms"}, {"identifier"}),
            ("initiate", {"identifier": "hunter2", "method": "hunter2"}, {"method"}),
            ("initiate", {"identifier": "hunter2", "method": "sms"}, set()),
            ("initiate", {**PHONE, "payload": "hunter2"}, {"payload"}),
            ("initiate", {**PHONE, "payload": {"$hunter2": "hunter2"}}, {"payload"}),
            ("initiate", {**PHONE, "extra": "hunter2"}, {"extra"}),
            ("resend", {}, {"sessionId"}),
            ("resend", {"sessionId": UNKNOWN_SESSION, "code": "hunter2"}, {"code"}),
            ("verify", {}, {"sessionId", "code"}),
            ("verify", {"sessionId": "", "code": ""}, {"sessionId", "code"}),
            ("verify", {"sessionId": {"hunter2": 1}, "code": ["hunter2"]}, {"sessionId", "code"}),
            ("verify", {"sessionId": UNKNOWN_SESSION, "code": "hunter2" * 10}, {"code"}),
            ("verify", {"sessionId": UNKNOWN_SESSION, "code": "1", "user": "hunter2"}, {"user"}),
        ],
    )
    def test_developer_learns_which_members_are_wrong_and_nobody_what_was_sent(
        self,
        site: Site,
        path: str,
        body: Any,
        fields: set[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG, "flask_otp_auth")

        answer = site.post(f"/otp/{path}", body)

        error = answer.json["error"]
        assert (answer.status, error.get("fields", {}).keys()) == (400, fields)
        assert all(
            isinstance(messages, list) and all(isinstance(text, str) for text in messages)
            for messages in error.get("fields", {}).values()
        )
        assert error["id"] in caplog.text
        assert "hunter2" not in caplog.text + answer.text

    @pytest.mark.parametrize("path", ["initiate", "resend", "verify"])
    def test_wrong_method_gets_flasks_own_answer(self, site: Site, path: str) -> None:
        answer = site.send("GET", f"/otp/{path}")

        assert answer.status == 405
        assert answer.headers.get_content_type() == "text/html"
        assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
        assert_hardened(answer)

    def test_wrong_method_for_a_view_of_the_host_beside_ours_keeps_its_headers(
        self, world: World
    ) -> None:
        post = {"view_func": lambda: "", "methods": ["POST"]}
        world.app.add_url_rule("/otp/of-the-host", "of_the_host", **post)
        world.app.add_url_rule("/otp/moved", "moved", redirect_to="/elsewhere", **post)
        with threaded(world.app) as site:
            answers = [site.send("GET", f"/otp/{path}") for path in ("of-the-host", "moved")]

        assert [answer.status for answer in answers] == [405, 405]
        assert not any("Cache-Control" in answer.headers for answer in answers)

    def test_no_other_site_may_call_from_a_browser(self, site: Site) -> None:
        headers = {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }

        assert_hardened(site.send("OPTIONS", "/otp/verify", headers=headers))
        assert_hardened(site.post("/otp/initiate", PHONE, headers))

    @pytest.mark.parametrize("is_date", [False, True])
    def test_a_wait_that_the_host_asks_for_is_the_same_in_header_and_body(
        self, world: World, is_date: bool
    ) -> None:
        wait = datetime.now(UTC) + timedelta(seconds=120) if is_date else 120

        @world.app.before_request
        def maintenance() -> None:
            raise HostIsDown(retry_after=wait)

        answer = world.client.post("/otp/initiate", json=PHONE)

        assert (answer.status_code, answer.json["error"]["code"]) == (503, "serviceUnavailable")
        assert 100 < answer.json["error"]["retryAfter"] <= 120
        assert answer.headers.getlist("Retry-After") == [str(answer.json["error"]["retryAfter"])]

    def test_no_hook_of_the_host_makes_an_answer_cacheable(self, world: World) -> None:
        @world.app.after_request
        def cache_everything(response: Response) -> Response:
            response.headers["Cache-Control"] = "public, max-age=3600"
            return response

        answer = world.client.post("/otp/initiate", json=PHONE)
        assert answer.headers["Cache-Control"] == "no-store"

    def test_a_host_that_demands_a_token_everywhere_gets_its_own_answer(self, world: World) -> None:
        world.app.before_request(verify_jwt_in_request)

        missing = world.client.post("/otp/initiate", json=PHONE)
        headers = {"Authorization": "Bearer x.y.z"}
        broken = world.client.post("/otp/initiate", json=PHONE, headers=headers)

        assert (missing.status_code, missing.json) == (401, {"msg": "Missing Authorization Header"})
        assert broken.status_code == 422
        assert missing.headers["Cache-Control"] == "no-store"
        assert not world.outbox

    @pytest.mark.parametrize(
        ("failure", "said"),
        [
            (lambda: abort(403, "tenant blue-42"), (403, "forbidden", "Forbidden")),
            (lambda: {}["blue-42"], (500, "internalServerError", "Internal server error")),
        ],
        ids=["abort", "unexpected error"],
    )
    def test_text_of_a_failing_hook_of_the_host_stays_in_the_log(
        self,
        world: World,
        site: Site,
        caplog: pytest.LogCaptureFixture,
        failure: Any,
        said: tuple[int, str, str],
    ) -> None:
        caplog.set_level(logging.INFO, "flask_otp_auth")
        world.app.before_request(failure)

        answer = site.send("POST", "/otp/initiate", LARGE.encode())  # refused before its body is

        assert assert_error(answer, *said) in caplog.text
        assert "blue-42" not in answer.text
        assert not world.outbox

    def test_host_keeps_its_own_error_pages(self, world: World, site: Site) -> None:
        @world.app.errorhandler(404)
        def not_found(error: Any) -> tuple[str, int]:
            return "the host's page", 404

        assert site.send("GET", "/elsewhere").text == "the host's page"
        assert site.verify(UNKNOWN_SESSION, "123456").json["data"]["status"] == "not_found"


def test_methods_that_are_not_offered_are_refused(make_world: MakeWorld) -> None:
    world = make_world(METHODS=["email"])
    with threaded(world.app) as site:
        refused = site.post("/otp/initiate", PHONE).json["error"]
        assert refused["fields"] == {"method": ["Must be one of: email."]}
        assert site.initiate("user@example.com", "email")
    assert [sent.method for sent in world.outbox] == ["email"]


# From here on more than one thing is wrong, and the first is answered: the order of docs/http.rst.


def told(world: World, path: str, **arguments: Any) -> tuple[int, str]:
    answer = world.client.post(f"/otp/{path}", **arguments)
    return answer.status_code, answer.json["error"]["code"]


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
    assert told(world, "initiate", data=LARGE, headers=JSON) == (413, "payloadTooLarge")
    refused = {**PHONE, "identifier": "nobody", "more": 1}
    assert told(world, "initiate", json=refused) == (400, "badRequest")
    del refused["more"]
    assert told(world, "initiate", json=refused) == (400, "invalidIdentifier")
