"""People sign in on the login page of the demo, in a real browser, on gunicorn and MongoDB."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import expect
from support.pages import (
    Running,
    Window,
    ask_for_code,
    code_field,
    expect_signed_in,
    message,
    needs_chromium,
    open_login,
    paste,
)

pytestmark = needs_chromium


#: What people paste, and the code in it; or None if the page must not guess.
PASTED = {
    "123456": "123456",
    "123 457": "123457",
    "123\u00a0458": "123458",
    "12-34-59": "123459",
    "\u2068123460\u2069\n": "123460",
    "12\u200b3461\t": "123461",
    "123\u2013462": "123462",
    "\u0661\u0662\u0663\u0664\u0666\u0663": "123463",
    "\uff11\uff12\uff13\uff14\uff16\uff14": "123464",
    "Your code for Example is 123465.\nIt expires in 5 minutes.\n\n@example.com #123465": "123465",
    "Your code: 123 466": "123466",
    "On 2026-01-02 at 10:31 from 203.0.113.7: 123467": "123467",
    "12": None,
    "12345": None,
    "1234567": None,
    "123456 or 654321": None,
    "the code": None,
}


def test_page_takes_the_code_from_whatever_is_pasted_and_tries_nothing_else(
    window: Window, demo: Running, address: str
) -> None:
    tab = open_login(window, demo)
    ask_for_code(tab, address)
    tried: list[str] = []

    def refuse(route: Any) -> None:
        tried.append(json.loads(route.request.post_data)["code"])
        data = {"status": "invalid_code", "message": "", "remainingAttempts": 2}
        route.fulfill(status=401, json={"data": data})

    tab.route("**/otp/verify", refuse)
    for text, code in PASTED.items():
        tried.clear()
        code_field(tab).fill("")
        paste(tab, text)
        if code is None:
            code_field(tab).press("Enter")
            expect(message(tab)).to_have_text("The code has 6 digits.")
            assert tried == [], text
        else:
            expect(message(tab)).to_contain_text("2 tries left")
            expect(tab.locator("[aria-busy]")).to_have_count(0)
            assert tried == [code], text
    tab.unroute("**/otp/verify")
    code_field(tab).fill(demo.code(address))
    expect_signed_in(tab, address)


def verifications(window: Window) -> int:
    return sum(url.endswith("/otp/verify") for url in window.requested)


class TestSigningIn:
    def test_person_signs_in_by_email_when_the_last_digit_is_typed(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = window.open(demo.site.url)
        tab.get_by_role("link", name="Sign in").click()
        ask_for_code(tab, f" {address.upper()} ")
        expect(tab.locator("#otp-sent")).to_contain_text(address.upper())
        code_field(tab).press_sequentially(demo.code(address))
        expect_signed_in(tab, address)
        assert verifications(window) == 1

    def test_person_signs_in_by_sms_with_a_pasted_code(self, window: Window, demo: Running) -> None:
        tab = open_login(window, demo)
        tab.get_by_role("radio", name="Text message").check()
        field = tab.get_by_label("Phone number")
        assert field.get_attribute("autocomplete") == "tel"
        assert field.get_attribute("inputmode") == "tel"
        field.fill("+46 (0)70-123 45 67")
        field.press("Enter")
        expect(code_field(tab)).to_be_focused()
        code = demo.code("+46701234567")
        paste(tab, f"{code[:3]} {code[3:]}")
        expect_signed_in(tab, "+46701234567")

    def test_keyboard_is_enough(self, window: Window, demo: Running, address: str) -> None:
        tab = open_login(window, demo)
        keys = tab.keyboard
        expect(tab.get_by_label("Email address")).to_be_focused()
        keys.press("Shift+Tab")
        keys.press("ArrowRight")
        expect(tab.get_by_label("Phone number")).to_be_visible()
        keys.press("ArrowLeft")
        keys.press("Tab")
        keys.type(address)
        keys.press("Enter")
        expect(code_field(tab)).to_be_focused()
        keys.type(demo.wrong_code(address))
        expect(message(tab)).to_contain_text("2 tries left")
        keys.type(demo.code(address))  # the wrong one is selected
        expect_signed_in(tab, address)
        expect(tab.get_by_role("button", name="Sign out")).to_be_enabled()
        keys.press("Tab")
        keys.press("Enter")
        expect(tab.get_by_role("link", name="Sign in")).to_be_visible()

    def test_browser_offers_the_code_of_a_message_and_takes_it(
        self, window: Window, demo: Running
    ) -> None:
        window.context.add_init_script("""
            window.OTPCredential = class {};
            const get = ({ otp }) => new Promise((resolve) => {
                window.offer = (code) => resolve({ code });
                window.asked = otp.transport;
            });
            if (navigator.credentials) navigator.credentials.get = get;
        """)
        tab = open_login(window, demo)
        tab.get_by_role("radio", name="Text message").check()
        tab.get_by_label("Phone number").fill("+46701234568")
        tab.get_by_role("button", name="Send code").click()
        expect(code_field(tab)).to_be_focused()
        assert code_field(tab).get_attribute("autocomplete") == "one-time-code"
        assert code_field(tab).get_attribute("inputmode") == "numeric"
        assert tab.evaluate("asked") == ["sms"]
        tab.evaluate("code => offer(code)", demo.code("+46701234568"))
        expect_signed_in(tab, "+46701234568")

    def test_nobody_is_asked_from_another_place(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        code_field(tab).fill(demo.code(address))
        expect_signed_in(tab, address)
        assert all(url.startswith((demo.site.url, "data:,")) for url in window.requested)

    def test_double_click_asks_for_one_code_and_uses_one_try(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        tab.get_by_label("Email address").fill(address)
        # In one turn of the page: the second of two real clicks may come after the first answer.
        send = tab.get_by_role("button", name="Send code")
        send.evaluate("button => { button.click(); button.click(); }")
        expect(code_field(tab)).to_be_visible()
        assert len(demo.codes(address)) == 1
        code_field(tab).evaluate(
            """(field, code) => {
                field.value = code;
                const button = field.form.querySelector("button");
                button.click();
                button.click();
            }""",
            demo.wrong_code(address),
        )
        expect(message(tab)).to_contain_text("2 tries left")
        assert verifications(window) == 1
        code_field(tab).fill(demo.code(address))
        expect_signed_in(tab, address)
