"""What the docs name is there, and what an application can use is named in the docs."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path
from typing import Any

import click
import pytest
from documentation import PAGES, ROOT

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.cli import otp as command_line
from flask_otp_auth.settings import OPTIONS

PACKAGE = ROOT / "flask_otp_auth"
ARCHITECTURE = (ROOT / "docs" / "architecture.rst").read_text()
TEXTS = {page.name: page.read_text() for page in [*PAGES, ROOT / "CHANGES.rst"]}
ALL = "\n".join(TEXTS.values())
CODE = {file: file.read_text() for file in PACKAGE.rglob("*.py")}
# Written with a prefix of another option, or in a sentence on what is refused.
NO_OPTIONS = {"OTP_AUTH_"}


def public_methods() -> set[str]:
    return {name for name in dir(FlaskOtpAuth) if name[0] != "_"}


def commands() -> set[str]:
    return set(command_line.list_commands(click.Context(command_line)))


def is_file(name: str) -> bool:
    return any((folder / name).exists() for folder in (PACKAGE, ROOT, ROOT / "docs"))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"``([^`\s]+)``", ARCHITECTURE))))
def test_a_maintainer_finds_what_the_page_on_the_architecture_names(name: str) -> None:
    if "/" in name and not name.startswith(("/", "app.")):
        assert is_file(name), name
    elif name.endswith((".py", ".json", ".svg")):
        assert is_file(name) or any(file.name == name for file in CODE), name
    else:
        wanted = name.removesuffix("()")
        word = rf"(?<!\w){re.escape(wanted)}(?!\w)"
        pattern = rf"def {wanted}\(" if name.endswith("()") else word
        places = [*CODE.values(), *(file.read_text() for file in (ROOT / "docs").glob("*.py"))]
        known = any(re.search(pattern, text) for text in places)
        # What a command is called on the wire, and the directives of our docs.
        assert known or name in ("findAndModify", "otp-option"), name


@pytest.mark.parametrize(
    ("file", "function"), re.findall(r"``([\w/]+\.py)``: ``(\w+)\(\)``", ARCHITECTURE)
)
def test_a_function_is_in_the_file_that_the_architecture_says(file: str, function: str) -> None:
    assert f"def {function}(" in (PACKAGE / file).read_text()


@pytest.mark.parametrize("page", TEXTS)
def test_an_option_that_a_page_names_is_one(page: str) -> None:
    named = set(re.findall(r"OTP_AUTH_[A-Z_]+", TEXTS[page])) - NO_OPTIONS

    assert named - {option.key for option in OPTIONS} == set()


@pytest.mark.parametrize("page", TEXTS)
def test_a_command_that_a_page_names_is_one(page: str) -> None:
    named = re.findall(r"flask(?: --app \S+)? otp ([a-z][a-z-]+)", TEXTS[page])

    assert set(named) - commands() == set()


def test_every_command_is_described() -> None:
    described = re.findall(r"^``([a-z-]+)[^`]*``$", TEXTS["command_line.rst"], re.MULTILINE)

    assert commands() - set(described) == set()


@pytest.mark.parametrize("page", TEXTS)
def test_what_a_page_calls_of_the_extension_can_be_called(page: str) -> None:
    called = set(re.findall(r"(?<![\w./-])otp\.([a-z]\w+)\(", TEXTS[page]))
    called |= set(re.findall(r"@otp\.(\w+)", TEXTS[page]))

    assert called - public_methods() == set()


def test_every_method_of_the_extension_is_named() -> None:
    missing = {name for name in public_methods() if not re.search(rf"\botp\.{name}\b", ALL)}

    assert missing - {"init_app"} == set()


@pytest.mark.parametrize("page", TEXTS)
def test_a_module_or_name_of_the_package_that_a_page_names_can_be_imported(page: str) -> None:
    for name in set(re.findall(r"\bflask_otp_auth(?:\.\w+)+", TEXTS[page])):
        if not Path(ROOT, *name.split(".")).with_suffix("").exists():
            assert imported(name) is not None, name


def imported(name: str) -> Any:
    """Return a module, or what stands in one under its dotted name."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[end:], module)
    return None


def test_a_name_that_is_gone_would_be_found() -> None:
    assert "initiate" in public_methods()
    assert "check" in commands()
    assert not is_file("flow/gone.py")
    with pytest.raises(AttributeError):
        imported("flask_otp_auth.exceptions.Gone")
