"""A login lives on: over tokens that expire, tabs, lost answers and the end of the browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from support.pages import (
    ARGUMENTS,
    CHROMIUM,
    PATIENCE_MS,
    Running,
    Window,
    ask_for_code,
    code_field,
    demo_on_gunicorn,
    expect_signed_in,
    message,
    needs_chromium,
    open_login,
    sign_in,
)

pytestmark = needs_chromium

TOKEN_LIVES = 3  # seconds


@pytest.fixture(scope="module")
def brief_demo(mongo_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The demo with access tokens that expire at once, and cookies for HTTPS or loopback alone."""
    env = {
        "FLASK_OTP_AUTH_IDENTIFIER_LIMITS": "null",
        "FLASK_JWT_ACCESS_TOKEN_EXPIRES": str(TOKEN_LIVES),
        "FLASK_JWT_COOKIE_SECURE": "true",
    }
    with demo_on_gunicorn(mongo_server, tmp_path_factory.mktemp("demo"), **env) as running:
        yield running


def lose_access_token(window: Window) -> None:
    window.context.clear_cookies(name="access_token_cookie")


def codes_asked_for(window: Window) -> int:
    return sum(url.endswith("/otp/initiate") for url in window.requested)


def test_page_that_is_opened_after_the_token_has_expired_comes_up_without_a_question(
    window: Window, brief_demo: Running, address: str
) -> None:
    tab = sign_in(window, brief_demo, address)
    tab.wait_for_timeout((TOKEN_LIVES + 1) * 1000)
    tab.goto(f"{brief_demo.site.url}/me?page=2")
    expect(tab.locator("body")).to_contain_text(address)
    expect(tab).to_have_url(f"{brief_demo.site.url}/me?page=2")
    assert codes_asked_for(window) == 1

    tab = open_login(window, brief_demo, "?next=/me&fresh=1")
    expect(tab.get_by_label("Email address")).to_be_focused()


def test_login_outlives_the_browser(
    browser: Browser, brief_demo: Running, address: str, tmp_path: Path
) -> None:
    def start() -> Window:
        context = browser.browser_type.launch_persistent_context(
            tmp_path / "profile", executable_path=CHROMIUM, args=ARGUMENTS, locale="en-US"
        )
        context.set_default_timeout(PATIENCE_MS)
        return Window(context)

    window = start()
    sign_in(window, brief_demo, address)
    window.context.close()
    window = start()
    tab = window.open(f"{brief_demo.site.url}/me")
    expect(tab.locator("body")).to_contain_text(address)
    window.context.close()


@pytest.mark.slow
class TestRefreshFirst:
    def test_place_that_sends_people_back_at_once_is_no_circle(
        self, window: Window, brief_demo: Running, address: str
    ) -> None:
        tab = sign_in(window, brief_demo, address)
        back = f"{brief_demo.site.url}/otp/login?next=/never"
        tab.route("**/never", lambda route: route.fulfill(status=302, headers={"Location": back}))
        tab.goto(back)
        expect(tab.get_by_label("Email address")).to_be_focused()
        assert sum(url.endswith("/otp/refresh") for url in window.requested) == 1

    def test_login_that_has_ended_is_asked_for_again(
        self, window: Window, brief_demo: Running, address: str
    ) -> None:
        tab = sign_in(window, brief_demo, address)
        cookies = window.context.cookies()
        tab.get_by_role("button", name="Sign out").click()
        expect(tab.get_by_role("link", name="Sign in")).to_be_visible()
        window.context.add_cookies(cookies)
        tab.goto(f"{brief_demo.site.url}/me")
        expect(tab.get_by_label("Email address")).to_be_focused()
        expect(message(tab)).to_be_empty()

    # Under a name over plain HTTP, tabs cannot take turns: there are no Web Locks.
    @pytest.mark.parametrize("host", ["127.0.0.1", "shop.example"])
    def test_two_tabs_that_refresh_at_once_stay_signed_in(
        self, browser: Browser, demo: Running, address: str, host: str
    ) -> None:
        window = Window.of(browser)
        site = f"http://{host}:{demo.site.port}"
        tabs = [window.open(f"{site}/otp/login"), window.open(f"{site}/")]
        ask_for_code(tabs[0], address)
        code_field(tabs[0]).fill(demo.code(address))
        expect_signed_in(tabs[0], address)
        for each in range(3):
            lose_access_token(window)
            url = f"{site}/otp/login?next=/me?{each}"
            for tab in tabs:
                tab.evaluate("url => { setTimeout(() => location.assign(url)) }", url)
            for tab in tabs:
                expect(tab).to_have_url(f"{site}/me?{each}")
                expect(tab.locator("body")).to_contain_text(address)
        assert codes_asked_for(window) == 1
        window.context.close()

    def test_answer_that_is_cut_off_costs_no_login(
        self, window: Window, brief_demo: Running, address: str
    ) -> None:
        tab = sign_in(window, brief_demo, address)
        lose_access_token(window)

        def lose(route: Any) -> None:
            sent = route.request.all_headers()
            headers = {name: sent[name] for name in ("cookie", "x-csrf-token", "origin")}
            assert brief_demo.site.send("POST", "/otp/refresh", headers=headers).status == 200
            route.abort()

        tab.route("**/otp/refresh", lose)
        tab.goto(f"{brief_demo.site.url}/me")
        expect(message(tab)).to_contain_text("We cannot be reached.")
        tab.unroute("**/otp/refresh")
        tab.goto(f"{brief_demo.site.url}/me")
        expect(tab.locator("body")).to_contain_text(address)

    def test_page_that_is_left_during_a_refresh_costs_no_login(
        self, window: Window, brief_demo: Running, address: str
    ) -> None:
        tab = sign_in(window, brief_demo, address)
        tab.evaluate(
            """() => {
                import("/otp/static/otp_auth/client.js").then(({ refresh }) => {
                    refresh();
                    location.assign("/me");
                });
            }"""
        )
        tab.wait_for_url("**/me")
        lose_access_token(window)
        tab.goto(f"{brief_demo.site.url}/me")
        expect(tab.locator("body")).to_contain_text(address)


@pytest.mark.slow
def test_application_below_a_path_leads_back_to_itself(
    window: Window, brief_demo: Running, address: str
) -> None:
    site = f"{brief_demo.site.url}/shop"
    for wanted in ("/me?page=1", "/me", ""):
        tab = window.open(f"{site}{wanted or '/otp/login'}")
        expect(tab).to_have_url(re.compile(re.escape(f"{site}/otp/login")))
        ask_for_code(tab, address)
        code_field(tab).fill(brief_demo.code(address))
        expect(tab).to_have_url(f"{site}{wanted or '/'}")
        window.context.clear_cookies()


@pytest.mark.slow
def test_cookies_that_the_browser_refuses_are_said_instead_of_asking_again(
    browser: Browser, brief_demo: Running, address: str
) -> None:
    window = Window.of(browser)
    tab = window.open(f"http://shop.example:{brief_demo.site.port}/me")
    refused = "Your browser refuses the cookies of this page"
    expect(message(tab)).to_contain_text(refused)
    ask_for_code(tab, address)
    code_field(tab).fill(brief_demo.code(address))
    expect(code_field(tab)).to_be_hidden()
    expect(message(tab)).to_contain_text(refused)
    assert codes_asked_for(window) == 1
    window.context.close()


@pytest.mark.slow
class TestAfterTheLogin:
    def test_logout_in_one_tab_is_one_in_the_other(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tab = sign_in(window, demo, address)
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

    def test_refresh_that_races_with_itself_over_tabs_keeps_the_login(
        self, window: Window, demo: Running, address: str
    ) -> None:
        tabs = [sign_in(window, demo, address), *(window.open(demo.site.url) for _ in "ab")]
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
        tab = sign_in(window, demo, address)
        names = tab.evaluate("document.cookie.split('; ').map((each) => each.split('=')[0]).sort()")
        assert names == ["csrf_access_token", "csrf_refresh_token"]
