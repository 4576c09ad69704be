"""A real browser, and the demo on gunicorn and MongoDB for its pages."""

from __future__ import annotations

import contextlib
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    expect,
    sync_playwright,
)
from pymongo import MongoClient
from pymongo.database import Database

from flask_otp_auth.testing.pytest_plugin import with_database
from support.demos import codes_in
from support.servers import Site, gunicorn

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 20_000
#: The pages of the demo under a name, over plain HTTP, which a browser trusts less than loopback.
ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP *.example 127.0.0.1"]

expect.set_options(timeout=PATIENCE_MS)

needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or sys.platform == "win32",
        reason="needs chromium (apt-get install chromium) and gunicorn",
    ),
]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser of the system; nothing is downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Running:
    """The demo on gunicorn, and what its terminal shows."""

    site: Site
    log: Path
    database: Database[dict[str, Any]]

    def codes(self, identifier: str) -> list[str]:
        return codes_in(self.log, identifier)

    def code(self, identifier: str) -> str:
        """Return the code that was printed last for *identifier*."""
        return self.codes(identifier)[-1]

    def wrong_code(self, identifier: str, number: int = 1) -> str:
        """Return one of several codes that were not sent last."""
        return f"{(int(self.code(identifier)) + number) % 1_000_000:06d}"


@contextlib.contextmanager
def demo_on_gunicorn(mongo_server: str, folder: Path, **env: str) -> Iterator[Running]:
    """Serve the demo from two processes, with some ``FLASK_...`` in their environment."""
    uri = with_database(mongo_server, f"otp_pages_{uuid.uuid4().hex[:12]}")
    env |= {
        "INSTANCE": str(folder),
        "FLASK_OTP_AUTH_CLIENT_LIMITS": "null",
    }
    log = folder / "log"
    run = gunicorn(
        uri,
        log,
        app="support.served_demo",
        workers=2,
        worker_class="gthread",
        options=["--preload"],
        **env,
    )
    with run as site, MongoClient(uri, serverSelectionTimeoutMS=2000) as client:
        yield Running(site, log, client.get_default_database())
        with contextlib.suppress(Exception):  # a test may have stopped its server
            client.drop_database(client.get_default_database().name)


@dataclass
class Window:
    """A window with cookies of its own, and what its console said."""

    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, browser: Browser, **options: Any) -> Window:
        window = cls(browser.new_context(**{"locale": "en-US", **options}))
        window.context.set_default_timeout(PATIENCE_MS)

        def note(message: ConsoleMessage) -> None:
            # That an answer had a status of 400 or more is the page's own business.
            if message.type in ("error", "warning") and "Failed to load" not in message.text:
                window.complaints.append(message.text)

        window.context.on("console", note)
        window.context.on("weberror", lambda found: window.complaints.append(str(found.error)))
        window.context.on("request", lambda request: window.requested.append(request.url))
        return window

    def open(self, url: str) -> Page:
        tab = self.context.new_page()
        tab.goto(url)
        return tab


OpenWindow = Callable[..., Window]


def open_login(window: Window, demo: Running, query: str = "") -> Page:
    return window.open(f"{demo.site.url}/otp/login{query}")


def ask_for_code(tab: Page, identifier: str) -> None:
    tab.get_by_label("Email address").fill(identifier)
    tab.get_by_role("button", name="Send code").click()
    expect(code_field(tab)).to_be_focused()


def code_field(tab: Page) -> Locator:
    return tab.get_by_label("Code", exact=True)


def paste(tab: Page, text: str) -> None:
    """Paste *text* into the field for the code, as the browser hands it to the page."""
    code_field(tab).evaluate(
        """(field, text) => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text/plain", text);
            const event = new ClipboardEvent("paste", {clipboardData, cancelable: true});
            if (field.dispatchEvent(event)) document.execCommand("insertText", false, text);
        }""",
        text,
    )


def try_code(tab: Page, code: str) -> None:
    """Enter a code, not the one that was tried last, and wait for the answer."""
    with tab.expect_response("**/otp/verify"):
        code_field(tab).fill(code)
    expect(tab.locator("[aria-busy]")).to_have_count(0)


def message(tab: Page) -> Locator:
    return tab.get_by_role("alert")


def sign_in(window: Window, demo: Running, address: str) -> Page:
    tab = open_login(window, demo)
    ask_for_code(tab, address)
    code_field(tab).fill(demo.code(address))
    expect_signed_in(tab, address)
    return tab


def expect_signed_in(tab: Page, identifier: str) -> None:
    expect(tab.get_by_role("heading")).to_have_text("You are signed in")
    expect(tab.locator("#identifier")).to_have_text(identifier)
