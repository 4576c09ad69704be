"""The words of a message: short enough, safe in HTML, bound to the site, and the host's own."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Blueprint
from support.world import MakeWorld, World

from flask_otp_auth.delivery.message import Message
from flask_otp_auth.delivery.messages import render
from flask_otp_auth.flow.sending import OutgoingCode
from flask_otp_auth.texts import LANGUAGES
from flask_otp_auth.types import Method, Payload, Session

NUMBER = "+46701234567"
EMAIL = "reader@example.com"
ASKED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
# The basic character set of GSM 03.38: a message of at most 160 of these is one SMS.
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


def message(
    world: World,
    method: Method = "sms",
    payload: Payload | None = None,
    *,
    locale: str | None = None,
    passed: int = 0,
    client: str | None = None,
    purpose: str | None = None,
) -> Message:
    """Render the message of a login that was asked for so many seconds ago."""
    settings = world.app.extensions["otp_auth"].settings
    to = NUMBER if method == "sms" else EMAIL
    now = datetime.now(UTC)
    session = Session(
        "5e" * 16,
        to,
        method,
        "pending",
        attempts=0,
        max_attempts=3,
        created_at=now,
        expires_at=now + timedelta(seconds=settings.code_ttl - passed),
        verified_at=None,
        payload=payload,
        locale=locale,
        purpose=purpose,
    )
    outgoing = OutgoingCode(session, "012345", b"", ASKED_AT, client)
    with world.app.app_context():
        return render(world.app, settings, "012345", to, method, payload, outgoing)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sms_of_every_language_fits_into_one_message(make_world: MakeWorld, language: str) -> None:
    world = make_world(APP_NAME="Twenty letters  name", ORIGIN="https://login.example.com")

    text = message(world, locale=language).text

    assert set(text) <= GSM
    assert len(text) <= 160


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_who_asks_what_for_and_for_how_long(
    make_world: MakeWorld, language: str
) -> None:
    world = make_world(APP_NAME="Shop")

    sms, email = (message(world, method, locale=language) for method in ("sms", "email"))

    english = message(world, "email", locale="en")
    for text in (sms.text, email.text, email.html):
        assert text.count("012345") == 1
        assert "Shop" in text
        assert "5 minut" in text.lower()
        assert "{" not in re.sub(r"\{\{.*?\}\}", "", text).replace("style=", "")
    assert "Shop" in email.subject
    assert "012345" not in email.subject
    assert f'<html lang="{language}" dir="ltr">' in email.html
    assert language == "en" or email.text != english.text


def parse_origin_bound(text: str) -> tuple[str, str] | None:
    """Parse as WICG's sms-one-time-codes says: host and code of the last line, or nothing."""
    line = text.split("\n")[-1]
    found = re.fullmatch(r"@([^\s@#/:?%\[\]]+)(?: @[^\s@#]+)? #([^\s]+)", line)
    return None if found is None else (found[1], found[2])


@pytest.mark.parametrize("origin", ["https://example.com", "https://Login.Example.com/"])
def test_sms_can_be_filled_in_by_the_browser_on_our_site_alone(
    make_world: MakeWorld, origin: str
) -> None:
    world = make_world(ORIGIN=origin)

    host = origin.lower().removeprefix("https://").rstrip("/")
    assert parse_origin_bound(message(world).text) == (host, "012345")
    assert parse_origin_bound(message(make_world()).text) is None
    assert "@example.com" not in message(world, "email").text


@pytest.mark.parametrize("payload", [{"name": "<b>x</b>"}, {"name": "{{ code }}"}])
def test_markup_of_a_stranger_is_text_in_the_html(
    make_world: MakeWorld, tmp_path: Path, payload: Payload
) -> None:
    world = make_world(APP_NAME="<i>R&D</i>")
    override(world, tmp_path, "code.email.html", "{{ payload.name }} {{ app_name }} {{ code }}")
    # A host that turned escaping off for its pages has not done so for mails.
    world.app.jinja_options = {"autoescape": False}

    html = message(world, "email", payload).html

    assert "<" not in html
    assert html.endswith("&lt;i&gt;R&amp;D&lt;/i&gt; 012345\n")
    assert html.count("012345") == 1


def test_name_of_the_app_is_escaped_in_our_own_html(make_world: MakeWorld) -> None:
    html = message(make_world(APP_NAME="<i>R&D</i>"), "email").html

    assert "<i>" not in html
    assert "&lt;i&gt;R&amp;D&lt;/i&gt;" in html


def override(world: World, folder: Path, name: str, text: str) -> None:
    (folder / "otp_auth").mkdir(exist_ok=True)
    (folder / "otp_auth" / name).write_text(text)
    world.app.template_folder = str(folder)


@pytest.mark.parametrize("register_routes", [True, False])
def test_template_of_the_app_wins_over_ours(
    make_world: MakeWorld, tmp_path: Path, register_routes: bool
) -> None:
    world = make_world(APP_NAME="Shop", REGISTER_ROUTES=register_routes, CODE_TTL=60)
    override(
        world,
        tmp_path,
        "code.sms.txt",
        "{{ app_name }} {{ code }} {{ minutes }} {{ method }} {{ language }} {{ payload.order }}",
    )

    assert message(world, payload={"order": 7}, locale="pt-BR").text == "Shop 012345 1 sms pt-BR 7"
    assert "It expires in 1 minute." in message(world, "email", locale="pt-BR").text


def test_template_of_a_blueprint_wins_over_ours(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world()
    folder = tmp_path / "otp_auth"
    folder.mkdir()
    (folder / "code.subject.txt").write_text("From a\nblueprint {{ code }}.")
    world.app.register_blueprint(Blueprint("mails", __name__, template_folder=str(tmp_path)))

    assert message(world, "email").subject == "From a blueprint ."


def test_context_processor_that_needs_a_request_does_not_stop_a_background_send(
    make_world: MakeWorld,
) -> None:
    world = make_world()

    @world.app.context_processor
    def fail() -> dict[str, str]:
        raise RuntimeError("there is no request")

    assert "012345" in message(world, "email").html


@pytest.mark.usefixtures("clock")
def test_message_says_the_minutes_that_are_left(make_world: MakeWorld) -> None:
    world = make_world(CODE_TTL=300)
    for passed, expected in ((0, "5 minutes"), (130, "3 minutes"), (280, "1 minute.")):
        assert expected in message(world, passed=passed).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_email_says_when_and_from_where_its_code_was_asked_for(
    make_world: MakeWorld, language: str
) -> None:
    world = make_world()
    for client, shown in (("2001:db8::7", True), (None, False)):
        email = message(world, "email", locale=language, client=client)
        for text in (email.text, email.html):
            assert "2026-01-02 03:04 UTC" in text
            assert ("2001:db8::7" in text) is shown
    assert "203.0.113.7" not in message(world, locale=language, client="203.0.113.7").text


KINDS_OF_CODES = {
    "en": ("sign-in", "confirmation"),
    "sv": ("inloggning", "bekräftelse"),
    "de": ("anmelde", "bestätigung"),
    "fr": ("connexion", "confirmation"),
    "es": ("acceso", "confirm"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_code_for_a_purpose_is_called_a_confirmation_code_and_never_a_sign_in_code(
    make_world: MakeWorld, language: str
) -> None:
    sign_in, confirmation = KINDS_OF_CODES[language]
    world = make_world(APP_NAME="Shop")
    for purpose, named, other in ((None, sign_in, confirmation), ("pay", confirmation, sign_in)):
        for method in ("sms", "email"):
            shown = message(world, method, locale=language, purpose=purpose)
            for text in filter(None, (shown.subject, shown.text, shown.html)):
                assert named in text.lower()
                assert other not in text.lower()


@pytest.mark.parametrize(
    "client",
    ["example.com/login", "<b>you\r\nwin</b>", "203.0.113.7 call 555 0100", "fe80::1%win", ""],
)
def test_client_whose_address_is_none_writes_nothing_into_the_message(
    make_world: MakeWorld, client: str
) -> None:
    email = message(make_world(), "email", client=client)

    assert "from the address" not in email.text.replace("from the address fe80::1.", "")
    assert "win" not in email.text + email.html
    assert "It was asked for on" in email.text


@pytest.mark.parametrize(
    ("client", "address"),
    [("203.0.113.7:4711", "203.0.113.7"), ("[2001:db8::7]:4711", "2001:db8::7")],
)
def test_message_has_the_address_where_a_proxy_forwards_the_port_too(
    make_world: MakeWorld, client: str, address: str
) -> None:
    assert f"from the address {address}." in message(make_world(), "email", client=client).text


@pytest.mark.usefixtures("clock")
def test_templates_are_given_everything_that_is_known_of_a_code(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(APP_NAME="Shop", ORIGIN="https://example.com", CODE_TTL=300)
    names = ["code", "ttl", "app_name", "origin", "language", "payload", "purpose", "asked_at"]
    shown = " | ".join(f"{{{{ {name} }}}}" for name in [*names, "client", "asked_at.tzinfo"])
    override(world, tmp_path, "code.email.html", shown)

    html = message(
        world, "email", {"a": 1}, locale="pt-BR", passed=61, client="203.0.113.7", purpose="pay"
    ).html

    assert html.strip() == (
        "012345 | 239 | Shop | https://example.com | pt-BR | {&#39;a&#39;: 1} | pay | "
        "2026-01-02 03:04:05+00:00 | 203.0.113.7 | UTC"
    )


def test_name_of_the_flask_app_stands_in_for_a_name(make_world: MakeWorld) -> None:
    assert message(make_world()).text.startswith("Your sign-in code for world is 012345.")


def test_message_does_not_show_its_code_in_a_traceback(make_world: MakeWorld) -> None:
    assert "012345" not in repr(message(make_world()))
