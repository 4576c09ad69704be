"""The example with forms of its own: what somebody reads there who has no JavaScript."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from support.world import SECRET_KEY

import forms
from flask_otp_auth.exceptions import Refused
from flask_otp_auth.testing import Outbox, otp_outbox

READER = "reader@example.com"
SWEDISH = {"Accept-Language": "sv"}


@pytest.fixture
def app(mongo_uri: str, clock: time_machine.Traveller) -> Iterator[Flask]:
    app = forms.create_app({"SECRET_KEY": SECRET_KEY, "MONGO_URI": mongo_uri, "TESTING": True})
    app.config["SESSION_COOKIE_SECURE"] = False
    yield app
    app.extensions["otp_auth"].mongo.cx.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def outbox(app: Flask) -> Iterator[Outbox]:
    with otp_outbox(app) as outbox:
        yield outbox


def ask(client: FlaskClient, identifier: str = READER, **options: Any) -> Any:
    return client.post("/login", data={"identifier": identifier}, **options)


def enter(client: FlaskClient, code: str, **options: Any) -> Any:
    return client.post("/code", data={"code": code}, **options)


def wrong(outbox: Outbox) -> str:
    return f"{(int(outbox.last_code(READER)) + 1) % 1_000_000:06d}"


def said(answer: Any) -> str:
    """Return what a page tells the reader."""
    [text] = re.findall(r'<p role="alert">(.*?)</p>', answer.text)
    return html.unescape(text)


def test_right_code_signs_in_and_begins_a_new_session(client: FlaskClient, outbox: Outbox) -> None:
    assert client.get("/").location == "/login"
    assert ask(client).location == "/code"
    assert 'autocomplete="one-time-code"' in client.get("/code").text

    done = enter(client, f" {outbox.last_code(READER)[:3]}-{outbox.last_code(READER)[3:]}")
    assert (done.status_code, done.location) == (303, "/")
    assert READER in client.get("/").text
    assert client.get("/code").location == "/login"

    client.post("/logout")
    assert client.get("/").location == "/login"


def test_wrong_codes_are_counted_before_the_readers_eyes(
    client: FlaskClient, outbox: Outbox
) -> None:
    ask(client)
    first, second = enter(client, wrong(outbox)), enter(client, wrong(outbox), headers=SWEDISH)
    assert (first.status_code, said(first)) == (401, "That code is wrong. You have 2 tries left.")
    assert said(second) == "Koden är fel. Du har 1 försök kvar."
    assert said(enter(client, "no code")) == "That code is wrong. You have 1 try left."
    assert said(enter(client, "")) == "Enter the code."

    locked = enter(client, wrong(outbox), follow_redirects=True)
    assert said(locked) == "That was one wrong code too many. Get a new code."
    assert 'name="identifier"' in locked.text


def test_another_code_comes_and_the_one_before_still_works(
    client: FlaskClient, outbox: Outbox
) -> None:
    ask(client)
    first = outbox.last_code(READER)
    assert client.post("/code/another").location == "/code"
    assert len(outbox.messages) == 2
    client.post("/code/another")
    assert "No more codes can be sent for now." in said(client.post("/code/another"))
    assert enter(client, first).location == "/"


def test_code_that_is_too_old_or_used_leads_back_to_the_first_form(
    client: FlaskClient, outbox: Outbox, clock: time_machine.Traveller
) -> None:
    ask(client)
    clock.shift(300)
    assert said(enter(client, outbox.last_code(READER), follow_redirects=True)) == (
        "The code has expired. Get a new code."
    )
    ask(client)
    with client.session_transaction() as session:
        pending = session[forms.PENDING]
    enter(client, outbox.last_code(READER))
    with client.session_transaction() as session:
        session[forms.PENDING] = pending
    assert said(enter(client, outbox.last_code(READER), follow_redirects=True)) == (
        "This code has been used. Get a new code."
    )


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("reader@", "This is not an email address that we can send to."),
        ("12", "This is not a phone number that we can send to."),
    ],
)
def test_what_cannot_be_sent_to_is_said_above_the_form(
    client: FlaskClient, outbox: Outbox, identifier: str, words: str
) -> None:
    answer = ask(client, identifier)
    assert (answer.status_code, said(answer)) == (400, words)
    assert 'name="identifier"' in answer.text


def test_client_over_its_limit_reads_how_long_to_wait(app: Flask, mongo_uri: str) -> None:
    limited = forms.create_app(
        {
            "SECRET_KEY": SECRET_KEY,
            "MONGO_URI": mongo_uri,
            "TESTING": True,
            "OTP_AUTH_CLIENT_LIMITS": "2 per hour",
            "OTP_AUTH_TEST_IDENTIFIERS": {READER: {"code": "482615", "until": "2050-12-31"}},
        }
    )
    client = limited.test_client()
    assert [ask(client).status_code for _ in range(2)] == [303, 303]
    refused = ask(client)
    assert refused.status_code == 429
    assert re.search(r"many codes in a short time\. Try again in 6[01] minutes\.", said(refused))
    assert 3500 < int(refused.headers["Retry-After"]) <= 3601
    limited.extensions["otp_auth"].mongo.cx.close()


def test_blocked_user_reads_why(client: FlaskClient, outbox: Outbox) -> None:
    def refuse(*args: Any) -> Any:
        raise Refused("Your account is closed until Monday.")

    forms.otp.get_user_handler(refuse)
    try:
        ask(client)
        answer = enter(client, outbox.last_code(READER), follow_redirects=True)
    finally:
        forms.otp.get_user_handler(forms.get_or_add_user)
    assert said(answer) == "Your account is closed until Monday."


def test_no_other_address_is_open(client: FlaskClient) -> None:
    assert client.post("/otp/initiate", json={}).status_code == 404
    assert client.post("/code/another").location == "/login"
