"""The recipes for hosts that describe their own endpoints: the login joins them in one document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate
from support.world import SECRET_KEY

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.openapi import describe
from openapi_hosts import with_apiflask, with_smorest

CreateApp = Callable[[dict[str, object]], tuple[Flask, FlaskOtpAuth]]


@pytest.mark.parametrize("create_app", [with_smorest.create_app, with_apiflask.create_app])
def test_the_description_of_a_host_has_the_login_in_it(
    create_app: CreateApp, mongo_uri: str
) -> None:
    app, otp = create_app(
        {
            "SECRET_KEY": SECRET_KEY,
            "MONGO_URI": mongo_uri,
            "OTP_AUTH_URL_PREFIX": "/login",
        }
    )
    otp.send_code_handler(lambda code, identifier, method, payload: True)
    otp.get_user_handler(lambda identifier, method, payload: {"id": "1"})
    client = app.test_client()

    document: Any = client.get("/openapi.json").json

    validate(document)
    login = describe(app)
    assert document["info"]["title"] == "Pets"
    assert document["openapi"] == "3.1.0"
    assert document["paths"].keys() == {"/pets", *login["paths"]}
    assert document["paths"]["/login/verify"] == login["paths"]["/login/verify"]
    for kind, named in login["components"].items():
        assert named.items() <= document["components"][kind].items()
    assert client.get("/pets").json == [{"name": "Rex"}]
    body = {"identifier": "reader@example.com", "method": "email"}
    assert client.post("/login/initiate", json=body).status_code == 200
    app.extensions["otp_auth"].mongo.cx.close()
