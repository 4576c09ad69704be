"""A login that has begun: other codes, other tabs, and the way back and forth."""

from __future__ import annotations

import re

import pytest
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
    sign_in,
    try_code,
)

pytestmark = needs_chromium


@pytest.mark.slow
class TestSendingAgain:
    def test_another_code_is_counted_down_to_and_both_work(
        self, window: Window, slow_demo: Running, address: str
    ) -> None:
        tab = open_login(window, slow_demo)
        ask_for_code(tab, address)
        held = tab.get_by_role("button", name=re.compile(r"Send another code \(0:0[1-6]\)"))
        expect(held).to_have_attribute("aria-disabled", "true")
        expect(held).to_be_enabled(enabled=False)
        tab.get_by_role("button", name="Send another code", exact=True).click()
        expect(message(tab)).to_have_text("Another code is on its way. The one before still works.")
        expect(held).to_be_visible()
        code_field(tab).fill(slow_demo.codes(address)[0])
        expect_signed_in(tab, address)

    def test_asking_again_too_soon_leads_to_the_code_that_was_sent_before(
        self, window: Window, slow_demo: Running, address: str
    ) -> None:
        tab = open_login(window, slow_demo)
        ask_for_code(tab, address)
        tab.get_by_role("button", name="Change email or number").click()
        expect(tab.get_by_label("Email address")).to_have_value(address)
        tab.get_by_label("Email address").fill(f" {address.upper()}")
        tab.get_by_role("button", name="Send code").click()
        expect(message(tab)).to_have_text("The code that we sent before still works.")
        code_field(tab).fill(slow_demo.code(address))
        expect_signed_in(tab, address)
        assert len(slow_demo.codes(address)) == 1

    def test_person_who_asks_too_often_elsewhere_is_told_the_wait_of_the_server(
        self, window: Window, slow_demo: Running, address: str
    ) -> None:
        slow_demo.site.initiate(address, "email")
        tab = open_login(window, slow_demo)
        tab.get_by_label("Email address").fill(address)
        tab.get_by_role("button", name="Send code").click()
        expect(message(tab)).to_have_text(
            re.compile(r"That was many codes in a short time. Try again in [1-6] seconds?.")
        )
        held = tab.get_by_role("button", name=re.compile(r"Send code \(0:0[1-6]\)"))
        expect(held).to_have_attribute("aria-disabled", "true")
        tab.get_by_role("button", name="Send code", exact=True).click()
        expect(code_field(tab)).to_be_focused()

    def test_last_code_of_a_session_is_told_to_be_the_last(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        again = tab.get_by_role("button", name="Send another code")
        for number in (2, 3):
            with tab.expect_response("**/otp/resend"):
                again.click()
            expect(message(tab)).to_contain_text("Another code is on its way.")
            assert len(demo.codes(address)) == number
        expect(again).to_be_hidden()
        tab.get_by_role("button", name="Change email or number").click()
        tab.get_by_role("button", name="Send code").click()
        expect(message(tab)).to_have_text("The code that we sent before still works.")
        assert len(demo.codes(address)) == 3
        code_field(tab).fill(demo.codes(address)[0])
        expect_signed_in(tab, address)

    def test_asking_again_for_the_same_address_keeps_the_code_in_the_inbox(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        tab.go_back()
        ask_for_code(tab, address)
        expect(message(tab)).to_contain_text("The one before still works.")
        first, _second = demo.codes(address)
        code_field(tab).fill(first)
        expect_signed_in(tab, address)


@pytest.mark.slow
class TestMovingAbout:
    def test_back_leads_to_the_first_step_and_forward_to_the_second(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        tab.go_back()
        expect(tab.get_by_label("Email address")).to_have_value(address)
        expect(code_field(tab)).to_be_hidden()
        tab.go_forward()
        code_field(tab).fill(demo.code(address))
        expect_signed_in(tab, address)

    @pytest.mark.parametrize("way", ["reload", "another tab", "closed tab"])
    def test_login_that_has_begun_is_still_there(
        self, window: Window, demo: Running, address: str, way: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        if way == "reload":
            tab.reload()
        else:
            other = open_login(window, demo, "?next=/%3Fagain")
            if way == "closed tab":
                tab.close()
            tab = other
        expect(code_field(tab)).to_be_focused()
        expect(tab.locator("#otp-sent")).to_contain_text(address)
        code_field(tab).fill(demo.code(address))
        expect_signed_in(tab, address)
        assert tab.evaluate("localStorage.length") == 0  # it has been used

    def test_login_that_has_begun_ends_with_its_tries_its_time_and_a_logout(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        for number in (1, 2, 3):
            try_code(tab, demo.wrong_code(address, number))
        tab.reload()
        expect(tab.get_by_label("Email address")).to_be_focused()

        ask_for_code(tab, address)
        tab.clock.install()
        tab.clock.fast_forward(301_000)
        tab.reload()
        expect(tab.get_by_label("Email address")).to_be_focused()

        other = sign_in(window, demo, f"other.{address}")
        tab = window.open(f"{demo.site.url}/otp/login?fresh=1")
        ask_for_code(tab, address)
        other.get_by_role("button", name="Sign out").click()
        expect(other.get_by_role("link", name="Sign in")).to_be_visible()
        tab.reload()
        expect(tab.get_by_label("Email address")).to_be_focused()

    def test_link_for_somebody_else_asks_for_them(
        self, window: Window, demo: Running, address: str
    ) -> None:
        ask_for_code(open_login(window, demo), address)
        tab = open_login(window, demo, f"?login_hint=other.{address}")
        expect(tab.get_by_label("Email address")).to_have_value(f"other.{address}")
        tab = open_login(window, demo, "?login_hint=%2B46701234567")
        expect(tab.get_by_label("Phone number")).to_have_value("+46701234567")

    @pytest.mark.parametrize(
        ("next_", "led_to"),
        [
            ("/?page=1%23top", "/?page=1#top"),
            ("//evil.example", "/"),
            ("/%5Cevil.example", "/"),
            ("/%09/evil.example", "/"),
            ("https:evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("/otp/login?next=/", "/"),
            ("/otp/./login", "/"),
            ("/otp/login%23x", "/"),
        ],
    )
    def test_success_leads_to_a_page_of_this_site_alone(
        self, window: Window, demo: Running, address: str, next_: str, led_to: str
    ) -> None:
        tab = open_login(window, demo, f"?next={next_}")
        ask_for_code(tab, address)
        code_field(tab).fill(demo.code(address))
        expect(tab).to_have_url(demo.site.url + led_to)
