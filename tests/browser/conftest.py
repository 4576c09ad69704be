"""A browser for each module, and the demo for all of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser
from support.pages import OpenWindow, Running, Window, chromium, demo_on_gunicorn


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
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
