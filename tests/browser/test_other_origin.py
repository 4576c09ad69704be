"""A page of another origin signs people in with JSON tokens; Flask-CORS lets it, and no other."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, send_file
from playwright.sync_api import Browser, Page
from support.pages import CHROMIUM, Running, Window, chromium, demo_on_gunicorn
from support.servers import HOST, ROOT, Site, threaded

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or sys.platform == "win32",
        reason="needs chromium (apt-get install chromium) and gunicorn",
    ),
]
ADDRESS = "spa@example.com"


@pytest.fixture
def spa() -> Iterator[Site]:
    """Another server, with a page that has nothing but a copy of the client."""
    app = Flask("spa")

    @app.get("/")
    def index() -> Response:
        return Response("<title>SPA</title>", mimetype="text/html")

    @app.get("/client.js")
    def client() -> Any:
        return send_file(ROOT / "flask_otp_auth" / "static" / "otp_auth" / "client.js")

    with threaded(app) as site:
        yield site


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def call(tab: Page, api: Site, script: str) -> Any:
    """Run *script* in the page with the client, and return what it gives."""
    return tab.evaluate(
        """async ([api, script]) => {
            const client = await import("/client.js");
            client.configure({ baseUrl: `${api}/otp` });
            const run = new Function("client", "api", `return (async () => { ${script} })()`);
            try {
                return await run(client, api);
            } catch ({ code, status, retryAfter }) {
                return { code, status, retryAfter };
            }
        }""",
        [api.url, script],
    )


def sign_in(tab: Page, demo: Running) -> Any:
    sent = call(tab, demo.site, f'return client.initiate("{ADDRESS}", "email")')
    assert sent["status"] == "sent"
    code = demo.code(ADDRESS)
    return call(tab, demo.site, f'return client.verify("{sent["sessionId"]}", "{code}")')


def test_page_of_an_allowed_origin_needs_no_exposed_header(
    browser: Browser, spa: Site, mongo_server: str, tmp_path: Path
) -> None:
    env = {"SPA_ORIGIN": spa.url, "FLASK_JWT_TOKEN_LOCATION": '["headers"]'}
    env["FLASK_OTP_AUTH_LOGIN_PAGE"] = "false"
    with demo_on_gunicorn(mongo_server, tmp_path, **env) as demo:
        tab = Window.of(browser).open(spa.url)
        tokens = sign_in(tab, demo)
        assert tokens["status"] == "success"

        refused = call(tab, demo.site, f'return client.initiate("{ADDRESS}", "email")')
        assert (refused["code"], refused["status"]) == ("tooManyRequests", 429)
        assert 0 < refused["retryAfter"] <= 30  # the header is out of reach, the body is not

        newer = call(
            tab, demo.site, f'return client.refresh({{refreshToken: "{tokens["refreshToken"]}"}})'
        )
        me = """
            const headers = { Authorization: `Bearer TOKEN` };
            return (await fetch(`${api}/me`, { headers })).status;
        """.replace("TOKEN", newer["token"])
        assert call(tab, demo.site, me) == 200
        call(tab, demo.site, f'return client.logout({{token: "{newer["token"]}"}})')
        assert call(tab, demo.site, me) == 401


def test_page_of_any_other_origin_gets_nothing(
    browser: Browser, spa: Site, mongo_server: str, tmp_path: Path
) -> None:
    with socket.create_server((HOST, 0)) as other:
        origin = f"http://{HOST}:{other.getsockname()[1]}"
    with demo_on_gunicorn(mongo_server, tmp_path, SPA_ORIGIN=origin) as demo:
        tab = Window.of(browser).open(spa.url)
        refused = call(tab, demo.site, f'return client.initiate("{ADDRESS}", "email")')
        assert refused["code"] == "offline"
        assert demo.codes(ADDRESS) == []
