"""Apprise URLs: what can send to one person is taken, with that person and nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from support.servers import PATIENCE, python_path
from support.world import MakeWorld

from flask_otp_auth import ConfigurationError
from flask_otp_auth.delivery.apprise_urls import provider_for

TWILIO = f"twilio://AC{'a' * 32}:{'b' * 32}@15555550199"


@pytest.mark.parametrize(
    ("url", "where"),
    [
        (TWILIO, "targets"),
        (f"{TWILIO}/+15555550123", "targets"),
        ("vonage://aaaaaaaa:bbbbbbbbbbbbbbbb@15555550199", "targets"),
        ("sns://AKIAIOSFODNN7EXAMPLE/wJalrXUtnFEMI/us-east-1", "phone"),
        (f"msgbird://{'a' * 25}/15555550199", "targets"),
        ("46elks://user:password@Shop/+15555550199", "targets"),
        (f"plivo://{'a' * 25}@{'b' * 40}/15555550199", "targets"),
    ],
)
def test_sms_provider_sends_to_the_one_number_and_to_none_of_its_url(url: str, where: str) -> None:
    provider = provider_for(url, "sms", "+46701234567", "Shop")

    (target,) = getattr(provider, where)
    number = target[1] if isinstance(target, tuple) else target
    assert number.lstrip("+") == "46701234567"


@pytest.mark.parametrize(
    "url",
    [
        "mailto://mailer:secret@smtp.example.com?from=no-reply@example.com",
        "mailtos://mailer:secret@smtp.example.com/other@example.com?to=another@example.com",
        "ses://no-reply@example.com/AKIAIOSFODNN7EXAMPLE/wJalrXUtnFEMI/us-east-1",
        "sendgrid://aaaa-key:no-reply@example.com",
        f"mailgun://no-reply@example.com/{'a' * 32}-{'b' * 8}-{'c' * 8}",
    ],
)
@pytest.mark.parametrize("address", ["reader@example.com", "a%2Cb'c/d+e@example.com"])
def test_email_provider_sends_to_the_one_address_and_to_none_of_its_url(
    url: str, address: str
) -> None:
    provider: Any = provider_for(url, "email", address, "Shop")

    assert list(provider.targets) in ([address], [(False, address)])


SECRET = "hush-hush"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("SMS_URLS", TWILIO, "is a str"),
        ("SMS_URLS", [5], "has a int in it"),
        ("SMS_URLS", [TWILIO, SECRET], "number 2, that is no URL"),
        ("SMS_URLS", [f"nosuch://{SECRET}"], "schema nosuch, which Apprise does not know"),
        ("SMS_URLS", [f"slack://{SECRET}/b/c"], "Apprise refuses (slack"),
        ("SMS_URLS", [f"discord://{SECRET}/{SECRET}"], "discord, which cannot send to one phone"),
        ("EMAIL_URLS", [TWILIO], "twilio, which cannot send to one email address"),
        ("SMS_URLS", [f"mailto://a:{SECRET}@example.com"], "which cannot send to one phone number"),
        ("EMAIL_URLS", [f"mailto://a:{SECRET}@example.com?bcc=b@example.com"], "copies of codes"),
        ("EMAIL_URLS", [f"mailto://a:{SECRET}@example.com?cc=b@example.com"], "copies of codes"),
        ("APP_NAME", "a\r\nb", "one line of 1 to 60"),
        ("APP_NAME", " ", "one line of 1 to 60"),
        ("APP_NAME", "a" * 61, "one line of 1 to 60"),
        ("APP_NAME", 5, "is a int"),
        ("ORIGIN", "http://example.com", "an origin such as"),
        ("ORIGIN", "https://example.com:8443", "an origin such as"),
        ("ORIGIN", "https://example.com/path", "an origin such as"),
        ("ORIGIN", "https://user@example.com", "an origin such as"),
        ("ORIGIN", "https://example.com\n", "an origin such as"),
        ("ORIGIN", "example.com", "an origin such as"),
        ("ORIGIN", b"https://example.com", "is a bytes"),
        ("SEND_TIMEOUT", 0, "above 0"),
        ("SEND_TIMEOUT", "10", "is a str"),
    ],
)
def test_option_that_cannot_deliver_is_refused_without_showing_it(
    make_world: MakeWorld, key: str, value: Any, reason: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make_world(**{key: value})

    assert str(refused.value).startswith(f"OTP_AUTH_{key} ")
    assert reason in str(refused.value)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_settings_do_not_show_the_urls(make_world: MakeWorld) -> None:
    world = make_world(SMS_URLS=[TWILIO], EMAIL_URLS=[])

    assert "twilio" not in repr(world.app.extensions["otp_auth"].settings)


WITHOUT_EXTRA = """
import sys

sys.modules.update(dict.fromkeys(["apprise", "flask_mail", "flask_mailman", "flask_babel"]))
from flask import Flask
from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery

app = Flask("bare")
app.config.update(SECRET_KEY="k" * 32, MONGO_URI="mongodb://127.0.0.1/x", TESTING=True)
otp = FlaskOtpAuth()
Delivery(otp)
with app.app_context():
    app.config["OTP_AUTH_SMS_URLS"] = ["json://127.0.0.1"]
    try:
        otp.init_app(app)
    except ValueError as error:
        print(error)
    del app.config["OTP_AUTH_SMS_URLS"]
    otp.init_app(app)
    print(app.extensions["otp_auth"].handlers.send_code("123456", "+46701234567", "sms", None))
"""


def test_delivery_without_its_extra_says_what_to_install_and_still_prints() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_EXTRA],
        env={**os.environ, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert run.returncode == 0, run.stderr
    needs, sent = run.stdout.splitlines()
    assert needs.startswith("OTP_AUTH_SMS_URLS needs the apprise package: pip install 'flask-otp")
    assert sent == "True"
    assert "Your sign-in code for bare is 123456." in run.stderr
