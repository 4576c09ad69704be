"""Delivery.check: an operator sees that no code could go out, before anybody waits for one."""

from __future__ import annotations

import smtplib
from pathlib import Path
from typing import Any

import pytest
from support.delivery_servers import (
    PASSWORD,
    USER,
    certificate,
    hanging_server,
    http_gateway,
    smtp_server,
)
from support.world import MakeWorld, World

from flask_otp_auth.delivery import Delivery
from flask_otp_auth.exceptions import ConfigurationError
from flask_otp_auth.testing.mongod import free_port


def checking(make_world: MakeWorld, **options: Any) -> tuple[World, Delivery]:
    world = make_world(**options)
    return world, Delivery(world.otp)


def check(world: World, delivery: Delivery) -> None:
    with world.app.app_context():
        delivery.check()


def test_a_gateway_that_is_there_is_reached_and_gets_no_message(make_world: MakeWorld) -> None:
    with http_gateway() as gateway:
        url = gateway.url
        world, delivery = checking(make_world, METHODS=("sms",), SMS_URLS=[url])
        check(world, delivery)

    assert gateway.received == []
    with pytest.raises(ConnectionRefusedError):
        check(world, delivery)


def test_one_provider_of_several_is_enough(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    with http_gateway() as gateway:
        urls = [f"json://user:secret@127.0.0.1:{free_port()}", gateway.url]
        check(*checking(make_world, METHODS=("sms",), SMS_URLS=urls))

    assert "json cannot be reached: ConnectionRefusedError" in caplog.text
    assert "secret" not in caplog.text


def test_a_mail_server_is_signed_in_to(
    make_world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    with smtp_server(*tls) as mailbox:
        check(*checking(make_world, METHODS=("email",), EMAIL_URLS=[mailbox.url]))
        url = mailbox.url.replace(PASSWORD, "wrong")
        options = {"METHODS": ("email",), "EMAIL_URLS": [url], "SEND_TIMEOUT": 5}
        with pytest.raises(smtplib.SMTPException):
            check(*checking(make_world, **options))

    assert set(mailbox.logins) == {USER}
    assert mailbox.received == []


def test_a_mail_server_that_hangs_is_given_up(make_world: MakeWorld) -> None:
    with hanging_server() as port:
        url = f"mailto://127.0.0.1:{port}?smtp=127.0.0.1&from=shop@example.com"
        world, delivery = checking(
            make_world, METHODS=("email",), EMAIL_URLS=[url], SEND_TIMEOUT=0.3
        )
        with pytest.raises(OSError, match="timed out"):
            check(world, delivery)


def test_a_method_without_a_provider_is_a_fault(make_world: MakeWorld) -> None:
    with pytest.raises(ConfigurationError, match="OTP_AUTH_SMS_URLS"):
        check(*checking(make_world))


def test_flask_otp_check_asks_delivery(make_world: MakeWorld) -> None:
    with http_gateway() as gateway:
        url = gateway.url
        world, _ = checking(make_world, METHODS=("sms",), SMS_URLS=[url])
        runner = world.app.test_cli_runner()
        assert "PASS  sender" in runner.invoke(args=["otp", "check"]).output
    assert "FAIL  sender" in runner.invoke(args=["otp", "check"]).output
