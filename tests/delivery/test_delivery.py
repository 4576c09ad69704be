"""Codes go out through real SMTP and HTTP servers, in order, in time, and to nobody else."""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from apprise.decorators import notify
from support.delivery_servers import (
    PASSWORD,
    USER,
    Gateway,
    Mailbox,
    certificate,
    hanging_server,
    http_gateway,
    plain_smtp_server,
    smtp_server,
)
from support.servers import PATIENCE, python_path
from support.world import MakeWorld, World

from flask_otp_auth.delivery import Delivery
from flask_otp_auth.exceptions import ConfigurationError
from flask_otp_auth.signals import code_sent, send_failed
from flask_otp_auth.testing.mongod import free_port

NUMBER = "+46701234567"
EMAIL = "reader@example.com"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def mailbox(tls: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    with smtp_server(*tls) as server:
        yield server


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with http_gateway() as server:
        yield server


def deliver(make_world: MakeWorld, **options: Any) -> World:
    """Return a world whose sender is Delivery."""
    world = make_world(APP_NAME="Shop", **options)
    Delivery(world.otp, console=False)
    return world


def add_mail_extension(world: World, name: str) -> None:
    """Set up Flask-Mail or Flask-Mailman on the app, with the options that it has."""
    importlib.import_module(name.lower().replace("-", "_")).Mail(world.app)


def parts(message: EmailMessage) -> dict[str, str]:
    return {
        part.get_content_type(): part.get_content()
        for part in message.walk()
        if part.get_content_maintype() == "text"
    }


def code_in(text: str) -> str:
    (code,) = set(re.findall(r"\b\d{6}\b", text))
    return code


def initiate(world: World, identifier: str, method: str, **headers: str) -> Any:
    body = {"identifier": identifier, "method": method}
    return world.client.post("/otp/initiate", json=body, headers=headers)


@pytest.mark.parametrize(
    ("language", "subject", "intro"),
    [
        ("en", "Your sign-in code for Shop", "Your sign-in code for Shop is"),
        ("sv-SE", "Din inloggningskod för Shop", "Din inloggningskod för Shop är"),
        ("de", "Ihr Anmeldecode für Shop", "Ihr Anmeldecode für Shop lautet"),
        ("fr-CH, de;q=0.5", "Votre code de connexion à Shop", "Votre code de connexion à Shop est"),
        ("sv;q=0, nb, es-MX;q=0.2", "Tu clave de acceso a Shop", "Tu clave de acceso a Shop es"),
        ("fi, *;q=0.1", "Your sign-in code for Shop", "Your sign-in code for Shop is"),
    ],
)
def test_email_over_starttls_reads_well_in_the_language_of_the_person(
    make_world: MakeWorld, mailbox: Mailbox, language: str, subject: str, intro: str
) -> None:
    world = deliver(make_world, EMAIL_URLS=[mailbox.url])

    answer = initiate(world, EMAIL, "email", **{"Accept-Language": language})

    assert answer.status_code == 200, answer.text
    ((recipients, message),) = mailbox.received
    assert mailbox.logins == [USER]
    assert recipients == [EMAIL]
    assert message["To"] == EMAIL
    assert message["From"] == "Shop <no-reply@example.com>"
    assert message["Subject"] == subject
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    texts = parts(message)
    assert list(texts) == ["text/plain", "text/html"]
    assert all(intro in text for text in texts.values())
    code = code_in(texts["text/plain"])
    assert f">{code}<" in texts["text/html"]
    assert code not in message["Subject"]
    assert world.verify(answer.json["data"]["sessionId"], code).status_code == 200


@pytest.mark.parametrize("extension", ["Flask-Mail", "Flask-Mailman"])
def test_mail_extension_of_the_app_sends_both_parts_as_they_were_written(
    make_world: MakeWorld, mailbox: Mailbox, extension: str
) -> None:
    config = {
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": mailbox.port,
        "MAIL_USE_TLS": True,
        "MAIL_USERNAME": USER,
        "MAIL_PASSWORD": PASSWORD,
        "MAIL_DEFAULT_SENDER": "no-reply@example.com",
    }
    world = deliver(make_world, config=config)
    add_mail_extension(world, extension)

    answer = initiate(world, EMAIL, "email", **{"Accept-Language": "sv"})
    assert answer.status_code == 200, answer.text

    for recipients, message in mailbox.received:
        assert recipients == [EMAIL]
        assert message["Subject"] == "Din inloggningskod för Shop"
        assert message["Auto-Submitted"] == "auto-generated"
        texts = parts(message)
        code = code_in(texts["text/plain"])
        assert (
            texts["text/plain"]
            .replace("\r\n", "\n")
            .startswith(f"Din inloggningskod för Shop är\n\n{code}\n\n")
        )
        assert "<!doctype html>" in texts["text/html"]


# Of all that a local part may hold, what some library reads as something else.
LOCAL_PARTS = [
    "o'brien+shop/a%2cb",
    "a%40b",
    "a!b",
    "a%b",
    "a=3db",
    "a=40b",
    "a?=b",
    "#$&*{|}~`^_-",
    "a.b-c_d",
    "x" * 64,
    "undisclosed-recipients",
    "postmaster",
]


@pytest.mark.parametrize("sender", ["SMTP", "Flask-Mail", "Flask-Mailman"])
def test_envelope_of_an_email_is_the_identifier_and_nobody_else(
    make_world: MakeWorld, sender: str
) -> None:
    with plain_smtp_server() as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.port}?from=no-reply@example.com&mode=insecure"
        config = {
            "MAIL_SERVER": "127.0.0.1",
            "MAIL_PORT": mailbox.port,
            "MAIL_DEFAULT_SENDER": "no-reply@example.com",
        }
        world = deliver(make_world, config=config, EMAIL_URLS=[url])
        if sender != "SMTP":
            add_mail_extension(world, sender)
        expected = [f"{local}@example.com" for local in LOCAL_PARTS]
        expected.append("reader@xn--mller-kva.example")
        for identifier in (*expected[:-1], "reader@müller.example"):
            answer = initiate(world, identifier, "email")
            assert answer.status_code == 200, (identifier, answer.text)

    assert [recipients for recipients, _ in mailbox.received] == [[to] for to in expected]


def test_sms_reaches_a_gateway_with_its_recipient_in_the_body(
    make_world: MakeWorld, gateway: Gateway
) -> None:
    world = deliver(make_world, SMS_URLS=[gateway.url], ORIGIN="https://example.com")

    assert initiate(world, NUMBER, "sms", **{"Accept-Language": "de"}).status_code == 200

    (sms,) = gateway.received
    assert sms["to"] == NUMBER
    code = code_in(sms["message"])
    assert sms["message"] == (
        f"Ihr Anmeldecode für Shop lautet {code}. Er gilt 5 Minuten. Geben Sie ihn niemals weiter."
        f"\n\n@example.com #{code}"
    )
    assert gateway.paths == ["/sms/secret-path?"]


def test_webhook_names_the_member_for_the_recipient_in_its_url(
    make_world: MakeWorld, gateway: Gateway
) -> None:
    world = deliver(make_world, SMS_URLS=[f"{gateway.url}?:phone={{to}}&:message=body&:from=Shop"])

    assert initiate(world, NUMBER, "sms").status_code == 200

    (sms,) = gateway.received
    assert sms["phone"] == NUMBER
    assert sms["from"] == "Shop"
    assert code_in(sms["body"])
    assert "to" not in sms


@pytest.mark.parametrize("schema", ["form", "xml"])
def test_other_webhooks_get_the_recipient_in_their_body_too(
    make_world: MakeWorld, gateway: Gateway, schema: str
) -> None:
    world = deliver(make_world, EMAIL_URLS=[gateway.url.replace("json:", f"{schema}:")])

    assert initiate(world, "a&b=c@example.com", "email").status_code == 200

    (body,) = gateway.bodies
    expected = "<to>a&amp;b=c@example.com</to>" if schema == "xml" else "to=a%26b%3Dc%40example.com"
    assert expected in body
    assert gateway.paths == ["/sms/secret-path?"]


def test_function_of_the_host_that_apprise_knows_is_a_provider(make_world: MakeWorld) -> None:
    taken: list[tuple[list[str], str]] = []

    @notify(on="ourown")
    def take(body: str, title: str, notify_type: str, *args: Any, **kwargs: Any) -> bool:
        taken.append((kwargs["meta"]["targets"], body))
        return True

    world = deliver(make_world, SMS_URLS=["ourown://host"], EMAIL_URLS=["ourown://host"])
    initiate(world, NUMBER, "sms")
    initiate(world, "a&b=c@example.com", "email")

    assert [targets for targets, _ in taken] == [[NUMBER], ["a&b=c@example.com"]]
    assert all(code_in(body) for _, body in taken)


def test_plain_server_on_loopback_needs_no_login(make_world: MakeWorld) -> None:
    with plain_smtp_server() as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.port}?from=Shop%20Ltd<no-reply@example.com>"
        world = deliver(make_world, EMAIL_URLS=[url])
        assert initiate(world, EMAIL, "email").status_code == 200

    ((recipients, message),) = mailbox.received
    assert recipients == [EMAIL]
    assert message["From"].addresses[0].addr_spec == "no-reply@example.com"
    assert message["From"].addresses[0].display_name == "Shop Ltd"


def test_password_is_not_given_to_a_server_without_tls_or_with_a_strange_certificate(
    make_world: MakeWorld, tls: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with plain_smtp_server() as plain, smtp_server(*tls) as strange:
        urls = [plain.url, strange.url]
        world = deliver(make_world, EMAIL_URLS=urls)
        assert initiate(world, EMAIL, "email").status_code == 500

    assert plain.received == strange.received == []
    assert plain.logins == strange.logins == []
    assert "STARTTLS extension not supported" in caplog.text
    assert "certificate verify failed" in caplog.text
    assert PASSWORD not in caplog.text


LAST_WORDS = """
import os
from flask import Flask
from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery

app = Flask("leaving")
app.config.from_prefixed_env()
otp = FlaskOtpAuth(app)
Delivery(otp)
otp.get_user_handler(lambda identifier, method, payload: None)
with app.app_context():
    for number in range(6):
        otp.initiate(f"+4670123456{number}", "sms")
"""


def test_message_that_was_taken_in_the_background_goes_out_though_the_process_ends(
    mongo_uri: str, gateway: Gateway
) -> None:
    env = {
        "FLASK_SECRET_KEY": "k" * 32,
        "FLASK_MONGO_URI": mongo_uri,
        "FLASK_OTP_AUTH_SMS_URLS": json.dumps([gateway.url]),
        "FLASK_OTP_AUTH_SEND_IN_BACKGROUND": "true",
        "PYTHONPATH": python_path(),
    }
    run = subprocess.run(
        [sys.executable, "-c", LAST_WORDS],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert run.returncode == 0, run.stderr
    assert len(gateway.received) == 6


def test_second_provider_takes_over_from_one_that_is_down(
    make_world: MakeWorld, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    down = f"json://gateway-user:gateway-password@127.0.0.1:{free_port()}/secret-path"
    with http_gateway(503) as refusing:
        world = deliver(make_world, SMS_URLS=[down, refusing.url, gateway.url])
        answer = initiate(world, NUMBER, "sms")

    assert answer.status_code == 200
    assert len(refusing.received) == 1
    assert len(gateway.received) == 1
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len([line for line in warnings if "did not accept a message" in line]) == 2
    assert "error=503" in caplog.text


def test_all_providers_down_is_the_500_of_the_contract_and_one_signal(
    make_world: MakeWorld,
) -> None:
    with http_gateway(500) as first, http_gateway(401) as second:
        world = deliver(make_world, SMS_URLS=[first.url, second.url])
        failed: list[Any] = []
        sent: list[Any] = []

        def on_failed(sender: Any, **about: Any) -> None:
            failed.append(about)

        def on_sent(sender: Any, **about: Any) -> None:
            sent.append(about)

        with send_failed.connected_to(on_failed), code_sent.connected_to(on_sent):
            answer = initiate(world, NUMBER, "sms")

    assert answer.status_code == 500
    assert answer.json["error"]["detail"] == "Failed to send verification code"
    assert len(failed) == 1
    assert sent == []
    assert world.sessions.find_one()["status"] == "expired"


@pytest.mark.parametrize(
    ("status", "counted"), [(400, 0), (429, 0), (500, 1), (502, 1), (503, 0), (504, 1)]
)
def test_message_that_a_failing_gateway_may_have_sent_is_counted_and_a_refused_one_is_not(
    make_world: MakeWorld, status: int, counted: int
) -> None:
    with http_gateway(status) as gateway:
        world = deliver(make_world, SMS_URLS=[gateway.url], IDENTIFIER_LIMITS="1 per day")
        assert initiate(world, NUMBER, "sms").status_code == 500
    assert len(world.accounts.find_one()["sends"]) == counted


@pytest.mark.parametrize("scheme", ["json", "mailto", "Flask-Mail"])
def test_provider_that_hangs_is_cut_off_at_the_timeout(make_world: MakeWorld, scheme: str) -> None:
    with hanging_server() as port:
        method = "sms" if scheme == "json" else "email"
        options: dict[str, Any] = {"SEND_TIMEOUT": 0.4}
        config: dict[str, Any] = {}
        if scheme == "json":
            options["SMS_URLS"] = [f"json://127.0.0.1:{port}"]
        elif scheme == "mailto":
            options["EMAIL_URLS"] = [f"mailto://a:b@127.0.0.1:{port}?from=no-reply@example.com"]
        else:
            config = {"MAIL_PORT": port, "MAIL_DEFAULT_SENDER": "no-reply@example.com"}
        world = deliver(make_world, config=config, **options)
        if scheme == "Flask-Mail":
            add_mail_extension(world, scheme)
        start = time.monotonic()
        answer = initiate(world, NUMBER if method == "sms" else EMAIL, method)

        assert answer.status_code == 500
        assert 0.35 < time.monotonic() - start < 3
        if scheme != "Flask-Mail":  # whose timeout is the host's
            assert_no_thread_hangs_for(2)


def assert_no_thread_hangs_for(seconds: float) -> None:
    """Assert that those who wait for a provider end by its timeout, while it still hangs."""
    deadline = time.monotonic() + seconds
    while any(thread.name == "flask_otp_auth provider" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a thread still waits for a provider"
        time.sleep(0.02)


def test_logs_at_every_level_hold_no_url_no_code_and_no_recipient(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rude = f"no {NUMBER} gateway-password for gateway-user at secret-path"
    with http_gateway(400, rude) as refusing, http_gateway() as taking:
        world = deliver(make_world, SMS_URLS=[refusing.url, taking.url])
        initiate(world, NUMBER, "sms")
        (sms,) = taking.received

    lines = [
        record.getMessage() for record in caplog.records if not record.name.startswith("pymongo")
    ]
    text = "\n".join(lines)
    assert "did not accept a message" in text
    for secret in (
        code_in(sms["message"]),
        NUMBER,
        NUMBER[1:],
        "gateway-password",
        "gateway-user",
        "secret-path",
    ):
        assert secret not in text


def test_words_of_a_provider_add_no_line_to_the_log(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    @notify(on="otpforger")
    def refuse(*args: Any, **kwargs: Any) -> bool:
        logging.getLogger("apprise").warning("no\r\nERROR all is lost \x1b[2J")
        return False

    initiate(deliver(make_world, SMS_URLS=["otpforger://host"]), NUMBER, "sms")
    [line] = [text for text in caplog.messages if "did not accept" in text]
    assert line.isprintable()
    assert "no\\r\\nERROR all is lost" in line


def test_words_of_an_smtp_server_that_name_the_login_are_not_logged(
    make_world: MakeWorld, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = mailbox.url.replace(PASSWORD, "wrong-pass-word")
    world = deliver(make_world, EMAIL_URLS=[wrong])
    mailbox.refusal = f"535 no {USER} with wrong-pass-word for {EMAIL}"

    assert initiate(world, EMAIL, "email").status_code == 500

    lines = [line.getMessage() for line in caplog.records if line.name.startswith("flask_otp_auth")]
    assert any("SMTPAuthenticationError" in line and "535" in line for line in lines)
    for secret in (USER, "wrong-pass-word", EMAIL):
        assert secret not in "\n".join(lines)


ADDRESSES = [
    "a%2Cattacker@example.com",
    "a%252Cattacker@example.com",
    "victim%40example.com%2C@evil.example",
    "a/b@example.com",
    "o'brien@example.com",
    "a&to=attacker=x@example.com",
    "a?bcc=attacker@example.com",
    "{to}@example.com",
    "#fragment@example.com",
    "a=b|c~d`e^f*g@example.com",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_address_with_separators_reaches_itself_and_nobody_else(
    make_world: MakeWorld, mailbox: Mailbox, gateway: Gateway, address: str
) -> None:
    for url in (mailbox.url, gateway.url):
        world = deliver(make_world, EMAIL_URLS=[url])
        answer = initiate(world, address, "email")
        assert answer.status_code == 200, answer.text

    ((recipients, message),) = mailbox.received
    assert recipients == [address.lower()]
    assert message["To"].addresses[0].addr_spec == address.lower()
    assert len(message["To"].addresses) == 1
    assert message["Cc"] is None
    assert message["Bcc"] is None
    assert gateway.received[0]["to"] == address.lower()
    assert gateway.paths == ["/sms/secret-path?"]


def test_line_ends_in_names_and_payload_add_no_header(
    make_world: MakeWorld, mailbox: Mailbox, tmp_path: Path
) -> None:
    world = deliver(make_world, EMAIL_URLS=[mailbox.url])
    templates = tmp_path / "otp_auth"
    templates.mkdir()
    (templates / "code.subject.txt").write_text(
        "For {{ payload.name }}: {{ code }}\n\nBcc: a@b.example"
    )
    world.app.jinja_loader.searchpath.insert(0, str(tmp_path))  # type: ignore[union-attr]
    name = "x\r\nBcc: attacker@example.com\u2028\x0bTo: y@example.com"

    answer = world.client.post(
        "/otp/initiate",
        json={"identifier": EMAIL, "method": "email", "payload": {"name": name}},
    )

    assert answer.status_code == 200
    ((recipients, message),) = mailbox.received
    assert recipients == [EMAIL]
    assert message["Bcc"] is None
    assert message["Subject"] == (
        "For x Bcc: attacker@example.com To: y@example.com: Bcc: a@b.example"
    )


def test_resend_and_background_keep_the_language_of_the_session(
    make_world: MakeWorld, mailbox: Mailbox
) -> None:
    world = deliver(make_world, EMAIL_URLS=[mailbox.url], SEND_IN_BACKGROUND=True)
    background = world.app.extensions["otp_auth"].background
    answer = initiate(world, EMAIL, "email", **{"Accept-Language": "fr"})
    background.drain()

    session_id = answer.json["data"]["sessionId"]
    body, german = {"sessionId": session_id}, {"Accept-Language": "de"}
    assert world.client.post("/otp/resend", json=body, headers=german).status_code == 200
    background.drain()

    assert [message["Subject"] for _, message in mailbox.received] == [
        "Votre code de connexion à Shop"
    ] * 2
    with world.app.app_context():
        session = world.otp.get_session(session_id)
    assert session is not None
    assert session.locale == "fr"


@pytest.mark.parametrize("background", [False, True], ids=["now", "background"])
def test_email_names_the_address_that_asked_and_nothing_stores_it(
    make_world: MakeWorld, mailbox: Mailbox, background: bool
) -> None:
    world = deliver(make_world, EMAIL_URLS=[mailbox.url], SEND_IN_BACKGROUND=background)
    state = world.app.extensions["otp_auth"]
    body = {"identifier": EMAIL, "method": "email"}

    with world.app.test_request_context(environ_base={"REMOTE_ADDR": "203.0.113.7"}):
        session_id = world.otp.initiate(EMAIL, "email").session_id
    for path, sent in (("initiate", body), ("resend", {"sessionId": session_id})):
        address = {"REMOTE_ADDR": "2001:db8::7"}
        answer = world.client.post(f"/otp/{path}", json=sent, environ_base=address)
        assert answer.status_code == 200
    with world.app.app_context():
        world.otp.initiate(EMAIL, "email")
    if background:
        state.background.drain()

    texts = sorted(parts(message)["text/plain"] for _, message in mailbox.received)
    assert sum("from the address 203.0.113.7." in text for text in texts) == 1
    assert sum("from the address 2001:db8::7." in text for text in texts) == 2
    assert sum("from the address" in text for text in texts) == 3
    assert all(" UTC" in text for text in texts)
    for name in world.sessions.database.list_collection_names():
        for document in world.sessions.database[name].find():
            assert "203.0.113.7" not in str(document)
            assert "2001:db8" not in str(document)


def test_flask_babel_says_the_language_where_the_app_has_it(
    make_world: MakeWorld, gateway: Gateway
) -> None:
    from flask_babel import Babel, force_locale

    world = deliver(make_world, SMS_URLS=[gateway.url])
    Babel(world.app, locale_selector=lambda: "sv_SE")

    initiate(world, NUMBER, "sms", **{"Accept-Language": "de"})
    with world.app.app_context(), force_locale("es"):
        world.otp.initiate(NUMBER, "sms")

    assert [sms["message"][:8] for sms in gateway.received] == ["Din inlo", "Tu clave"]
    assert {session["locale"] for session in world.sessions.find()} == {"sv-SE", "es"}


def test_selector_of_babel_that_needs_a_request_does_not_stop_a_script(
    make_world: MakeWorld, gateway: Gateway
) -> None:
    from flask import request
    from flask_babel import Babel

    world = deliver(make_world, SMS_URLS=[gateway.url])
    Babel(world.app, locale_selector=lambda: request.accept_languages.best_match(["de"]))

    with world.app.app_context():
        world.otp.initiate(NUMBER, "sms")

    assert gateway.received[0]["message"].startswith("Your sign-in code for Shop is")


@pytest.mark.parametrize("locale", ["xx", "pt-BR", "", "sv_SE_x_y_z_w", 7, b"sv", None])
def test_locale_of_the_host_that_is_none_stops_no_login(
    make_world: MakeWorld, gateway: Gateway, locale: Any
) -> None:
    from flask_babel import Babel

    world = deliver(make_world, SMS_URLS=[gateway.url])
    Babel(world.app, locale_selector=lambda: locale)

    answer = initiate(world, NUMBER, "sms")

    assert answer.status_code == 200, answer.text
    assert gateway.received[0]["message"].startswith("Your sign-in code for Shop is")


def test_language_that_the_app_added_is_chosen_by_the_header(
    make_world: MakeWorld, gateway: Gateway
) -> None:
    world = deliver(
        make_world,
        SMS_URLS=[gateway.url],
        TEXTS={"pt-BR": {"message_intro": "Seu código para {app} é"}},
    )

    initiate(world, NUMBER, "sms", **{"Accept-Language": "pt-PT, pt-br;q=0.9, sv;q=0.8"})

    assert gateway.received[0]["message"].startswith("Seu código para Shop é ")
    assert {session["locale"] for session in world.sessions.find()} == {"pt-BR"}


@pytest.mark.parametrize("mode", ["debug", "testing"])
def test_code_is_on_the_console_while_debugging_and_testing(
    make_world: MakeWorld, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    world = make_world(APP_NAME="Shop", config={mode.upper(): True})
    Delivery(world.otp)

    answer = initiate(world, EMAIL, "email")

    printed = capsys.readouterr().err
    assert "To: reader@example.com" in printed
    assert "Subject: Your sign-in code for Shop" in printed
    code = code_in(printed)
    assert world.verify(answer.json["data"]["sessionId"], code).status_code == 200


def test_escape_sequence_of_a_stranger_does_not_reach_the_terminal(
    make_world: MakeWorld, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    world = make_world(config={"DEBUG": True})
    Delivery(world.otp)
    (tmp_path / "otp_auth").mkdir()
    (tmp_path / "otp_auth" / "code.sms.txt").write_text("{{ payload.name }} {{ code }}")
    world.app.template_folder = str(tmp_path)

    body = {"identifier": NUMBER, "method": "sms", "payload": {"name": "\x1b[2J\x07me"}}
    assert world.client.post("/otp/initiate", json=body).status_code == 200

    printed = capsys.readouterr().err
    assert "me " in printed
    assert "\x1b" not in printed
    assert "\x07" not in printed


@pytest.mark.parametrize("console", [None, False])
def test_console_is_refused_in_production_unless_told(
    make_world: MakeWorld,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    console: bool | None,
) -> None:
    world = make_world()
    Delivery(world.otp, console=console)
    assert initiate(world, NUMBER, "sms").status_code == 500
    assert "OTP_AUTH_SMS_URLS is not set" in caplog.text
    assert capsys.readouterr().err == ""

    told = make_world()
    Delivery(told.otp, console=True)
    assert initiate(told, NUMBER, "sms").status_code == 200
    assert code_in(capsys.readouterr().err)
    assert "a code was printed, not sent" in caplog.text


def test_delivery_works_without_our_routes(make_world: MakeWorld, gateway: Gateway) -> None:
    world = deliver(make_world, SMS_URLS=[gateway.url], REGISTER_ROUTES=False)

    with world.app.app_context():
        world.otp.initiate(NUMBER, "sms")

    assert code_in(gateway.received[0]["message"])


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


def test_a_mail_server_is_signed_in_to(make_world: MakeWorld, mailbox: Mailbox) -> None:
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
