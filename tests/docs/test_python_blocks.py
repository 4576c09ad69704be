"""Every block of Python in the README and the docs runs, and what it promises comes true."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from documentation import PAGES, all_blocks, blocks
from flask import Flask, redirect, request, url_for
from flask_jwt_extended import jwt_required
from flask_pymongo import PyMongo
from support.servers import python_path
from support.world import SECRET_KEY

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.settings import read_settings

READER = "reader@example.com"
Names = dict[str, Any]
# What stands in the docs for a reader's own, in the form that the providers give them.
PLACEHOLDERS = {
    "SID:TOKEN": f"AC{'0' * 32}:{'0' * 32}",
    "KEY:SECRET": f"{'0' * 8}:{'0' * 16}",
}


class Provider:
    """Takes the messages of the docs' senders."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def send(self, *, to: str, text: str, subject: str = "") -> bool:
        self.texts.append(text)
        return True

    def message(self, to: str, text: str) -> bool:
        return self.send(to=to, text=text)


class Datastore:
    """Finds users as that of Flask-Security does."""

    def __init__(self, users: Any) -> None:
        self._users = users

    def find_user(self, **fields: str) -> Any:
        [value] = fields.values()
        return self._users.find_one({"identifier": value})


@pytest.fixture
def names(mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """What the blocks of a page take for granted: the application that they are put into."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("FLASK_MONGO_URI", mongo_uri)
    app = Flask("app")
    app.config.update(
        SECRET_KEY=SECRET_KEY,
        MONGO_URI=mongo_uri,
        NODE_JWT_SECRET=SECRET_KEY,
        OTP_AUTH_TEST_IDENTIFIERS={
            "api@example.com": {"code": "480213", "until": date(2100, 1, 1)}
        },
    )
    mongo = PyMongo(app)
    assert mongo.db is not None
    mongo.db.users.insert_one({"identifier": READER, "name": "Reader", "roles": ["user"]})
    provider = Provider()
    found: Names = {
        "__name__": "a_page_of_the_docs",
        "app": app,
        "mongo": mongo,
        "db": mongo.db,
        "users": mongo.db.users,
        "otp": FlaskOtpAuth(),
        "FlaskOtpAuth": FlaskOtpAuth,
        "send_message": provider.message,
        "provider": provider,
        "sms_provider": provider,
        "mail_provider": provider,
        "datastore": Datastore(mongo.db.users),
        "typed_code": "480213",
        "old_key": secrets.token_hex(32),
        "new_key": secrets.token_hex(32),
        # What a fragment of a view or of a test stands among.
        "pytest": pytest,
        "request": request,
        "redirect": redirect,
        "url_for": url_for,
        "jwt_required": jwt_required,
    }
    kept = [mongo]
    yield found
    kept += [value for value in found.values() if isinstance(value, PyMongo)]
    for name in ("app", "made"):
        state = getattr(found.get(name), "extensions", {}).get("otp_auth")
        kept += [] if state is None else [state.mongo]
    for one in kept:
        assert one.cx is not None
        one.cx.close()


def initialise(names: Names) -> None:
    """Put the extension on the application of a page, with handlers that a page may replace."""
    names["otp"].init_app(names["app"], mongo=names["mongo"])
    names["jwt"] = names["app"].extensions["flask-jwt-extended"]

    @names["otp"].send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        return bool(names["provider"].send(to=identifier, text=code))

    @names["otp"].get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        return names["users"].find_one({"identifier": identifier})


def run(page: str, names: Names) -> None:
    """Run the blocks of a page one after the other, as a reader would put them into one file."""
    path = next(path for path in PAGES if path.name == page)
    for block in blocks(path):
        if block.language != "python":
            continue
        text = block.code
        for placeholder, own in PLACEHOLDERS.items():
            text = text.replace(placeholder, own)
        code = compile("\n" * block.line + text, str(block), "exec")
        if block.not_run:
            continue
        exec(code, names)
        if "OTP_AUTH_" in block.code:
            read_settings(names["app"].config)


def sign_in(app: Flask, code_in: Callable[[], str], **members: Any) -> Any:
    """Sign in over HTTP, and return the data of the answer."""
    client = app.test_client()
    body = {"identifier": READER, "method": "email", **members}
    started = client.post("/otp/initiate", json=body)
    assert started.status_code == 200, started.text
    session_id = started.json["data"]["sessionId"]
    [code] = re.findall(r"\b\d{6}\b", code_in())
    answer = client.post("/otp/verify", json={"sessionId": session_id, "code": code})
    assert answer.status_code == 200, answer.text
    return answer.json["data"]


# The pages whose blocks have a test of their own; those of all others are run in one way.
OWN_TEST = {
    "README.md",
    "quickstart.rst",
    "first_evening.rst",
    "handlers.rst",
    "payload.rst",
    "moving_from_node.rst",
    "testing.rst",
}


OTHERS = sorted({block.page.name for block in all_blocks("python")} - OWN_TEST)


def test_the_pages_with_a_test_of_their_own_are_there() -> None:
    assert {page.name for page in PAGES} >= OWN_TEST


@pytest.mark.parametrize("page", OTHERS)
def test_the_blocks_of_a_page_run(page: str, names: Names, capsys: Any) -> None:
    if page == "api.rst":
        names["app"].config["OTP_AUTH_TEST_IDENTIFIERS"] = {
            READER: {"code": names["typed_code"], "until": date(2100, 1, 1)}
        }
    path = next(path for path in PAGES if path.name == page)
    code = "".join(block.code for block in blocks(path) if block.language == "python")
    if not re.search(r"FlaskOtpAuth\(|\.init_app\(|^app = ", code, re.MULTILINE):
        initialise(names)

    run(page, names)

    if page == "api.rst":
        assert "eyJ" in capsys.readouterr().out, "the block about the Python API signed nobody in"


def test_a_reader_of_the_readme_has_a_login(names: Names) -> None:
    run("README.md", names)

    data = sign_in(names["app"], lambda: names["provider"].texts[-1])

    assert data["status"] == "success"
    assert data["user"]["id"] == READER


def test_a_reader_of_the_quickstart_has_a_login_and_a_protected_view(
    names: Names,
) -> None:
    run("quickstart.rst", names)
    names["made"] = names["create_app"]()

    data = sign_in(names["app"], lambda: names["provider"].texts[-1])
    client = names["app"].test_client()

    bearer = {"Authorization": f"Bearer {data['token']}"}
    assert client.get("/me").status_code == 401
    assert client.get("/me", headers=bearer).json == {"id": data["user"]["id"]}
    assert names["made"].test_client().post("/otp/verify").status_code == 415


def test_the_handlers_of_the_docs_send_find_and_sign_in(names: Names) -> None:
    initialise(names)
    run("handlers.rst", names)

    data = sign_in(names["app"], lambda: names["provider"].texts[-1])

    assert data["user"] == {"name": "Reader"}
    assert names["provider"].texts[-1].startswith("Your code is ")
    names["get_or_add_user"]("new@example.com", "email", None)
    assert names["users"].count_documents({"identifier": "new@example.com"}) == 1


def test_the_code_for_a_new_address_changes_it_and_signs_nobody_in(names: Names) -> None:
    initialise(names)
    run("payload.rst", names)
    texts, client, new = names["provider"].texts, names["app"].test_client(), "new@example.com"
    bearer = {"Authorization": f"Bearer {sign_in(names['app'], lambda: texts[-1])['token']}"}

    started = client.post("/contact", json={"email": new}, headers=bearer)
    [code] = re.findall(r"\b\d{6}\b", texts[-1])
    body = {"sessionId": started.json["sessionId"], "code": code}
    assert client.post("/otp/verify", json=body).status_code == 404
    changed = client.post("/contact/confirm", json=body, headers=bearer)

    assert (changed.status_code, changed.json) == (200, {"identifier": new})


def test_moving_from_node_makes_the_tokens_that_flink_reads(names: Names) -> None:
    run("moving_from_node.rst", names)
    otp, provider = names["otp"], names["provider"]
    otp.send_code_handler(lambda code, identifier, method, payload: provider.message("", code))
    otp.get_user_handler(
        lambda identifier, method, payload: names["users"].find_one({"identifier": identifier})
    )

    data = sign_in(names["app"], lambda: provider.texts[-1])

    claims = names["jwt"].decode(data["token"], SECRET_KEY, ["HS256"])
    assert claims.keys() == {"userId", "roles", "exp"}
    assert claims["roles"] == ["user"]
    assert "sessionId_1" in names["db"].otp_sessions.index_information()


SHOP = """
from flask import Flask
from flask_otp_auth import FlaskOtpAuth

def create_app(config):
    app = Flask("shop")
    app.config.from_mapping(config)
    otp = FlaskOtpAuth(app)
    otp.send_code_handler(lambda code, identifier, method, payload: False)
    otp.get_user_handler(lambda identifier, method, payload: {"id": identifier})
    return app
"""


@pytest.mark.slow
def test_the_tests_of_the_page_on_testing_pass(tmp_path: Path, mongo_server: str) -> None:
    page = next(path for path in PAGES if path.name == "testing.rst")
    code = [block.code for block in blocks(page) if block.language == "python"]
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text("\n\n".join(code))

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=tmp_path,
        env={**os.environ, "MONGO_URI": mongo_server, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{''.join(code).count('def test_')} passed" in run.stdout


ROTATION = ["[old_key, new_key, old_key]", "[new_key, old_key]"]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def test_changing_the_key_as_documented_loses_no_code_and_no_count(
    mongo_uri: str, names: Names
) -> None:
    page = next(path for path in PAGES if path.name == "configuration.rst")
    steps = re.findall(r'"OTP_AUTH_SECRET_KEY"\] = (\[.*\])', page.read_text())
    assert steps[:2] == ROTATION
    keys = {"old_key": names["old_key"], "new_key": names["new_key"]}
    before = application(mongo_uri, [keys["old_key"]], names)
    first, second = (application(mongo_uri, eval(step, dict(keys)), names) for step in steps[:2])

    # Both generations of processes run at the same moment, at each of the steps.
    for old, new in ((before, first), (first, second)):
        for asked, judged in ((old, new), (new, old)):
            session_id, code = ask(asked, names)
            assert guess(judged, session_id, wrong(code)).status_code == 401
            assert guess(judged, session_id, code).status_code == 200
    session_id, code = ask(before, names)
    for _ in range(3):
        guess(second, session_id, wrong(code))
    with second.app_context():
        accounts = second.extensions["otp_auth"].accounts
        [account] = accounts.find(accounts.id_of(READER), datetime.now(UTC))
    assert (account.failures, len(account.sends)) == (3, 5)


def application(mongo_uri: str, keys: list[str], names: Names) -> Flask:
    app = Flask("app")
    app.config.update(
        SECRET_KEY=SECRET_KEY,
        OTP_AUTH_SECRET_KEY=keys,
        OTP_AUTH_IDENTIFIER_LIMITS="100 per day",
        OTP_AUTH_CLIENT_LIMITS=None,
    )
    otp = FlaskOtpAuth(app, mongo=names["mongo"])
    provider = names["provider"]
    otp.send_code_handler(lambda code, identifier, method, payload: provider.message("", code))
    otp.get_user_handler(lambda identifier, method, payload: {"id": identifier})
    return app


def ask(app: Flask, names: Names) -> tuple[str, str]:
    body = {"identifier": READER, "method": "email"}
    answer = app.test_client().post("/otp/initiate", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json["data"]["sessionId"], names["provider"].texts[-1]


def guess(app: Flask, session_id: str, code: str) -> Any:
    return app.test_client().post("/otp/verify", json={"sessionId": session_id, "code": code})
