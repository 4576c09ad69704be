"""A language that an application adds is that of its page and of its messages, in its direction."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.world import SECRET_KEY

from flask_otp_auth.testing import otp_outbox
from flask_otp_auth.texts import Catalogue
from languages import ARABIC, create_app

ASK = {"identifier": "reader@example.com", "method": "email"}


def test_example_says_every_word_in_arabic() -> None:
    assert list(ARABIC) == list(Catalogue().texts("en").words)


@pytest.mark.parametrize("tag", ["ar", "ar-EG,en;q=0.5"])
def test_page_and_email_are_arabic_from_right_to_left(
    mongo_uri: str, tmp_path: Path, tag: str
) -> None:
    config = {"SECRET_KEY": SECRET_KEY, "MONGO_URI": mongo_uri, "TESTING": True}
    app = create_app(config, instance_path=tmp_path)
    client, language = app.test_client(), {"Accept-Language": tag}

    with otp_outbox(app) as outbox:
        page = client.get("/otp/login", headers=language).text
        assert client.post("/otp/initiate", json=ASK, headers=language).status_code == 200
        sms = {"identifier": "+46701234567", "method": "sms"}
        assert client.post("/otp/initiate", json=sms, headers=language).status_code == 200
    app.extensions["otp_auth"].mongo.cx.close()

    assert '<html lang="ar" dir="rtl">' in page
    assert ARABIC["title"] in page
    email, text = outbox.messages
    assert '<html lang="ar" dir="rtl">' in email.html
    assert email.subject == "رمز الدخول إلى Example"
    assert f'<bdi dir="ltr">{email.code}</bdi>' in email.html
    assert "\u2066127.0.0.1\u2069" in email.html
    assert text.text.startswith(f"رمز الدخول إلى Example هو {text.code}.")
