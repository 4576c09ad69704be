"""The HTML part of an email, as a narrow client that loads no images shows it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from support.pages import CHROMIUM, chromium
from support.world import MakeWorld

from flask_otp_auth.delivery.messages import render
from flask_otp_auth.texts import LANGUAGES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or sys.platform == "win32",
        reason="needs chromium: apt-get install chromium",
    ),
]


def test_email_reads_well_at_320_pixels_in_every_language(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(APP_NAME="A shop with quite a long name", CODE_LENGTH=8)
    with chromium() as browser:
        size = {"width": 320, "height": 640}
        tab = browser.new_context(viewport=size, is_mobile=True).new_page()
        for language in LANGUAGES:
            settings = world.app.extensions["otp_auth"].settings
            to = ("01234567", "reader@example.com", "email", None)
            with world.app.test_request_context(headers={"Accept-Language": language}):
                message = render(world.app, settings, *to, None)
            page = tmp_path / f"{language}.html"
            page.write_text(message.html)
            tab.goto(page.as_uri())

            assert not re.search(r"<(img|script|link|style)|url\(|https?:", message.html)
            script = "const e = document.documentElement; [e.scrollWidth, e.clientWidth]"
            assert tab.evaluate(script) == [320, 320]
            shown = tab.locator("body")
            assert "01234567" in shown.inner_text()
            assert tab.evaluate("document.body.offsetHeight") < 640
