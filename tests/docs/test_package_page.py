"""What a package index shows: no picture or link in it is broken there, and its code is ours."""

from __future__ import annotations

import re
import tomllib

from support.servers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PAGE = (ROOT / PROJECT["project"]["readme"]).read_text()


def test_a_reader_of_the_package_page_meets_no_broken_link_or_picture() -> None:
    targets = re.findall(r"\]\(([^)]*)\)|(?:src|href)=\"([^\"]*)\"", PAGE)
    assert [
        one or other for one, other in targets if not (one or other).startswith("https://")
    ] == []


def test_the_app_on_the_package_page_is_the_one_that_the_tests_run() -> None:
    assert (ROOT / "examples" / "minimal" / "app.py").read_text() in PAGE


def test_pip_installs_what_a_developer_needs_as_a_group() -> None:
    assert PROJECT["dependency-groups"]["dev"] == ["Flask-OTP-Auth[dev]"]
