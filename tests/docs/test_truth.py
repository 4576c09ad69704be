"""What the docs say of the code is so: options, tests, links and the picture."""

from __future__ import annotations

import importlib.util
import inspect
import re
from types import ModuleType

import click
import pytest
from blinker import NamedSignal
from documentation import PAGES, ROOT

import flask_otp_auth
from flask_otp_auth import exceptions, signals
from flask_otp_auth.cli import otp
from flask_otp_auth.settings import OPTIONS, Option

LINKS = ROOT / "docs" / "external_links.txt"
_LINK = re.compile(r"https?://[^\s`'\"<>)\]]+")
# Addresses that lead nowhere: examples, and the reader's own machine.
_NOWHERE = re.compile(r"https?://(127\.0\.0\.1|localhost|([\w-]+\.)?example)|https?://evil")


def plain(text: str) -> str:
    """Return a text of the docs without its markup and line breaks."""
    return " ".join(text.replace("``", "").split())


def default_of(option: Option) -> str:
    """Return the default as somebody would write it in Python."""
    if isinstance(option.default, tuple):
        return "(" + ", ".join(f'"{item}"' for item in option.default) + ")"
    return f'"{option.default}"' if isinstance(option.default, str) else repr(option.default)


def test_the_page_of_options_says_of_each_what_the_table_says() -> None:
    text = (ROOT / "docs" / "configuration.rst").read_text()
    found = re.findall(r"^``(OTP_AUTH_\w+)``\n((?:   \S.*\n)+)", text, re.MULTILINE)

    assert {key: plain(first) for key, first in found} == {
        option.key: plain(
            f"{option.meaning} *Default:* {default_of(option)}. *Allowed:* {option.allowed}."
        )
        for option in OPTIONS
    }
    assert len(found) == len(OPTIONS)


def test_the_page_of_the_command_line_names_every_point_and_every_command() -> None:
    text = (ROOT / "docs" / "command_line.rst").read_text()
    package = ROOT / "flask_otp_auth"
    code = "".join(
        path.read_text()
        for path in [*(package / "findings").glob("*.py"), package / "cli/check.py"]
    )
    points = set(re.findall(r'(?:passed|warned|failed)\(\s*"([^"(]*[^"( ])', code))
    rows = set(", ".join(re.findall(r"^   \* - (.+)$", text, re.MULTILINE)).split(", "))

    assert len(points) > 20
    assert points - rows == set()
    commands = set(otp.list_commands(click.Context(otp)))
    assert commands - set(re.findall(r"^``([a-z-]+)", text, re.MULTILINE)) == set()


def test_every_public_name_is_documented() -> None:
    text = (ROOT / "docs" / "api.rst").read_text()
    documented = set(re.findall(r"^\.\. auto\w+:: (\w+)", text, re.MULTILINE))
    exported = (ROOT / "flask_otp_auth" / "__init__.py").read_text()
    public = set(re.findall(r"^    from .* import \w+ as (\w+)$", exported, re.MULTILINE))
    sent = {name for name, value in vars(signals).items() if isinstance(value, NamedSignal)}
    raised = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and value.__module__ == exceptions.__name__
    }

    assert len(sent) > 5
    assert len(public) > 5
    assert (public | sent | raised) - documented == set()


def test_every_call_of_the_python_api_is_listed_with_its_arguments() -> None:
    text = (ROOT / "docs" / "api.rst").read_text()
    listed = dict(re.findall(r"^``otp\.(\w+)(\(.*\))``$", text, re.MULTILINE))
    decorators = {"send_code_handler", "get_user_handler", "verify_success_handler", "init_app"}
    calls = {
        name: inspect.signature(value)
        for name, value in inspect.getmembers(flask_otp_auth.FlaskOtpAuth, inspect.isfunction)
        if not name.startswith("_") and name not in decorators
    }

    assert listed == {name: without_types(signature) for name, signature in calls.items()}


def without_types(signature: inspect.Signature) -> str:
    """Return the arguments of a method as somebody writes them who calls it."""
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in [*signature.parameters.values()][1:]
    ]
    return str(inspect.Signature(bare))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_and_files_that_a_page_names_are_there(page) -> None:
    text = page.read_text()

    for name in re.findall(r"``((?:tests|examples|docs|\.ci)/[\w./]+)``", text):
        assert (ROOT / name).exists() or name.endswith("/instance"), name  # made by the demo
    for path, test in re.findall(r"``(tests/[\w/]+\.py)``:\s+``(test_\w+)``", text):
        assert f"def {test}(" in (ROOT / path).read_text(), f"{path} has no {test}"
    for target in re.findall(r"\]\(([^)#]+)\)", text) if page.suffix == ".md" else ():
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_promises_of_the_security_page_name_their_tests() -> None:
    text = (ROOT / "docs" / "security.rst").read_text()

    assert len(re.findall(r"``tests/[\w/]+\.py``:\s+``test_\w+``", text)) >= 12


def test_external_links_are_known_in_one_place() -> None:
    found = {
        link.rstrip(".,;:")
        for page in [*PAGES, ROOT / "SECURITY.md"]
        for link in _LINK.findall(page.read_text())
        if not _NOWHERE.match(link)
    }

    assert sorted(found) == LINKS.read_text().split()


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_house_is_drawn_from_the_code_as_it_is() -> None:
    drawing = load("draw_architecture")

    assert drawing.PICTURE.read_text() == drawing.draw(drawing.floors()), (
        "docs/architecture.svg is out of date: run python docs/draw_architecture.py"
    )


def test_the_flow_is_below_http_and_above_the_stores() -> None:
    floors = load("draw_architecture").floors()
    names = [floor.name for floor in floors]
    uses = {floor.name: floor.uses for floor in floors}

    assert names.index("http/") < names.index("flow/") < names.index("store/")
    assert "flow/" in uses["http/"]
    assert not uses["store/"] & {"flow/", "http/", "state.py"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    drawing = load("draw_architecture")
    trees = drawing.modules()
    faces = {name for name in trees if name.endswith("__init__")}
    left = {name: drawing.imports(name, tree, trees) - faces for name, tree in trees.items()}
    while ground := [name for name, uses in left.items() if not uses]:
        for name in ground:
            del left[name]
        left = {name: uses.difference(ground) for name, uses in left.items()}

    assert left == {}


def test_two_floors_that_import_each_other_are_refused() -> None:
    drawing = load("draw_architecture")
    floors = {
        "a/": drawing.Floor("a/", [], {"b/"}),
        "b/": drawing.Floor("b/", [], {"a/"}),
    }

    with pytest.raises(ValueError, match="a/ -> b/ -> a/"):
        drawing.height("a/", floors)
