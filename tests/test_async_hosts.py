"""Async views and async handlers of a host, in every pairing: nobody loses a right code."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from flask import current_app, g, request

PHONE = "+46701234567"


@pytest.fixture
def host(make_world):
    """An app whose own async views sign people in through the Python API."""
    world = make_world(handlers=False)
    codes = []

    @world.otp.get_user_handler
    async def get_user(identifier, method, payload):
        await asyncio.sleep(0)
        g.looked_up = identifier
        return {"id": 7, "path": request.path, "app": current_app.name}

    @world.otp.send_code_handler
    async def send_code(code, identifier, method, payload):
        await asyncio.sleep(0)
        codes.append(code)
        return True

    @world.app.post("/begin")
    async def begin():
        await asyncio.sleep(0)
        return world.otp.initiate(PHONE, "sms").session_id

    @world.app.post("/finish/<session_id>")
    async def finish(session_id):
        await asyncio.sleep(0)
        result = world.otp.verify(session_id, codes[-1])
        return {"status": result.status, "user": result.user, "looked_up": g.get("looked_up")}

    return world


def sign_in(world):
    answer = world.client.post("/begin")
    assert answer.status_code == 200
    return world.client.post(f"/finish/{answer.text}").json


def test_an_async_view_signs_in_through_async_handlers(host):
    assert sign_in(host) == {"status": "success", "user": {"id": "7"}, "looked_up": PHONE}


def test_an_async_handler_sees_the_request_of_the_async_view(host):
    @host.otp.verify_success_handler
    async def on_success(user, identifier, method, payload):
        return {"user": user, "token": await sync_to_async(lambda: request.method)()}

    user = {"id": 7, "path": "/finish/", "app": "world"}
    found = sign_in(host)["user"]
    assert found.pop("path").startswith(user.pop("path"))
    assert found == user


def test_a_plain_function_that_returns_a_coroutine_works_in_an_async_view(host):
    async def later(value):
        await asyncio.sleep(0)
        return value

    host.otp.get_user_handler(lambda identifier, method, payload: later({"id": 8}))
    assert sign_in(host)["user"] == {"id": "8"}


def test_a_plain_handler_runs_in_the_thread_of_the_async_view(host):
    """So that what a host keeps by thread, such as a database session, is there."""
    loops = []

    @host.otp.get_user_handler
    def get_user(identifier, method, payload):
        loops.append(asyncio.get_running_loop())
        return {"id": 9}

    assert sign_in(host)["user"] == {"id": "9"}
    assert loops


def test_an_async_handler_that_fails_in_an_async_view_is_logged_as_such(host, caplog):
    @host.otp.get_user_handler
    async def get_user(identifier, method, payload):
        raise LookupError("no such table")

    session_id = host.client.post("/begin").text
    answer = host.client.post(f"/finish/{session_id}")
    assert answer.status_code == 500
    assert "LookupError: no such table" in caplog.text
    assert "in get_user" in caplog.text


def test_an_event_loop_without_a_request_signs_in_too(host):
    async def main():
        with host.app.test_request_context("/cli"):
            session = host.otp.initiate(PHONE, "sms")
            return host.otp.verify(session.session_id, "0").status

    assert asyncio.run(main()) == "invalid_code"
