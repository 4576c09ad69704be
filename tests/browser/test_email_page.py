"""The HTML part of an email, as a narrow client that loads no images shows it."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import MakeWorld
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from test_demo_page import CHROMIUM, DRIVER, FLAGS, pytestmark

from flask_otp_auth.sending.messages import render
from flask_otp_auth.sending.texts import LANGUAGES

__all__ = ["pytestmark"]


def test_email_reads_well_at_320_pixels_in_every_language(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(APP_NAME="A shop with quite a long name", CODE_LENGTH=8)
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        size = {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        for language in LANGUAGES:
            settings = world.app.extensions["otp_auth"].settings
            to = ("01234567", "reader@example.com", "email", None)
            message = render(world.app, settings, *to, session=None, locale=language)
            page = tmp_path / f"{language}.html"
            page.write_text(message.html)
            driver.get(page.as_uri())

            assert not re.search(r"<(img|script|link|style)|url\(|https?:", message.html)
            script = "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
            assert driver.execute_script(script) == [320, 320]
            shown = driver.find_element("tag name", "body")
            assert "01234567" in shown.text
            assert shown.size["height"] < 640
    finally:
        driver.quit()
