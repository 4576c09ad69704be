"""Codes for something else than a login, in the examples: they hold against the wrong person."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pymongo import MongoClient
from support.world import SECRET_KEY
from werkzeug.security import check_password_hash, generate_password_hash

import change_contact
import new_password
import step_up
from flask_otp_auth.testing import Outbox, otp_outbox

READER, OTHER, NEW = "reader@example.com", "other@example.com", "new@example.com"
PASSWORD, SECOND = "correct horse battery staple", "a quite different long password"

Start = Callable[[Any], tuple[Flask, Outbox]]


@pytest.fixture
def database(mongo_uri: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        yield client.get_default_database()


@pytest.fixture
def start(mongo_uri: str) -> Iterator[Start]:
    opened: list[tuple[Flask, Outbox]] = []

    def start(example: Any) -> tuple[Flask, Outbox]:
        config = {"SECRET_KEY": SECRET_KEY, "MONGO_URI": mongo_uri, "JWT_COOKIE_SECURE": False}
        app = example.create_app({**config, "TESTING": True})
        opened.append((app, otp_outbox(app)))
        return opened[-1]

    yield start
    for app, outbox in opened:
        outbox.close()
        app.extensions["otp_auth"].mongo.cx.close()


def login(client: FlaskClient, outbox: Outbox, identifier: str) -> dict[str, str]:
    """Sign in, and return the header with the token."""
    body = {"identifier": identifier, "method": "email"}
    session_id = client.post("/otp/initiate", json=body).json["data"]["sessionId"]
    body = {"sessionId": session_id, "code": outbox.last_code(identifier)}
    token = client.post("/otp/verify", json=body).json["data"]["token"]
    return {"Authorization": f"Bearer {token}"}


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


class TestNewPassword:
    @pytest.fixture
    def app(self, start: Start, database: Any) -> tuple[FlaskClient, Outbox]:
        password = generate_password_hash("the forgotten one")
        database.users.insert_one({"identifier": READER, "password": password})
        app, outbox = start(new_password)
        return app.test_client(), outbox

    def forgotten(self, client: FlaskClient, identifier: str = READER) -> str:
        answer = client.post("/password/forgotten", json={"identifier": identifier})
        assert answer.status_code == 200, answer.text
        return str(answer.json["sessionId"])

    def test_code_sets_one_new_password_and_ends_all_logins(
        self, app: tuple[FlaskClient, Outbox], database: Any
    ) -> None:
        client, outbox = app
        old = {"identifier": READER, "password": "the forgotten one"}
        token = client.post("/login", json=old).json["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get("/me", headers=headers).status_code == 200

        body = {"sessionId": self.forgotten(client), "code": outbox.last_code(READER)}
        for short in ({"password": "short"}, {"password": 5}, {}):
            assert client.post("/password", json=body | short).status_code == 400
        assert client.post("/password", json=body | {"password": PASSWORD}).status_code == 200
        again = client.post("/password", json=body | {"password": SECOND})
        assert (again.status_code, again.json["message"]) == (
            400,
            "This code has been used. Get a new code.",
        )

        assert check_password_hash(database.users.find_one()["password"], PASSWORD)
        assert client.get("/me", headers=headers).status_code == 401
        assert client.post("/login", json=old).status_code == 401
        assert client.post("/login", json=old | {"password": PASSWORD}).status_code == 200

    def test_code_of_a_login_sets_no_password_and_a_wrong_one_neither(
        self, app: tuple[FlaskClient, Outbox], database: Any
    ) -> None:
        client, outbox = app
        before = database.users.find_one()
        with client.application.app_context():
            session_id = new_password.otp.initiate(READER, "email").session_id
        body = {"sessionId": session_id, "password": PASSWORD, "code": outbox.last_code(READER)}
        assert client.post("/password", json=body).status_code == 403
        body = {"sessionId": self.forgotten(client), "code": wrong(outbox.last_code(READER))}
        answer = client.post("/password", json=body | {"password": PASSWORD})
        assert answer.json["message"] == "That code is wrong. You have 2 tries left."
        assert database.users.find_one() == before

    def test_nobody_learns_who_has_an_account(self, app: tuple[FlaskClient, Outbox]) -> None:
        client, outbox = app
        self.forgotten(client, OTHER)
        assert outbox.last_code(OTHER)
        for identifier in (READER, OTHER):
            body = {"identifier": identifier, "password": "x"}
            assert client.post("/login", json=body).status_code == 401


class TestChangeContact:
    @pytest.fixture
    def app(self, start: Start, database: Any) -> tuple[FlaskClient, Outbox]:
        database.users.insert_many([{"identifier": READER}, {"identifier": OTHER}])
        app, outbox = start(change_contact)
        return app.test_client(), outbox

    def ask(self, client: FlaskClient, who: dict[str, str], identifier: str = NEW) -> str:
        answer = client.post("/contact", json={"identifier": identifier}, headers=who)
        assert answer.status_code == 200, answer.text
        return str(answer.json["sessionId"])

    def confirm(self, client: FlaskClient, who: dict[str, str], session_id: str, code: str) -> Any:
        body = {"sessionId": session_id, "code": code}
        return client.post("/contact/confirm", json=body, headers=who)

    def test_normalised_address_is_stored_the_former_one_told_and_other_logins_ended(
        self, app: tuple[FlaskClient, Outbox], database: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        client, outbox = app
        elsewhere, here = login(client, outbox, READER), login(client, outbox, READER)
        session_id = self.ask(client, here, " New@Example.COM ")
        answer = self.confirm(client, here, session_id, outbox.last_code(NEW))

        assert (answer.status_code, answer.json) == (200, {"identifier": NEW})
        assert {user["identifier"] for user in database.users.find()} == {NEW, OTHER}
        assert f"to {READER}: Your account is now reached in another way" in caplog.text
        assert client.get("/me", headers=here).status_code == 200
        assert client.get("/me", headers=elsewhere).status_code == 401

    def test_code_is_worth_nothing_to_anybody_else(
        self, app: tuple[FlaskClient, Outbox], database: Any
    ) -> None:
        client, outbox = app
        reader, other = login(client, outbox, READER), login(client, outbox, OTHER)
        session_id = self.ask(client, reader)
        code = outbox.last_code(NEW)

        assert self.confirm(client, other, session_id, code).status_code == 403
        assert self.confirm(client, {}, session_id, code).status_code == 401
        assert client.post("/otp/verify", json={"sessionId": session_id, "code": code}).json[
            "data"
        ]["status"] == ("not_found")
        assert self.confirm(client, reader, session_id, wrong(code)).status_code == 403
        assert {user["identifier"] for user in database.users.find()} == {READER, OTHER}
        assert self.confirm(client, reader, session_id, code).status_code == 200

    def test_of_two_who_want_one_address_at_once_one_gets_it(
        self, app: tuple[FlaskClient, Outbox], database: Any
    ) -> None:
        client, outbox = app
        wanted = []
        for identifier in (READER, OTHER):
            who = login(client, outbox, identifier)
            wanted.append((who, self.ask(client, who), outbox.last_code(NEW)))
        with ThreadPoolExecutor(2) as pool:
            answers = list(
                pool.map(lambda each: self.confirm(client.application.test_client(), *each), wanted)
            )

        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert database.users.count_documents({"identifier": NEW}) == 1

    def test_what_cannot_be_an_address_is_said_in_words(
        self, app: tuple[FlaskClient, Outbox]
    ) -> None:
        client, outbox = app
        who = login(client, outbox, READER)
        answer = client.post("/contact", json={"identifier": "new@"}, headers=who)
        assert (answer.status_code, answer.json["message"]) == (
            400,
            "This is not an email address that we can send to.",
        )
        for body in ({}, [], {"identifier": 5}):
            assert client.post("/contact", json=body, headers=who).status_code == 400


ORDER = {"to": "the landlord", "amount": 700}


class TestStepUp:
    @pytest.fixture
    def app(self, start: Start) -> tuple[FlaskClient, Outbox]:
        app, outbox = start(step_up)
        return app.test_client(), outbox

    def sent(self, database: Any) -> list[dict[str, Any]]:
        return list(database.transfers.find({}, {"_id": False}))

    def form(self, answer: Any) -> dict[str, str]:
        """Return the hidden fields of a page."""
        return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', answer.text))

    def test_form_sends_what_was_shown_once(
        self, app: tuple[FlaskClient, Outbox], database: Any
    ) -> None:
        client, outbox = app
        login(client, outbox, READER)
        fields = self.form(client.get("/transfer"))
        order = {"to": "the landlord", "amount": "700"}
        assert client.post("/transfer", data=order).status_code == 401  # without the CSRF token
        page = client.post("/transfer", data=order | fields)
        assert "It is for 700 to the landlord." in page.text

        fields = self.form(page)
        code = outbox.last_code(READER)
        mistake = client.post("/transfer/confirm", data=fields | {"code": wrong(code)})
        assert (mistake.status_code, self.sent(database)) == (403, [])
        assert "You have 2 tries left." in mistake.text
        fields = self.form(mistake)
        changed = fields | {"code": code, "amount": "9999", "to": "a thief"}
        assert "on its way" in client.post("/transfer/confirm", data=changed).text
        assert client.post("/transfer/confirm", data=changed).status_code == 400
        assert self.sent(database) == [{"from": READER, **ORDER}]

    def test_json_does_the_same_for_a_client_with_a_token(
        self, app: tuple[FlaskClient, Outbox], database: Any
    ) -> None:
        client, outbox = app
        login(client, outbox, READER)
        token = {"Authorization": f"Bearer {client.get_cookie('access_token_cookie').value}"}
        client.delete_cookie("access_token_cookie")
        order = {"to": "the landlord", "amount": "700"}
        started = client.post("/transfer", json=order, headers=token)
        body = {"sessionId": started.json["sessionId"], "code": outbox.last_code(READER)}

        refused = client.post("/transfer/confirm", json=body | {"code": "1"}, headers=token)
        assert (refused.status_code, refused.json["remainingAttempts"]) == (403, 3)
        done = client.post("/transfer/confirm", json=body, headers=token)
        assert done.json == {"done": ORDER}
        assert self.sent(database) == [{"from": READER, **ORDER}]

    def test_login_alone_and_the_code_of_somebody_else_send_nothing(
        self, app: tuple[FlaskClient, Outbox], database: Any
    ) -> None:
        client, outbox = app
        thief = client.application.test_client()
        login(client, outbox, READER)
        login(thief, outbox, OTHER)
        fields = self.form(client.get("/transfer"))
        page = self.form(client.post("/transfer", data=fields | {"to": "x", "amount": "1"}))
        stolen = self.form(thief.get("/transfer")) | {"sessionId": page["sessionId"]}
        answer = thief.post("/transfer/confirm", data=stolen | {"code": outbox.last_code(READER)})

        assert answer.status_code == 403
        for bad in ("0", "-1", "1e3", "10001", "000000000000001", "x"):
            data = fields | {"to": "x", "amount": bad}
            assert client.post("/transfer", data=data).status_code == 400
        assert self.sent(database) == []

    def test_page_without_a_login_leads_to_the_login_page(
        self, app: tuple[FlaskClient, Outbox]
    ) -> None:
        answer = app[0].get("/transfer", headers={"Accept": "text/html"})
        assert answer.location == "/otp/login?next=/transfer"
