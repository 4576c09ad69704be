"""A real browser, and the demo on gunicorn and MongoDB for its pages."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from pymongo import MongoClient
from pymongo.database import Database

from flask_otp_auth.testing.pytest_plugin import with_database
from support.demos import codes_in
from support.servers import Site, gunicorn

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 20_000


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser of the system; nothing is downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
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
