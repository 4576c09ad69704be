"""The React example as it is built, in a real browser, against its API on another origin."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import time_machine
from axe_playwright_python.sync_playwright import Axe
from npm import copy_example, install, needs_node, npm, token_api
from playwright.sync_api import Browser, Page, expect
from pymongo import MongoClient
from support.pages import CHROMIUM, PATIENCE_MS, Window, chromium
from support.servers import HOST, PATIENCE, Answer, Site

from flask_otp_auth.testing.pytest_plugin import with_database

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs_node,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]
expect.set_options(timeout=PATIENCE_MS)


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def built(
    mongo_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, Site]]:
    """The API, and the page on an origin of its own."""
    folder = tmp_path_factory.mktemp("react")
    page = ThreadingHTTPServer((HOST, 0), partial(_Files, directory=folder / "examples/react/dist"))
    site = Site(page.server_port)
    uri = with_database(mongo_server, f"otp_react_{uuid.uuid4().hex[:12]}")
    with token_api(uri, folder / "instance", FRONTEND_ORIGINS=[site.url]) as api:
        example = copy_example("react", folder)
        install(example)
        npm(example, "run", "build", VITE_API_URL=api.url)
        thread = threading.Thread(target=page.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield api, site
        page.shutdown()
        thread.join(PATIENCE)
        page.server_close()
    with MongoClient(uri) as client:
        client.drop_database(client.get_default_database().name)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def window(browser: Browser) -> Iterator[Window]:
    window = Window.of(browser)
    yield window
    window.context.close()
    assert window.complaints == []


@pytest.fixture
def page(window: Window, built: tuple[Site, Site]) -> Page:
    return window.open(built[1].url)


@pytest.fixture
def last_code(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Take the code that the API has printed to its terminal."""
    return lambda: re.findall(r"Code: (\d+)", capsys.readouterr().err)[-1]


def ask_for_code(page: Page, identifier: str) -> None:
    page.get_by_label("Email address").fill(identifier)
    page.get_by_role("button", name="Send the code").click()
    expect(page.get_by_role("heading", name="Enter your code")).to_be_visible()


def enter(page: Page, code: str) -> None:
    page.get_by_label("Code", exact=True).fill(code)
    page.get_by_role("button", name="Sign in").click()


def sign_in(page: Page, identifier: str, last_code: Callable[[], str]) -> None:
    ask_for_code(page, identifier)
    enter(page, last_code())
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    expect(page.get_by_text(identifier)).to_be_visible()


def wrong(code: str, step: int = 1) -> str:
    return f"{(int(code) + step) % 1_000_000:06d}"


def refresh_token(page: Page) -> str | None:
    """Return what lies in the page's storage."""
    token: str | None = page.evaluate(
        """() => new Promise((resolve) => {
          const opening = indexedDB.open("otp");
          opening.onsuccess = () => {
            const store = opening.result.transaction("values").objectStore("values");
            const reading = store.get("tokens");
            reading.onsuccess = () => {
              opening.result.close();
              resolve(reading.result?.refreshToken ?? null);
            };
          };
        })"""
    )
    return token


def use(api: Site, path: str, token: str | None) -> Answer:
    """Ask an endpoint that takes a token."""
    return api.send("POST", path, headers={"Authorization": f"Bearer {token}"})


def test_person_with_a_wrong_code_is_told_and_signs_in_with_the_right_one(
    page: Page, last_code: Callable[[], str]
) -> None:
    ask_for_code(page, "new@example.com")
    code = last_code()
    enter(page, wrong(code))
    expect(page.get_by_role("alert")).to_have_text("That code is wrong. You have 2 tries left.")
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    enter(page, f"{code[:3]} {code[3:]}")

    expect(page.get_by_role("heading", name="Welcome, new")).to_be_visible()
    expect(page.get_by_text("new@example.com")).to_be_visible()


def test_reload_and_another_tab_know_the_login_that_has_begun(
    page: Page, window: Window, last_code: Callable[[], str]
) -> None:
    ask_for_code(page, "begun@example.com")
    page.reload()
    expect(page.get_by_role("heading", name="Enter your code")).to_be_visible()
    other = window.open(page.url)
    expect(other.get_by_text("begun@example.com")).to_be_visible()
    enter(other, last_code())
    expect(other.get_by_role("heading", name="Welcome")).to_be_visible()


def test_person_signs_in_by_sms(page: Page, last_code: Callable[[], str]) -> None:
    page.get_by_label("SMS").check()
    page.get_by_label("Phone number").fill("+46 70 123 45 67")
    page.get_by_role("button", name="Send the code").click()
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    enter(page, last_code())

    expect(page.get_by_role("heading", name="Welcome, Phone owner")).to_be_visible()


def test_person_who_is_locked_out_is_told_and_sees_how_long_to_wait(
    page: Page, last_code: Callable[[], str]
) -> None:
    ask_for_code(page, "locked@example.com")
    code = last_code()
    for step in (1, 2, 3):
        enter(page, wrong(code, step))
        if step < 3:
            expect(page.get_by_role("alert")).to_contain_text(f"{3 - step} tr")
    expect(page.get_by_role("alert")).to_have_text(
        "That was one wrong code too many. Ask for a new one."
    )

    page.get_by_role("button", name="Send the code").click()
    expect(page.get_by_role("alert")).to_have_text(
        "Too many codes were asked for. Please wait a little."
    )
    button = page.get_by_role("button", name=re.compile(r"^Send the code in \d+ s$"))
    expect(button).to_be_disabled()


def test_person_who_wants_another_code_too_soon_sees_the_wait_go_by(
    page: Page, last_code: Callable[[], str]
) -> None:
    page.clock.install()
    ask_for_code(page, "slow@example.com")
    first = last_code()
    page.get_by_role("button", name="Send another code").click()
    waiting = page.get_by_role("button", name=re.compile(r"^Another code in \d+ s$"))
    expect(waiting).to_be_disabled()

    page.clock.run_for(31_000)
    with time_machine.travel(timedelta(seconds=31)):
        page.get_by_role("button", name="Send another code", exact=True).click()
        expect(page.get_by_role("alert")).to_have_text("Another code is on its way.")
        assert last_code() != first
        enter(page, first)
        expect(page.get_by_text("slow@example.com")).to_be_visible()


def test_person_stays_signed_in_when_the_access_token_expires(
    page: Page, window: Window, last_code: Callable[[], str]
) -> None:
    sign_in(page, "stays@example.com", last_code)
    before = refresh_token(page)
    window.requested.clear()
    page.get_by_role("button", name="Load again").click()
    expect(page.get_by_role("button", name="Load again")).to_be_enabled()
    assert [url for url in window.requested if url.endswith("/refresh")] == []

    with time_machine.travel(timedelta(minutes=16)):
        with page.expect_response("**/otp/refresh") as answer:
            page.get_by_role("button", name="Load again").click()
        assert answer.value.status == 200
        expect(page.get_by_role("button", name="Load again")).to_be_enabled()
        expect(page.get_by_role("alert")).to_be_empty()
    assert refresh_token(page) not in (before, None)


def test_person_who_reloads_impatiently_stays_signed_in(
    page: Page, last_code: Callable[[], str]
) -> None:
    sign_in(page, "impatient@example.com", last_code)
    for _ in range(5):
        page.reload(wait_until="domcontentloaded")

    expect(page.get_by_text("impatient@example.com")).to_be_visible()


def test_tabs_that_need_new_tokens_at_once_do_not_end_the_login(
    page: Page, window: Window, last_code: Callable[[], str]
) -> None:
    sign_in(page, "tabs@example.com", last_code)
    tabs = [page, window.open(page.url), window.open(page.url)]
    for tab in tabs:
        expect(tab.get_by_text("tabs@example.com")).to_be_visible()
    window.requested.clear()

    with time_machine.travel(timedelta(minutes=16)):
        for tab in tabs:
            tab.evaluate("document.querySelector('button').click()")
        for tab in tabs:
            expect(tab.get_by_role("button", name="Load again")).to_be_enabled()
            expect(tab.get_by_role("alert")).to_be_empty()
            expect(tab.get_by_text("tabs@example.com")).to_be_visible()
    assert len([url for url in window.requested if url.endswith("/refresh")]) == 1


def test_person_who_signs_out_is_out_in_all_tabs_and_on_the_server(
    page: Page, window: Window, built: tuple[Site, Site], last_code: Callable[[], str]
) -> None:
    sign_in(page, "leaves@example.com", last_code)
    other = window.open(page.url)
    expect(other.get_by_text("leaves@example.com")).to_be_visible()
    kept = refresh_token(page)
    page.get_by_role("button", name="Sign out").click()

    for tab in (page, other):
        expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
        assert refresh_token(tab) is None
    assert use(built[0], "/otp/refresh", kept).status == 401


def test_person_whose_token_was_stolen_and_used_has_to_sign_in_again(
    page: Page, built: tuple[Site, Site], last_code: Callable[[], str]
) -> None:
    sign_in(page, "victim@example.com", last_code)
    successor = use(built[0], "/otp/refresh", refresh_token(page)).json["data"]["refreshToken"]
    assert use(built[0], "/otp/refresh", successor).status == 200

    with time_machine.travel(timedelta(minutes=16)):
        page.get_by_role("button", name="Load again").click()
        text = "Your login has ended. Please sign in again."
        expect(page.get_by_role("alert")).to_have_text(text)
    assert refresh_token(page) is None


def test_person_who_is_offline_is_told_and_stays_signed_in(
    page: Page, window: Window, last_code: Callable[[], str]
) -> None:
    sign_in(page, "train@example.com", last_code)
    window.context.set_offline(True)
    page.get_by_role("button", name="Load again").click()
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")

    window.context.set_offline(False)
    page.get_by_role("button", name="Load again").click()
    expect(page.get_by_role("alert")).to_be_empty()
    expect(page.get_by_text("train@example.com")).to_be_visible()


def test_person_who_has_signed_in_before_is_known_as_a_device(
    page: Page, last_code: Callable[[], str]
) -> None:
    sign_in(page, "known@example.com", last_code)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Email address").fill("known@example.com")
    with page.expect_request("**/otp/initiate") as asked:
        page.get_by_role("button", name="Send the code").click()

    assert asked.value.post_data_json["deviceToken"]
    # Sends to a device are counted apart from those of strangers, the first of which just was.
    expect(page.get_by_role("heading", name="Enter your code")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_person_with_a_narrow_screen_or_a_screen_reader_can_sign_in(
    browser: Browser, built: tuple[Site, Site], last_code: Callable[[], str], scheme: str
) -> None:
    size = {"width": 320, "height": 640}
    narrow = Window.of(browser, viewport=size, color_scheme=scheme)
    page = narrow.open(built[1].url)
    identifier = f"{scheme}.{'long' * 14}@subdomain.example.com"

    def check() -> None:
        expect(page.get_by_role("heading")).to_be_visible()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]

    check()
    ask_for_code(page, identifier)
    code = last_code()
    enter(page, wrong(code))
    expect(page.get_by_role("alert")).to_contain_text("That code is wrong.")
    check()
    enter(page, code)
    expect(page.get_by_text("User id")).to_be_visible()
    check()
    narrow.context.close()


def test_script_that_got_into_the_page_does_not_run(page: Page, window: Window) -> None:
    image = "<img src='data:,' onerror='stolen = indexedDB'>"
    with page.expect_console_message(lambda said: "Content Security Policy" in said.text):
        page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", image)

    assert page.evaluate("typeof stolen") == "undefined"
    window.complaints.clear()


def test_page_of_another_site_gets_no_answer(
    window: Window, built: tuple[Site, Site], browser: Browser
) -> None:
    _api, site = built
    stranger = window.open(site.url.replace(HOST, "localhost"))
    stranger.get_by_label("Email address").fill("reader@example.com")
    stranger.get_by_role("button", name="Send the code").click()

    expect(stranger.get_by_role("alert")).to_contain_text("The server cannot be reached")
    assert all("blocked by CORS policy" in complaint for complaint in window.complaints)
    window.complaints.clear()
