"""The small apps of the examples do what their first lines say, and nothing beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pymongo import MongoClient
from support.world import SECRET_KEY

import login_sessions
import quickstart
import roles
from flask_otp_auth.testing import Outbox, otp_outbox

EDITOR = "editor@example.com"
READER = "reader@example.com"


def config(mongo_uri: str) -> dict[str, Any]:
    return {"SECRET_KEY": SECRET_KEY, "MONGO_URI": mongo_uri}


@pytest.fixture
def users(mongo_uri: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        yield client.get_default_database().users


def close(app: Flask) -> None:
    app.extensions["otp_auth"].mongo.cx.close()


def verify(client: FlaskClient, outbox: Outbox, identifier: str, **body: Any) -> Any:
    """Sign in, and return the answer to the right code."""
    started = client.post(
        "/otp/initiate", json={"identifier": identifier, "method": "email", **body}
    )
    assert started.status_code == 200, started.text
    code = outbox.last_code(identifier)
    session_id = started.json["data"]["sessionId"]
    return client.post("/otp/verify", json={"sessionId": session_id, "code": code})


def refresh(client: FlaskClient, answer: Any) -> Any:
    token = answer.json["data"]["refreshToken"]
    return client.post("/otp/refresh", headers={"Authorization": f"Bearer {token}"})


def bearer(answer: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json['data']['token']}"}


def test_right_code_begins_a_session_of_flask_login(mongo_uri: str, tmp_path: Path) -> None:
    database = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'users.db'}"}
    app = login_sessions.create_app({**config(mongo_uri), **database})
    db, user_class = login_sessions.db, login_sessions.User
    with app.app_context():
        db.session.add(user_class(identifier=READER))
        db.session.add(user_class(identifier=EDITOR, is_active=False))
        db.session.commit()

    client = app.test_client()
    with otp_outbox(app) as outbox:
        assert client.get("/me").status_code == 401
        answer = verify(client, outbox, READER)
        assert answer.json["data"]["user"] == {"id": 1}
        assert answer.json["data"].get("token") is None
        [cookie] = answer.headers.getlist("Set-Cookie")
        assert {"Secure", "HttpOnly", "SameSite=Lax"} <= {
            part.strip() for part in cookie.split(";")
        }
        assert client.get("/me").json == {"id": 1, "identifier": READER}
        assert verify(app.test_client(), outbox, EDITOR).status_code == 404
        assert verify(app.test_client(), outbox, "stranger@example.com").status_code == 404

        with app.app_context():
            db.session.get(user_class, 1).is_active = False
            db.session.commit()
        assert client.get("/me").status_code == 401
        with app.app_context():
            db.session.get(user_class, 1).is_active = True
            db.session.commit()
        verify(client, outbox, READER)
        assert client.post("/logout").status_code == 204
        assert client.get("/me").status_code == 401
    with app.app_context():
        db.engine.dispose()
    close(app)


def test_role_in_the_token_is_that_of_the_user_whatever_the_client_says(
    mongo_uri: str, users: Any
) -> None:
    users.insert_many(
        [{"identifier": EDITOR, "roles": ["editor"]}, {"identifier": READER, "roles": []}]
    )
    app = roles.create_app(config(mongo_uri))
    client = app.test_client()

    with otp_outbox(app) as outbox:
        editor = verify(client, outbox, EDITOR)
        claimed = {"roles": ["editor"], "role": "editor"}
        reader = verify(client, outbox, READER, payload=claimed)

    assert client.get("/drafts").status_code == 401
    assert client.get("/drafts", headers=bearer(editor)).json == {"drafts": ["On login codes"]}
    assert client.get("/drafts", headers=bearer(reader)).status_code == 403

    users.update_one({"identifier": READER}, {"$set": {"roles": ["editor"]}})
    reader = refresh(client, reader)
    assert client.get("/drafts", headers=bearer(reader)).status_code == 200
    users.update_one({"identifier": READER}, {"$set": {"blocked": True}})
    assert refresh(client, reader).status_code == 401
    close(app)


def test_person_sees_where_they_are_signed_in_and_ends_the_other_logins(
    mongo_uri: str, tmp_path: Path
) -> None:
    app = quickstart.create_app(config(mongo_uri), instance_path=tmp_path)
    here, elsewhere = app.test_client(), app.test_client()
    with otp_outbox(app) as outbox:
        verify(elsewhere, outbox, READER)
        verify(here, outbox, READER)
    csrf = here.get_cookie("csrf_access_token")
    assert csrf is not None

    page = here.get("/logins").text
    assert (page.count("This browser"), page.count("Another browser or app")) == (1, 1)
    assert here.post("/logins/end-others").status_code == 401
    ended = here.post("/logins/end-others", headers={"X-CSRF-TOKEN": csrf.value})

    assert ended.status_code == 204
    assert here.get("/logins").text.count("by a code by email") == 1
    assert elsewhere.get("/me").status_code == 401
    close(app)
