"""People sign in on the login page of the demo, in a real browser, on gunicorn and MongoDB."""

from __future__ import annotations

import contextlib
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as PageTimeout
from support.pages import CHROMIUM, PATIENCE_MS, Running, Window, chromium, demo_on_gunicorn

from flask_otp_auth.testing.mongod import LocalMongod

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or sys.platform == "win32",
        reason="needs chromium (apt-get install chromium) and gunicorn",
    ),
]
expect.set_options(timeout=PATIENCE_MS)

OpenWindow = Callable[..., Window]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def demo(mongo_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The demo without limits on sends, which the tests would share."""
    folder = tmp_path_factory.mktemp("demo")
    with demo_on_gunicorn(mongo_server, folder, FLASK_OTP_AUTH_IDENTIFIER_LIMITS="null") as running:
        yield running


@pytest.fixture(scope="module")
def slow_demo(mongo_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The demo with one code in six seconds."""
    folder = tmp_path_factory.mktemp("demo")
    limits = {"FLASK_OTP_AUTH_IDENTIFIER_LIMITS": '"1 per 6 seconds"'}
    with demo_on_gunicorn(mongo_server, folder, **limits) as running:
        yield running


@pytest.fixture
def open_window(browser: Browser) -> Iterator[OpenWindow]:
    """Open windows; in none may the console have anything against the page itself."""
    windows: list[Window] = []

    def open_one(**options: Any) -> Window:
        windows.append(Window.of(browser, **options))
        return windows[-1]

    yield open_one
    for window in windows:
        window.context.close()
    assert [window.complaints for window in windows] == [[] for _ in windows]


@pytest.fixture
def window(open_window: OpenWindow) -> Window:
    return open_window()


@pytest.fixture
def address() -> str:
    """An address that no other test uses."""
    return f"{uuid.uuid4().hex[:12]}@example.com"


def open_login(window: Window, demo: Running, query: str = "") -> Page:
    return window.open(f"{demo.site.url}/otp/login{query}")


def ask_for_code(tab: Page, identifier: str) -> None:
    tab.get_by_label("Email address").fill(identifier)
    tab.get_by_role("button", name="Send code").click()
    expect(tab.get_by_label("Code", exact=True)).to_be_focused()


def code_field(tab: Page) -> Any:
    return tab.get_by_label("Code", exact=True)


def try_code(tab: Page, code: str) -> None:
    """Enter a code, not the one that was tried last, and wait for the answer."""
    with tab.expect_response("**/otp/verify"):
        code_field(tab).fill(code)
    expect(tab.locator("[aria-busy]")).to_have_count(0)


def message(tab: Page) -> Any:
    return tab.get_by_role("alert")


def expect_signed_in(tab: Page, identifier: str) -> None:
    expect(tab.get_by_role("heading")).to_have_text("You are signed in")
    expect(tab.locator("#identifier")).to_have_text(identifier)


def verifications(window: Window) -> int:
    return sum(url.endswith("/otp/verify") for url in window.requested)


class TestSigningIn:
    def test_person_signs_in_by_email_when_the_last_digit_is_typed(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = window.open(demo.site.url)
        tab.get_by_role("link", name="Sign in").click()
        ask_for_code(tab, f" {address.upper()} ")
        expect(tab.locator("#otp-sent")).to_contain_text("It works for")
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
        tab.evaluate(
            """text => { const data = new DataTransfer(); data.setData("text/plain", text);
            document.execCommand("insertText", false, text); }""",
            f"{code[:3]} {code[3:]}",
        )
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
        tab.get_by_role("button", name="Send code").dblclick(force=True)
        expect(code_field(tab)).to_be_focused()
        assert len(demo.codes(address)) == 1
        code_field(tab).press_sequentially("1")
        tab.get_by_role("button", name="Sign in").dblclick()
        expect(message(tab)).to_contain_text("tries left")
        tab.wait_for_timeout(200)
        assert verifications(window) <= 2
        code_field(tab).fill(demo.code(address))
        expect_signed_in(tab, address)


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
            code_field(tab).fill("1")
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
        tabs = [open_login(window, demo) for _ in range(2)]
        for tab in tabs:
            ask_for_code(tab, address)
        first, second = demo.codes(address)
        code_field(tabs[1]).fill(second)
        expect_signed_in(tabs[1], address)
        code_field(tabs[0]).fill(first)  # each tab has a session of its own
        expect_signed_in(tabs[0], address)

        tab = open_login(window, demo)
        ask_for_code(tab, address)
        stored = tab.evaluate("JSON.parse(sessionStorage.getItem('flask-otp-auth login'))")
        code = demo.code(address)
        demo.site.verify(stored["sessionId"], code)
        code_field(tab).fill(code)
        expect(message(tab)).to_have_text("This code has been used. Get a new code.")


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
        expect(message(tab)).to_have_text("You can ask for another code now.")
        tab.get_by_role("button", name="Send another code", exact=True).click()
        expect(message(tab)).to_have_text("Another code is on its way. The one before still works.")
        expect(held).to_be_visible()
        code_field(tab).fill(slow_demo.codes(address)[0])
        expect_signed_in(tab, address)

    def test_person_who_asks_too_often_is_told_the_wait_of_the_server(
        self, window: Window, slow_demo: Running, address: str
    ) -> None:
        tab = open_login(window, slow_demo)
        ask_for_code(tab, address)
        tab.get_by_role("button", name="Change email or number").click()
        expect(tab.get_by_label("Email address")).to_have_value(address)
        tab.get_by_role("button", name="Send code").click()
        expect(message(tab)).to_have_text(
            re.compile(r"Too many codes have been asked for. Try again in [1-6] seconds?.")
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
        code_field(tab).fill(demo.codes(address)[0])
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

    def test_reload_in_the_second_step_loses_nothing(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        tab.reload()
        expect(code_field(tab)).to_be_focused()
        expect(tab.locator("#otp-sent")).to_contain_text(address)
        code_field(tab).fill(demo.code(address))
        expect_signed_in(tab, address)
        assert tab.evaluate("sessionStorage.length") == 0

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
        ],
    )
    def test_success_leads_to_a_page_of_this_site_alone(
        self, window: Window, demo: Running, address: str, next_: str, led_to: str
    ) -> None:
        tab = open_login(window, demo, f"?next={next_}")
        ask_for_code(tab, address)
        code_field(tab).fill(demo.code(address))
        expect(tab).to_have_url(demo.site.url + led_to)


@pytest.mark.slow
class TestAfterTheLogin:
    def sign_in(self, window: Window, demo: Running, address: str) -> Page:
        tab = open_login(window, demo)
        ask_for_code(tab, address)
        code_field(tab).fill(demo.code(address))
        expect_signed_in(tab, address)
        return tab

    def test_logout_in_one_tab_is_one_in_the_other(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = self.sign_in(window, demo, address)
        other = window.open(demo.site.url)
        cookies = window.context.cookies()
        tab.get_by_role("button", name="Sign out").click()
        expect(tab.get_by_role("link", name="Sign in")).to_be_visible()
        assert [c["name"] for c in window.context.cookies() if "token" in c["name"]] == []
        other.get_by_role("button", name="Sign out").click()
        expect(other.get_by_role("link", name="Sign in")).to_be_visible()
        window.context.add_cookies(cookies)  # as a thief has them
        other.goto(demo.site.url)
        expect(other.get_by_role("link", name="Sign in")).to_be_visible()

    def test_person_whose_access_token_has_expired_stays_signed_in(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = self.sign_in(window, demo, address)
        window.context.clear_cookies(name="access_token_cookie")
        tab.goto(demo.site.url)
        expect_signed_in(tab, address)
        expect(tab.get_by_text("the token has been refreshed")).to_be_visible()

    def test_refresh_that_races_with_itself_over_tabs_keeps_the_login(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tabs = [self.sign_in(window, demo, address), *(window.open(demo.site.url) for _ in "ab")]
        start = """async () => {
            const { refresh } = await import("/otp/static/otp_auth/client.js");
            const results = await Promise.all([refresh(), refresh(), refresh()]);
            return results.map(({status, ...tokens}) => [status, Object.keys(tokens).length]);
        }"""
        for tab in tabs:
            tab.evaluate(f"() => {{ window.done = ({start})(); }}")
        for tab in tabs:
            assert tab.evaluate("done") == [["success", 0]] * 3
        tabs[0].reload()
        expect_signed_in(tabs[0], address)

    def test_no_script_reads_a_token(self, window: Window, demo: Running, address: str) -> None:
        tab = self.sign_in(window, demo, address)
        names = tab.evaluate("document.cookie.split('; ').map((each) => each.split('=')[0]).sort()")
        assert names == ["csrf_access_token", "csrf_refresh_token"]


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
    "sv-SE": ("Logga in", "Skicka kod", "Den gäller i 5 minuter."),
    "de-CH": ("Anmelden", "Code senden", "Er gilt 5 Minuten lang."),
    "fr-FR": ("Se connecter", "Envoyer le code", "Il est valable 5 minutes."),
    "es-MX": ("Iniciar sesión", "Enviar código", "Vale durante 5 minutos."),
    "ja-JP": ("Sign in", "Send code", "It works for 5 minutes."),
}


@pytest.mark.parametrize(
    "locale",
    [
        # One that the page speaks and one that it does not; tests/login asks for all of them.
        pytest.param(locale, marks=[] if locale in ("de-CH", "ja-JP") else pytest.mark.slow)
        for locale in LANGUAGES
    ],
)
def test_page_speaks_the_language_of_the_browser(
    open_window: OpenWindow, demo: Running, address: str, locale: str
) -> None:
    title, send, time = LANGUAGES[locale]
    tab = open_login(open_window(locale=locale, viewport={"width": 320, "height": 600}), demo)
    expect(tab.get_by_role("heading")).to_have_text(title)
    tab.locator("#otp-identifier").fill(address)
    tab.get_by_role("button", name=send).click()
    expect(tab.locator("#otp-sent")).to_contain_text(time)
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


def test_person_without_javascript_is_told_so(open_window: OpenWindow, demo: Running) -> None:
    tab = open_login(open_window(java_script_enabled=False), demo)
    expect(tab.get_by_text("This page needs JavaScript.")).to_be_visible()
    expect(tab.locator("form").first).to_be_hidden()


def test_person_whose_script_does_not_arrive_is_told_so(window: Window, demo: Running) -> None:
    tab = window.context.new_page()
    animations = window.context.new_cdp_session(tab)
    animations.send("Animation.enable")
    animations.send("Animation.setPlaybackRate", {"playbackRate": 50})  # 5 s are a long wait
    tab.route("**/login.js", lambda route: route.abort())
    tab.goto(f"{demo.site.url}/otp/login")
    expect(tab.get_by_text("This page needs JavaScript.")).to_be_visible()
