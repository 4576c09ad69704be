"""Bodies, statuses, texts and headers of the endpoints, to the letter, over real HTTP."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from bson import ObjectId
from flask import Response, abort
from flask_jwt_extended import decode_token, verify_jwt_in_request
from support.servers import JSON, NO_LIMITS, Answer, Site, gunicorn, threaded
from support.world import NOW, MakeWorld, World
from werkzeug.exceptions import ServiceUnavailable as HostIsDown

PHONE = {"identifier": "+46701234567", "method": "sms"}
UNKNOWN_SESSION = "0123456789abcdef" * 2
BODY_MAX = 16 * 1024
LOCKED = {
    "status": "locked",
    "message": "Too many failed attempts. Session is locked.",
    "remainingAttempts": 0,
}
USED = (400, "alreadyVerified", "Session already verified")
FAILED = (500, "internalServerError", "Failed to complete authentication")
NOT_VALID = (400, "badRequest", "The request is not valid")
TOO_LARGE = (413, "payloadTooLarge", "The request body is too large")
TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@pytest.fixture
def site(world: World) -> Iterator[Site]:
    with threaded(world.app) as site:
        yield site


def assert_error(answer: Answer, status: int, code: str, detail: str, fields: Any = None) -> str:
    """Check a whole error answer to the letter and return its id."""
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json
    id_ = body["error"].pop("id")
    expected = {"title": TITLES[status], "detail": detail, "code": code}
    if fields is not None:
        expected["fields"] = fields
    assert body == {"status": status, "error": expected}
    assert answer.status == status
    assert str(uuid.UUID(id_)) == id_
    assert_hardened(answer)
    return str(id_)


def assert_data(answer: Answer, status: int, data: dict[str, Any]) -> None:
    """Check a whole answer to the letter, ``...`` standing for a value that is checked apart."""
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json
    open_values = {name for name, value in data.items() if value is ...}
    assert open_values <= body["data"].keys()
    assert {**body, "data": {**body["data"], **dict.fromkeys(open_values, ...)}} == {"data": data}
    assert answer.status == status
    assert_hardened(answer)


def assert_hardened(answer: Answer) -> None:
    assert answer.headers.get_all("Cache-Control") == ["no-store"]
    assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert "Set-Cookie" not in answer.headers
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


class TestInitiate:
    @pytest.mark.parametrize(
        ("options", "end", "ttl"),
        [({}, "12:35:00", 300), ({"CODE_TTL": 90}, "12:31:30", 90)],
        ids=["by default", "as configured"],
    )
    def test_client_gets_session_id_expiry_and_ttl(
        self,
        make_world: MakeWorld,
        clock: time_machine.Traveller,
        options: dict[str, int],
        end: str,
        ttl: int,
    ) -> None:
        with threaded(make_world(**options).app) as site:
            answer = site.post("/otp/initiate", PHONE)

        expires = f"2050-01-02T{end}.000Z"
        assert_data(answer, 200, {"sessionId": ..., "expiresAt": expires, "ttl": ttl})
        assert re.fullmatch(r"[0-9a-f]{32}", answer.json["data"]["sessionId"])

    @pytest.mark.parametrize(
        ("microsecond", "shown"), [(0, "000"), (1, "000"), (123_999, "123"), (999_999, "999")]
    )
    def test_client_reads_the_expiry_in_milliseconds_as_it_is_stored(
        self,
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

    @pytest.mark.parametrize(
        ("identifier", "method", "detail"),
        [
            ("+123", "sms", "Invalid phone number format"),
            ("user@example.com", "sms", "Invalid phone number format"),
            ("user@localhost", "email", "Invalid email address format"),
            ("+46701234567", "email", "Invalid email address format"),
        ],
    )
    def test_person_learns_which_form_was_wrong(
        self, site: Site, identifier: str, method: str, detail: str
    ) -> None:
        answer = site.post("/otp/initiate", {"identifier": identifier, "method": method})

        assert_error(answer, 400, "invalidIdentifier", detail)
        assert identifier not in answer.text


class TestVerify:
    def test_right_code_signs_in(self, world: World, site: Site) -> None:
        session_id = site.initiate()

        answer = site.verify(session_id, world.code)

        assert_data(
            answer,
            200,
            {"status": "success", "token": ..., "user": {"id": "user of +46701234567"}},
        )
        with world.app.app_context():
            claims = decode_token(answer.json["data"]["token"])
        assert claims["sub"] == "user of +46701234567"
        assert claims["amr"] == ["otp", "sms"]
        assert claims["fresh"] is True

    def test_wrong_codes_count_down_to_the_lock(self, world: World, site: Site) -> None:
        session_id = site.initiate()
        answers = [site.verify(session_id, world.wrong_code) for _ in range(4)]

        for answer, left in zip(answers, (2, 1), strict=False):
            assert_data(
                answer,
                401,
                {
                    "status": "invalid_code",
                    "message": "Invalid verification code",
                    "remainingAttempts": left,
                },
            )
        for answer in (*answers[2:], site.verify(session_id, world.code)):
            assert_data(answer, 403, LOCKED)

    @pytest.mark.parametrize(
        ("after", "status"),
        [
            (timedelta(minutes=5, milliseconds=-1), 200),
            (timedelta(minutes=5), 403),
            (timedelta(hours=5), 403),
        ],
    )
    def test_right_code_is_right_strictly_before_the_expiry(
        self,
        world: World,
        site: Site,
        clock: time_machine.Traveller,
        after: timedelta,
        status: int,
    ) -> None:
        session_id = site.initiate()
        clock.move_to(NOW + after)

        answer = site.verify(session_id, world.code)

        assert answer.status == status
        if status == 403:
            expired = {"status": "expired", "message": "Verification code has expired"}
            assert_data(answer, 403, expired)
            clock.move_to(NOW)
            assert_data(site.verify(session_id, world.code), 403, expired)

    @pytest.mark.parametrize("session_id", [UNKNOWN_SESSION, "0", "é" * 128])
    def test_unknown_session_is_not_found(self, site: Site, session_id: str) -> None:
        assert_data(
            site.verify(session_id, "123456"),
            404,
            {"status": "not_found", "message": "Session not found or expired"},
        )

    def test_right_code_of_nobody_is_not_found_and_used_up(self, world: World, site: Site) -> None:
        world.users["+46701234567"] = None
        session_id = site.initiate()

        assert_data(
            site.verify(session_id, world.code),
            404,
            {"status": "not_found", "message": "User not found"},
        )
        assert_error(site.verify(session_id, world.code), *USED)

    def test_used_session_says_so_to_right_and_wrong_codes(self, world: World, site: Site) -> None:
        session_id = site.initiate()
        assert site.verify(session_id, world.code).status == 200

        for code in (world.code, world.wrong_code):
            assert_error(site.verify(session_id, code), *USED)

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

    @pytest.mark.parametrize("answer", [{"user": {"id": 7}}, {"user": {"id": 7}, "token": None}])
    def test_host_that_keeps_logins_itself_needs_no_token(
        self, world: World, site: Site, answer: dict[str, Any]
    ) -> None:
        world.otp.verify_success_handler(lambda *args: answer)

        verified = site.verify(site.initiate(), world.code)

        assert_data(verified, 200, {"status": "success", "user": {"id": 7}})

    def test_host_gives_users_of_mongodb_as_they_are(self, world: World, site: Site) -> None:
        user_id = ObjectId("65a1b2c3d4e5f6a7b8c9d0e1")

        @world.otp.verify_success_handler
        def on_success(*args: Any) -> Any:
            return {
                "user": {
                    "_id": user_id,
                    "name": "Åsa",
                    "signedUp": datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
                    "seen": [datetime(2026, 1, 2, 3, 4, 5)],  # noqa: DTZ001 - as PyMongo gives it
                    "friends": [{"_id": user_id}],
                },
                "token": "the host's own",
            }

        assert_data(
            site.verify(site.initiate(), world.code),
            200,
            {
                "status": "success",
                "token": "the host's own",
                "user": {
                    "_id": "65a1b2c3d4e5f6a7b8c9d0e1",
                    "name": "Åsa",
                    "signedUp": "2026-01-02T03:04:05.678Z",
                    "seen": ["2026-01-02T03:04:05.000Z"],
                    "friends": [{"_id": "65a1b2c3d4e5f6a7b8c9d0e1"}],
                },
            },
        )


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "body", "fields"),
        [
            ("initiate", {}, {"identifier", "method"}),
            ("initiate", {"identifier": 1, "method": "sms"}, {"identifier"}),
            ("initiate", {"identifier": "1", "method": "voice"}, {"method"}),
            ("initiate", {**PHONE, "payload": "x"}, {"payload"}),
            ("initiate", {**PHONE, "payload": {"$x": 1}}, {"payload"}),
            ("initiate", {**PHONE, "extra": 1}, {"extra"}),
            ("resend", {}, {"sessionId"}),
            ("resend", {"sessionId": UNKNOWN_SESSION, "code": "1"}, {"code"}),
            ("verify", {}, {"sessionId", "code"}),
            ("verify", {"sessionId": "", "code": ""}, {"sessionId", "code"}),
            ("verify", {"sessionId": UNKNOWN_SESSION, "code": 123456}, {"code"}),
            ("verify", {"sessionId": UNKNOWN_SESSION, "code": "1" * 65}, {"code"}),
            ("verify", {"sessionId": UNKNOWN_SESSION, "code": "1", "user": 1}, {"user"}),
        ],
    )
    def test_developer_learns_which_members_are_wrong(
        self, site: Site, path: str, body: Any, fields: set[str]
    ) -> None:
        answer = site.post(f"/otp/{path}", body)

        found = answer.json["error"]["fields"]
        assert_error(answer, *NOT_VALID, found)
        assert found.keys() == fields
        assert all(
            isinstance(messages, list) and all(isinstance(text, str) for text in messages)
            for messages in found.values()
        )

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("initiate", {"identifier": ["hunter2"], "method": "hunter2", "payload": "hunter2"}),
            ("initiate", {"identifier": "hunter2", "method": "sms"}),
            ("initiate", {**PHONE, "payload": {"$hunter2": "hunter2"}}),
            ("initiate", {**PHONE, "extra": "hunter2"}),
            ("verify", {"sessionId": {"hunter2": 1}, "code": ["hunter2"]}),
            ("verify", {"sessionId": "hunter2" * 30, "code": "hunter2" * 30}),
        ],
    )
    def test_submitted_values_come_neither_back_nor_into_the_log(
        self, site: Site, path: str, body: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "flask_otp_auth")

        answers = [site.post(f"/otp/{path}", body) for _ in range(2)]

        assert [answer.status for answer in answers] == [400, 400]
        ids = {answer.json["error"]["id"] for answer in answers}
        assert len(ids) == 2
        assert all(id_ in caplog.text for id_ in ids)
        assert not any("hunter2" in text for text in (caplog.text, *(a.text for a in answers)))

    @pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"a":1,"a":1}'])
    @pytest.mark.parametrize("path", ["initiate", "resend", "verify"])
    def test_broken_json_is_a_bad_request(self, site: Site, path: str, body: bytes) -> None:
        assert_error(
            site.send("POST", f"/otp/{path}", body),
            400,
            "badRequest",
            "The request body is not a valid JSON object",
        )

    @pytest.mark.parametrize("path", ["initiate", "resend", "verify"])
    def test_other_media_types_are_refused(self, site: Site, path: str) -> None:
        for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
            assert_error(
                site.send("POST", f"/otp/{path}", b"{}", headers),
                415,
                "unsupportedMediaType",
                "Content-Type must be application/json in UTF-8",
            )

    def test_charset_utf8_is_no_reason_to_refuse(self, site: Site) -> None:
        headers = {"Content-Type": 'application/json; charset="UTF-8"'}

        assert site.post("/otp/initiate", PHONE, headers).status == 200

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

    def test_abort_in_a_hook_of_the_host_has_the_same_form(
        self, world: World, site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "flask_otp_auth")
        world.app.before_request(lambda: abort(403, "the secret reason"))

        answer = site.post("/otp/initiate", PHONE)

        assert assert_error(answer, 403, "forbidden", "Forbidden") in caplog.text
        assert not world.outbox

    def test_a_host_that_demands_a_token_everywhere_gets_its_own_answer(self, world: World) -> None:
        world.app.before_request(verify_jwt_in_request)

        missing = world.client.post("/otp/initiate", json=PHONE)
        headers = {"Authorization": "Bearer x.y.z"}
        broken = world.client.post("/otp/initiate", json=PHONE, headers=headers)

        assert (missing.status_code, missing.json) == (401, {"msg": "Missing Authorization Header"})
        assert broken.status_code == 422
        assert missing.headers["Cache-Control"] == "no-store"
        assert not world.outbox

    def test_text_of_an_unexpected_error_stays_in_the_log(
        self, world: World, site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        @world.app.before_request
        def fail() -> None:
            raise LookupError("no such tenant: blue-42")

        answer = site.post("/otp/verify", {"sessionId": UNKNOWN_SESSION, "code": "1"})

        id_ = assert_error(answer, 500, "internalServerError", "Internal server error")
        assert id_ in caplog.text
        assert "blue-42" in caplog.text
        assert "blue-42" not in answer.text

    def test_host_keeps_its_own_error_pages(self, world: World, site: Site) -> None:
        @world.app.errorhandler(404)
        def not_found(error: Any) -> tuple[str, int]:
            return "the host's page", 404

        assert site.send("GET", "/elsewhere").text == "the host's page"
        assert site.verify(UNKNOWN_SESSION, "123456").json["data"]["status"] == "not_found"


def padded(size: int) -> bytes:
    """A request for a code of exactly *size* bytes, with white space that JSON allows."""
    body = json.dumps(PHONE).encode()
    return body + b" " * (size - len(body))


class TestBodySize:
    def test_no_body_over_16_kib_is_read(self, mongo_uri: str, tmp_path: Path) -> None:
        with gunicorn(mongo_uri, tmp_path / "gunicorn.log", workers=1, **NO_LIMITS) as site:
            for chunked in (False, True):
                for size in (BODY_MAX, 1024):
                    answer = site.send("POST", "/otp/initiate", padded(size), chunked=chunked)
                    assert answer.status == 200
                for size in (BODY_MAX + 1, 2 * BODY_MAX, 1024 * 1024):
                    for path in ("initiate", "resend", "verify"):
                        answer = site.send("POST", f"/otp/{path}", padded(size), chunked=chunked)
                        assert_error(answer, *TOO_LARGE)

    @pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
    def test_lower_limit_of_the_host_holds(self, make_world: MakeWorld, chunked: bool) -> None:
        world = make_world(config={"MAX_CONTENT_LENGTH": 100})
        with threaded(world.app) as site:
            for size in (100, 101, 102, 1000, 100_000):
                answer = site.send("POST", "/otp/initiate", padded(size), chunked=chunked)
                if size == 100:
                    assert answer.status == 200
                else:
                    assert_error(answer, *TOO_LARGE)

    def test_higher_limit_of_the_host_is_not_ours(self, make_world: MakeWorld) -> None:
        with threaded(make_world(config={"MAX_CONTENT_LENGTH": 1_000_000}).app) as site:
            assert site.send("POST", "/otp/initiate", padded(BODY_MAX)).status == 200
            assert site.send("POST", "/otp/initiate", padded(BODY_MAX + 1)).status == 413

    def test_body_that_never_comes_is_no_request(self, site: Site, world: World) -> None:
        answer = site.send("POST", "/otp/initiate", b"", {**JSON, "Expect": ""})

        assert answer.status == 400
        assert not world.outbox


class TestOptions:
    def test_methods_that_are_not_offered_are_refused(self, make_world: MakeWorld) -> None:
        world = make_world(METHODS=["email"])
        with threaded(world.app) as site:
            fields = {"method": ["Must be one of: email."]}
            assert_error(site.post("/otp/initiate", PHONE), *NOT_VALID, fields)
            assert site.initiate("user@example.com", "email")
        assert [sent.method for sent in world.outbox] == ["email"]

    def test_national_numbers_reach_the_country_of_the_configuration(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(DEFAULT_REGION="SE")
        with threaded(world.app) as site:
            session_id = site.initiate("070-123 45 67")
            answer = site.verify(session_id, world.code)

        stored = world.sessions.find_one({"_id": session_id})
        assert stored is not None
        assert stored["identifier"] == world.outbox[0].identifier == "+46701234567"
        assert answer.json["data"]["user"] == {"id": "user of +46701234567"}
