"""The login page as people see it: in every language, scheme and width, and without its script."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from support.pages import (
    OpenWindow,
    Running,
    Window,
    ask_for_code,
    code_field,
    demo_on_gunicorn,
    expect_signed_in,
    message,
    needs_chromium,
    open_login,
)

import flask_otp_auth

pytestmark = needs_chromium
STATIC = Path(flask_otp_auth.__file__).parent / "static" / "otp_auth"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, pytest.param(768, marks=pytest.mark.slow), 1280])
def test_page_is_accessible_and_fits(
    open_window: OpenWindow, demo: Running, address: str, scheme: str, width: int
) -> None:
    window = open_window(
        color_scheme=scheme, viewport={"width": width, "height": 700}, bypass_csp=True
    )
    tab = open_login(window, demo)

    def check() -> None:
        found = Axe().run(tab)
        assert found.violations_count == 0, found.generate_report()
        assert tab.evaluate("document.documentElement.scrollWidth") <= width

    expect(tab.get_by_label("Email address")).to_be_focused()
    check()
    ask_for_code(tab, address)
    check()
    code_field(tab).fill(demo.wrong_code(address))
    expect(message(tab)).to_contain_text("tries left")
    check()


LANGUAGES = {
    "sv-SE": ("Logga in", "Skicka kod", "Skriv din kod", "Den gäller i"),
    "de-CH": ("Anmelden", "Code senden", "Code eingeben", "Er gilt"),
    "fr-FR": ("Se connecter", "Envoyer le code", "Saisissez votre code", "Il est valable"),
    "es-MX": ("Iniciar sesión", "Enviar código", "Escribe tu código", "Vale durante"),
    "ja-JP": ("Sign in", "Send code", "Enter your code", "It works for"),
}


@pytest.mark.parametrize(
    "locale",
    [
        # One that the page speaks and one that it does not; tests/http asks for all of them.
        pytest.param(locale, marks=[] if locale in ("de-CH", "ja-JP") else pytest.mark.slow)
        for locale in LANGUAGES
    ],
)
def test_page_speaks_the_language_of_the_browser_and_names_its_steps(
    open_window: OpenWindow, demo: Running, address: str, locale: str
) -> None:
    title, send, second, works = LANGUAGES[locale]
    tab = open_login(open_window(locale=locale, viewport={"width": 320, "height": 600}), demo)
    expect(tab.get_by_role("heading")).to_have_text(title)
    expect(tab).to_have_title(f"{title} · Example")
    tab.locator("#otp-identifier").fill(address)
    tab.get_by_role("button", name=send).click()
    expect(tab.get_by_role("heading")).to_have_text(second)
    expect(tab).to_have_title(f"{second} · Example")
    expect(tab.locator("#otp-sent")).to_contain_text("6")
    expect(tab.locator("#otp-sent strong")).to_have_text(address)
    expect(tab.locator("#otp-left")).to_have_text(re.compile(rf"{works} 4:5\d"))
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320


def test_page_itself_refuses_another_site_whatever_the_server_says(
    window: Window, demo: Running, address: str
) -> None:
    tab = window.context.new_page()

    def poison(route: Any) -> None:
        body = route.fetch().text()
        route.fulfill(
            body=body.replace("&#34;next&#34;:&#34;/", "&#34;next&#34;:&#34;//evil.example/"),
            content_type="text/html",
        )

    tab.route("**/otp/login", poison)
    tab.goto(f"{demo.site.url}/otp/login")
    ask_for_code(tab, address)
    code_field(tab).fill(demo.code(address))
    expect(tab).to_have_url(f"{demo.site.url}/")


@pytest.mark.slow
def test_arabic_reads_from_the_right_and_codes_and_numbers_from_the_left(
    open_window: OpenWindow, mongo_server: str, tmp_path: Path
) -> None:
    words = {
        "title": "تسجيل الدخول",
        "enter_title": "أدخل الرمز",
        "sms": "رقم الهاتف",
        "code": "الرمز",
    }
    env = {
        "FLASK_OTP_AUTH_TEXTS": json.dumps({"ar": words}),
        "FLASK_OTP_AUTH_METHODS": '["sms"]',
    }
    with demo_on_gunicorn(mongo_server, tmp_path, **env) as arabic:
        tab = open_login(open_window(locale="ar-EG"), arabic)
        expect(tab.get_by_role("heading")).to_have_text(words["title"])
        expect(tab.get_by_text("With + and the country code")).to_be_visible()
        tab.get_by_label(words["sms"]).fill("+46701234567")
        tab.keyboard.press("Enter")
        field = tab.get_by_label(words["code"], exact=True)
        expect(field).to_be_focused()
        directions = [
            tab.locator(each).evaluate("element => getComputedStyle(element).direction")
            for each in ("html", "h1", "#otp-code", "#otp-sent strong")
        ]
        assert directions == ["rtl", "rtl", "ltr", "ltr"]
        expect(tab.get_by_role("button", name="Change number")).to_be_visible()
        field.fill(arabic.code("+46701234567"))
        expect(tab.get_by_role("heading")).to_have_text("You are signed in")


def test_choice_of_a_method_moves_nothing_on_a_narrow_screen(
    open_window: OpenWindow, demo: Running
) -> None:
    tab = open_login(open_window(viewport={"width": 360, "height": 640}), demo)
    choice = tab.get_by_role("group")
    before = choice.bounding_box()
    tab.get_by_role("radio", name="Text message").check()
    assert choice.bounding_box() == before


def test_colours_and_style_of_an_application_break_neither_it_nor_the_page(
    open_window: OpenWindow, demo: Running
) -> None:
    """The variables as the docs say, and a base template with its own ``body``, ``h1``, ``p``."""
    ours = ":root { --otp-accent: #b00020; --otp-paper: #fffbe6; --otp-text: #111 }"
    look = """() => ["body", "h1", "p", "button"].map((name) => {
        const { color, margin, font, background } = getComputedStyle(document.querySelector(name));
        return [color, margin, font, background].join();
    })"""
    page = "<body><h1>Host</h1><p>Its text</p><button>Its button</button></body>"
    for scheme in ("light", "dark"):
        window = open_window(color_scheme=scheme, bypass_csp=True)
        tab = open_login(window, demo)
        tab.add_style_tag(content=ours)
        expect(tab.get_by_label("Email address")).to_be_focused()
        found = Axe().run(tab)
        assert found.violations_count == 0, found.generate_report()

        tab = window.context.new_page()
        tab.goto("about:blank")
        tab.set_content(page)
        bare = tab.evaluate(look)
        tab.add_style_tag(content=(STATIC / "login.css").read_text())
        assert tab.evaluate(look) == bare


def test_person_without_javascript_signs_in(
    open_window: OpenWindow, demo: Running, address: str
) -> None:
    tab = open_login(open_window(java_script_enabled=False), demo)
    tab.get_by_label("Email address").fill(address)
    tab.get_by_role("button", name="Send code").click()
    expect(tab.get_by_role("heading")).to_have_text("Enter your code")
    code_field(tab).fill(demo.wrong_code(address))
    tab.get_by_role("button", name="Sign in").click()
    expect(message(tab)).to_contain_text("2 tries left")
    code_field(tab).fill(demo.code(address))
    tab.get_by_role("button", name="Sign in").click()
    expect_signed_in(tab, address)


@pytest.mark.slow
def test_person_whose_script_comes_late_signs_in(
    window: Window, demo: Running, address: str
) -> None:
    tab = window.context.new_page()
    animations = window.context.new_cdp_session(tab)
    animations.send("Animation.enable")
    animations.send("Animation.setPlaybackRate", {"playbackRate": 50})  # 3 s are a long wait
    tab.route("**/login.js", lambda route: route.abort())
    tab.goto(f"{demo.site.url}/otp/login")
    tab.unroute("**/login.js")
    tab.get_by_label("Email address").fill(address)
    tab.get_by_role("button", name="Send code").click()
    expect(tab.get_by_role("heading")).to_have_text("Enter your code")
    expect(tab.locator("[data-otp-early]")).to_have_count(0)
    code_field(tab).fill(demo.code(address))
    tab.get_by_role("button", name="Sign in").click()
    expect_signed_in(tab, address)
