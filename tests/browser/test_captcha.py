"""The login page with a captcha of another origin in front of each code, as the recipe has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask, Response, request
from playwright.sync_api import Page, expect
from support.pages import Window, message, needs_chromium
from support.servers import Site, threaded
from support.world import SECRET_KEY

from recipes import captcha

pytestmark = [pytest.mark.slow, *needs_chromium]


@pytest.fixture
def provider() -> Iterator[Site]:
    """Another origin, whose captcha is solved as a button of the page decides."""
    app = Flask("provider")

    @app.get("/captcha.js")
    def script() -> Response:
        source = """
            window.captcha = { solve: () => new Promise((resolve, reject) => {
                window.solved = resolve; window.failed = reject; }) };
        """
        return Response(source, mimetype="text/javascript")

    with threaded(app) as site:
        yield site


@pytest.fixture
def shop(provider: Site, mongo_uri: str) -> Iterator[tuple[Site, list[str]]]:
    """The application of the recipe, and the paths to which something was posted."""
    app = captcha.create_app(
        {
            "SECRET_KEY": SECRET_KEY,
            "MONGO_URI": mongo_uri,
            "CAPTCHA_SECRET": "proof",
            "CAPTCHA_ORIGIN": provider.url,
            "OTP_AUTH_IDENTIFIER_LIMITS": None,
            "OTP_AUTH_CLIENT_LIMITS": None,
        }
    )
    posted: list[str] = []

    @app.before_request
    def note() -> None:
        if request.method == "POST":
            posted.append(request.path)

    with threaded(app) as site:
        yield site, posted
    app.extensions["otp_auth"].mongo.cx.close()


def solve(tab: Page, how: str) -> None:
    tab.wait_for_function("Boolean(window.solved)")
    tab.evaluate(how)


def test_code_waits_for_the_captcha_and_goes_along_with_its_proof(
    window: Window, shop: tuple[Site, list[str]]
) -> None:
    site, posted = shop
    tab = window.open(f"{site.url}/otp/login")
    tab.get_by_label("Email address").fill("reader@example.com")
    send = tab.get_by_role("button", name="Send code")

    send.click()
    solve(tab, "failed(new Error('closed')), window.solved = null")
    expect(message(tab)).to_have_text("The code could not be sent. Try again.")
    assert posted == []

    send.click()
    solve(tab, "solved('a machine'), window.solved = null")
    expect(message(tab)).to_have_text("Please show that you are no machine, and try again.")

    send.click()
    solve(tab, "solved('proof'), window.solved = null")
    expect(tab.get_by_role("heading")).to_have_text("Enter your code")
    tab.get_by_role("button", name="Send another code").click()
    solve(tab, "solved('proof')")
    expect(message(tab)).to_contain_text("Another code is on its way.")
    assert posted == ["/otp/initiate", "/otp/resend"]  # those that the captcha let through


def test_application_that_cancels_the_sending_says_so_itself(
    window: Window, shop: tuple[Site, list[str]]
) -> None:
    site, posted = shop
    tab = window.open(f"{site.url}/otp/login")
    expect(tab.get_by_label("Email address")).to_be_focused()
    tab.evaluate("""document.addEventListener("otp:before-send", (event) => {
        window.seen = true;
        event.preventDefault();
    })""")
    tab.get_by_label("Email address").fill("reader@example.com")
    tab.get_by_role("button", name="Send code").click()
    tab.wait_for_function("window.seen")
    expect(tab.locator("[aria-busy]")).to_have_count(0)
    expect(message(tab)).to_be_empty()
    assert posted == []
