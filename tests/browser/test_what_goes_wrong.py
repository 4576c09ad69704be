"""What the login page says and does where something goes wrong."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError as PageTimeout
from playwright.sync_api import expect
from support.pages import (
    Running,
    Window,
    ask_for_code,
    code_field,
    demo_on_gunicorn,
    expect_signed_in,
    message,
    needs_chromium,
    open_login,
    try_code,
)

from flask_otp_auth.testing.mongod import LocalMongod

pytestmark = needs_chromium


@pytest.mark.slow
class TestWhatGoesWrong:
    def test_wrong_codes_count_down_and_lock_and_a_new_code_helps(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        for number, left in enumerate(("You have 2 tries left.", "You have 1 try left.")):
            try_code(tab, demo.wrong_code(address, 1 + number))
            expect(message(tab)).to_have_text(f"That code is wrong. {left}")
            expect(code_field(tab)).to_have_attribute("aria-invalid", "true")
        try_code(tab, demo.wrong_code(address, 3))
        expect(message(tab)).to_have_text("That was one wrong code too many. Get a new code.")
        expect(tab.get_by_role("button", name="Send another code")).to_be_hidden()

        tab.get_by_role("button", name="Get a new code").click()
        expect(code_field(tab)).to_be_visible()
        code_field(tab).fill(demo.code(address))
        expect_signed_in(tab, address)

    def test_person_whose_account_has_to_wait_is_told_for_how_long(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        for session in range(2):
            for number in range(3):
                try_code(tab, demo.wrong_code(address, 1 + number))
            expect(message(tab)).to_have_text("That was one wrong code too many. Get a new code.")
            tab.get_by_role("button", name="Get a new code").click()
            if session == 0:
                expect(code_field(tab)).to_be_visible()
        expect(message(tab)).to_have_text(
            re.compile(r"There were several wrong codes. .+ try again in (30|29) seconds.")
        )
        waiting = tab.get_by_role("button", name=re.compile(r"Get a new code \(0:(30|2\d)\)"))
        expect(waiting).to_have_attribute("aria-disabled", "true")

    def test_expired_code_is_told_by_the_server_and_by_the_clock_of_the_page(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        demo.database.otp_sessions.update_many(
            {"identifier": address}, {"$set": {"expiresAt": datetime(2020, 1, 1, tzinfo=UTC)}}
        )
        code_field(tab).fill(demo.code(address))
        expect(message(tab)).to_have_text("The code has expired. Get a new code.")

        tab.clock.install()
        tab.get_by_role("button", name="Get a new code").click()
        expect(code_field(tab)).to_be_visible()
        expect(message(tab)).to_be_empty()
        tab.clock.fast_forward(301_000)
        expect(message(tab)).to_have_text("The code has expired. Get a new code.")
        expect(tab.get_by_role("button", name="Get a new code")).to_be_focused()

    def test_mistyped_address_is_told_and_stays_to_be_mended(
        self, window: Window, demo: Running
    ) -> None:
        tab = open_login(window, demo)
        tab.get_by_role("button", name="Send code").click()
        expect(message(tab)).to_have_text("Enter where we should send the code.")
        field = tab.get_by_label("Email address")
        field.fill("reader@example")
        field.press("Enter")
        expect(message(tab)).to_have_text("This is not an email address that we can send to.")
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_focused()
        tab.get_by_role("radio", name="Text message").check()
        tab.get_by_role("button", name="Send code").click()
        expect(message(tab)).to_have_text("This is not a phone number that we can send to.")

    @pytest.mark.parametrize("path", ["initiate", "verify", "resend"])
    def test_person_without_a_connection_is_told_and_goes_on_with_one(
        self, window: Window, demo: Running, address: str, path: str
    ) -> None:
        tab = open_login(window, demo)
        tab.route(f"**/otp/{path}", lambda route: route.abort())
        act = {
            "initiate": lambda: tab.get_by_role("button", name="Send code").click(),
            "verify": lambda: tab.get_by_role("button", name="Sign in").click(),
            "resend": lambda: tab.get_by_role("button", name="Send another code").click(),
        }[path]
        tab.get_by_label("Email address").fill(address)
        tab.get_by_role("button", name="Send code").click()
        if path != "initiate":
            expect(code_field(tab)).to_be_focused()
            code_field(tab).fill(demo.wrong_code(address))
            act()
        offline = "We cannot be reached. Check your connection and try again."
        expect(message(tab)).to_have_text(offline)
        tab.unroute(f"**/otp/{path}")
        act()
        expect(message(tab)).not_to_have_text(offline)
        code_field(tab).fill(demo.code(address))
        expect_signed_in(tab, address)

    def test_database_that_goes_away_in_the_middle_costs_no_login(
        self, window: Window, tmp_path: Path, address: str
    ) -> None:
        env = {
            "FLASK_OTP_AUTH_DB_TIMEOUT": "1",
            "FLASK_OTP_AUTH_IDENTIFIER_LIMITS": "null",
        }
        with (
            LocalMongod(tmp_path / "db") as mongod,
            demo_on_gunicorn(mongod.uri("otp"), tmp_path, **env) as running,
        ):
            tab = open_login(window, running)
            ask_for_code(tab, address)
            mongod.stop()
            code_field(tab).fill(running.code(address))
            expect(message(tab)).to_have_text(
                "We cannot sign you in right now. Try again in 5 seconds."
            )
            mongod.start()
            button = tab.get_by_role("button", name="Sign in")
            signed_in = tab.get_by_role("heading", name="You are signed in")
            for _ in range(60):
                # The page may leave between the look and the click.
                with contextlib.suppress(PageTimeout):
                    if button.is_visible():
                        button.click(timeout=1000)
                tab.wait_for_timeout(500)
                if signed_in.is_visible():
                    break
            expect_signed_in(tab, address)

    def test_code_that_another_tab_has_used_is_no_riddle(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        stored = tab.evaluate("JSON.parse(localStorage.getItem('flask-otp-auth login /otp'))")
        code = demo.code(address)
        assert code not in str(stored)
        demo.site.verify(stored["sessionId"], code)
        code_field(tab).fill(code)
        expect(message(tab)).to_have_text("This code has been used. Get a new code.")
