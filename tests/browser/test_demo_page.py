"""A person signs in on the demo's page, in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from servers import PATIENCE, Demo, demo

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="needs chromium and chromedriver: apt-get install chromium chromium-driver",
    ),
]


class Page:
    """The demo's page as a person sees it."""

    def __init__(self, running: Demo, driver: webdriver.Chrome) -> None:
        self.demo = running
        self.driver = driver
        driver.get(running.site.url)

    def find(self, selector: str) -> WebElement:
        """Wait for an element to be seen, and return it."""
        WebDriverWait(self.driver, PATIENCE).until(
            lambda driver: driver.find_element(By.CSS_SELECTOR, selector).is_displayed(),
            f"nobody sees {selector}",
        )
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def ask_for_code(self, identifier: str) -> None:
        field = self.find("#identifier")
        field.clear()
        field.send_keys(identifier)
        self.find("#ask button").click()

    def enter(self, code: str) -> None:
        field = self.find("#code")
        field.clear()
        field.send_keys(code, Keys.ENTER)

    def wait_for_message(self, text: str) -> None:
        WebDriverWait(self.driver, PATIENCE).until(
            lambda driver: driver.find_element(By.ID, "message").text == text,
            f"the page never said {text!r}",
        )

    def complaints(self) -> list[str]:
        """Return what the browser's console has against the page itself."""
        entries = [entry["message"] for entry in self.driver.get_log("browser")]
        # A wrong code is a 401, which the console notes as well.
        return [text for text in entries if "the server responded with a status of" not in text]


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in [*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(str(DRIVER)))
    try:
        driver.set_page_load_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def page(driver: webdriver.Chrome, mongo_uri: str, tmp_path: Path) -> Iterator[Page]:
    with demo(tmp_path, mongo_uri=mongo_uri) as running:
        page = Page(running, driver)
        yield page
        assert page.complaints() == []


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_person_signs_in_by_email(page: Page) -> None:
    page.ask_for_code("reader@example.com")
    assert "reader@example.com" in page.find("#sent").text
    page.enter(page.demo.code("reader@example.com"))

    assert '"status": "success"' in page.find("#answer").text
    assert '"name": "Reader"' in page.find("#me").text
    assert not page.driver.find_element(By.ID, "enter").is_displayed()


def test_person_signs_in_by_sms_with_a_code_typed_in_groups(page: Page) -> None:
    page.find("[name=method][value=sms]").click()
    page.ask_for_code("+46 70 123 45 67")
    page.find("#code")
    code = page.demo.code("+46701234567")
    page.enter(f"{code[:3]} {code[3:]}")

    assert '"identifier": "+46701234567"' in page.find("#me").text


def test_person_with_a_wrong_code_is_told_and_may_try_again(page: Page) -> None:
    page.ask_for_code("new@example.com")
    page.find("#code")
    code = page.demo.code("new@example.com")

    page.enter(wrong(code))
    page.wait_for_message("Invalid verification code. 2 tries left.")
    page.enter(wrong(code))
    page.wait_for_message("Invalid verification code. 1 try left.")
    assert page.find("#code").get_attribute("aria-invalid") == "true"

    page.enter(code)
    assert '"identifier": "new@example.com"' in page.find("#me").text


def test_person_who_is_locked_out_may_start_again(page: Page) -> None:
    page.ask_for_code("reader@example.com")
    page.find("#code")
    code = page.demo.code("reader@example.com")
    for answer in (
        "Invalid verification code. 2 tries left.",
        "Invalid verification code. 1 try left.",
        "Too many failed attempts. Session is locked.",
    ):
        page.enter(wrong(code))
        page.wait_for_message(answer)

    page.find("#enter [data-restart]").click()
    page.ask_for_code("reader@example.com")
    page.find("#code")
    page.enter(page.demo.code("reader@example.com"))
    assert '"name": "Reader"' in page.find("#me").text


def test_person_who_misses_the_code_gets_another_and_may_use_either(page: Page) -> None:
    page.ask_for_code("reader@example.com")
    page.find("#code")
    first = page.demo.code("reader@example.com")
    for expected in ["Another code is on its way."] * 2 + [
        "No more codes can be sent for this session"
    ]:
        page.find("#resend").click()
        page.wait_for_message(expected)

    page.enter(first)
    assert '"name": "Reader"' in page.find("#me").text


def test_person_with_a_mistyped_address_is_told(page: Page) -> None:
    page.ask_for_code("reader@example")

    page.wait_for_message("Invalid email address format")
    assert page.find("#identifier").get_attribute("aria-invalid") == "true"
    assert not page.driver.find_element(By.ID, "enter").is_displayed()


def test_person_who_asks_again_at_once_is_told_why_there_is_no_code(
    driver: webdriver.Chrome, mongo_uri: str, tmp_path: Path
) -> None:
    limits = {"FLASK_OTP_AUTH_IDENTIFIER_LIMITS": '"1 per 30 seconds"'}
    with demo(tmp_path, mongo_uri=mongo_uri, **limits) as running:
        page = Page(running, driver)
        page.ask_for_code("reader@example.com")
        page.find("#enter [data-restart]").click()
        page.ask_for_code("reader@example.com")
        WebDriverWait(driver, PATIENCE).until(
            lambda driver: re.fullmatch(
                r"A code was sent there a moment ago. "
                r"You can ask for the next one in \d+ seconds?.",
                driver.find_element(By.ID, "message").text,
            ),
            "the page never said why",
        )
        page.find("#identifier")
