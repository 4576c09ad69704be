"""Who may have an account, and where: the examples of signing up and of several tenants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from support.world import SECRET_KEY
from werkzeug.test import Client

import sign_up
import tenants
from flask_otp_auth.testing import Outbox, otp_outbox

READER, EDITOR = "reader@example.com", "editor@example.com"


def verify(client: Any, outbox: Outbox, identifier: str, **options: Any) -> Any:
    body = {"identifier": identifier, "method": "email"}
    started = client.post("/otp/initiate", json=body, **options)
    body = {"sessionId": started.json["data"]["sessionId"], "code": outbox.last_code(identifier)}
    return client.post("/otp/verify", json=body, **options)


class TestSignUp:
    @pytest.fixture
    def app(self, mongo_uri: str, clock: time_machine.Traveller) -> Iterator[Flask]:
        app = sign_up.create_app({"SECRET_KEY": SECRET_KEY, "MONGO_URI": mongo_uri})
        yield app
        app.extensions["otp_auth"].mongo.cx.close()

    @pytest.fixture
    def client(self, app: Flask) -> FlaskClient:
        return app.test_client()

    @pytest.fixture
    def outbox(self, app: Flask) -> Iterator[Outbox]:
        with otp_outbox(app) as outbox:
            yield outbox

    def join(self, client: FlaskClient, outbox: Outbox, address: str, **body: Any) -> Any:
        started = client.post("/sign-up", json=body)
        assert started.status_code == 200, started.text
        body = {"sessionId": started.json["sessionId"], "code": outbox.last_code(address)}
        return client.post("/sign-up/confirm", json=body)

    def invitation(self, app: Flask, address: str, role: str) -> str:
        run = app.test_cli_runner().invoke(args=["invite", address, role])
        assert run.exit_code == 0, run.output
        return run.output.strip()

    def test_signing_in_makes_nobody_and_signing_up_signs_in(
        self, client: FlaskClient, outbox: Outbox
    ) -> None:
        stranger = verify(client, outbox, READER)
        assert (stranger.status_code, stranger.json["data"]["status"]) == (404, "not_found")

        joined = self.join(client, outbox, READER, email=READER, role="editor")
        assert (joined.status_code, joined.json["role"]) == (201, "reader")
        assert verify(client, outbox, READER).status_code == 200
        assert self.join(client, outbox, READER, email=READER).status_code == 409

    def test_code_for_the_one_is_worth_nothing_for_the_other(
        self, client: FlaskClient, outbox: Outbox
    ) -> None:
        session_id = client.post("/sign-up", json={"email": READER}).json["sessionId"]
        body = {"sessionId": session_id, "code": outbox.last_code(READER)}
        assert client.post("/otp/verify", json=body).status_code == 404
        assert client.post("/sign-up/confirm", json=body | {"code": "1"}).status_code == 403
        assert client.post("/sign-up/confirm", json=body).status_code == 201

    def test_invitation_is_for_one_address_and_one_role(
        self, app: Flask, client: FlaskClient, outbox: Outbox, clock: time_machine.Traveller
    ) -> None:
        app.config["INVITED_ONLY"] = True
        assert client.post("/sign-up", json={"email": READER}).status_code == 403
        token = self.invitation(app, EDITOR, "editor")
        for wrong in (f"{token}x", "", 5, None):
            assert client.post("/sign-up", json={"invitation": wrong}).status_code == 403

        joined = self.join(client, outbox, EDITOR, invitation=token, email=READER, role="admin")
        assert (joined.status_code, joined.json["role"]) == (201, "editor")
        clock.shift(8 * 24 * 3600)
        assert client.post("/sign-up", json={"invitation": token}).status_code == 403


def test_code_and_token_of_one_tenant_are_nothing_to_another(
    mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGO_SERVER", mongo_uri.rpartition("/")[0])
    for name in ("RED", "BLUE"):
        monkeypatch.setenv(f"{name}_SECRET_KEY", f"{SECRET_KEY} of {name}")
    site = tenants.create_site()
    client = Client(site)
    red, blue = ({"base_url": f"https://{host}"} for host in tenants.TENANTS)
    outboxes = [otp_outbox(app) for app in site.apps.values()]
    for app in site.apps.values():
        database = app.extensions["tenant_mongo"].db
        database.client.drop_database(database.name)
        database.users.insert_one({"_id": READER})

    answer = verify(client, outboxes[0], READER, **red)
    token = {"Authorization": f"Bearer {answer.json['data']['token']}"}
    assert client.get("/me", headers=token, **red).json == {"id": READER, "tenant": "Red"}
    assert client.get("/me", headers=token, **blue).status_code in (401, 422)
    body = {"identifier": READER, "method": "email"}
    session_id = client.post("/otp/initiate", json=body, **red).json["data"]["sessionId"]
    body = {"sessionId": session_id, "code": outboxes[0].last_code(READER)}
    assert client.post("/otp/verify", json=body, **blue).status_code == 404
    assert client.post("/otp/verify", json=body, **red).status_code == 200
    assert outboxes[1].messages == []
    assert client.get("/me", base_url="https://green.example.com").status_code == 404

    for app, outbox in zip(site.apps.values(), outboxes, strict=True):
        outbox.close()
        mongo = app.extensions["tenant_mongo"]
        mongo.cx.drop_database(mongo.db.name)
        mongo.cx.close()
