"""A release is built by what it says: pinned actions, no needless rights, one list of Pythons."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from documentation import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="an sdist has no workflows")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_no_action_can_change_under_us(workflow) -> None:
    used = re.findall(r"uses: (\S+)(?: # (\S+))?$", workflow.read_text(), re.MULTILINE)

    assert used
    for action, version in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r"v\d+\.\d+\.\d+", version), action


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_may_write_but_the_one_that_publishes(workflow) -> None:
    text = workflow.read_text()

    assert "\npermissions:\n  contents: read\n" in text
    rights = re.findall(r"^ +([\w-]+): write", text, re.MULTILINE)
    assert rights == (["id-token"] if workflow.stem == "publish" else [])
    assert "secrets." not in text


def test_every_python_that_is_promised_is_tested() -> None:
    promised = [
        name.rpartition(" ")[2]
        for name in PROJECT["classifiers"]
        if re.search(r"Python :: 3\.\d+$", name)
    ]
    [matrix] = re.findall(
        r"python: \[(.*)\]", (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    )
    [sessions] = re.findall(r"PYTHONS = \[(.*)\]", (ROOT / "noxfile.py").read_text())

    assert matrix == sessions == ", ".join(f'"{version}"' for version in promised)
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_every_test_that_is_run_by_its_name_is_there() -> None:
    named = re.findall(r"\btests/[^\s\\]+", (ROOT / ".ci" / "run").read_text())

    assert named
    listed = subprocess.run(
        ["bash", "-c", f"ls -d {' '.join(named)}"], cwd=ROOT, capture_output=True, text=True
    )
    assert not listed.stderr


def declared() -> set[str]:
    """Return the distributions that the package or one of its extras for users requires."""
    extras = PROJECT["optional-dependencies"]
    for_users = [extras[name] for name in extras.keys() - {"test", "dev", "examples"}]
    required = itertools.chain(PROJECT["dependencies"], *for_users)
    return {re.split(r"[^\w.-]", name)[0].lower().replace("_", "-") for name in required}


def test_what_is_imported_is_not_left_to_what_others_bring_along() -> None:
    providers = importlib.metadata.packages_distributions()
    # Only asked whether the host has it.
    of_the_host = {"flask-babel", "flask-mail", "flask-mailman", "flask-wtf", "flask-otp-auth"}
    found: dict[str, Path] = {}
    for file in (ROOT / "flask_otp_auth").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0]: file for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found[str(node.module).partition(".")[0]] = file

    for module, file in found.items():
        if module not in {*sys.stdlib_module_names, "_typeshed"}:
            names = {name.lower().replace("_", "-") for name in providers[module]}
            assert names & (declared() | of_the_host), f"{file.name} imports {module}"


def check_packages() -> ModuleType:
    path = ROOT / ".ci" / "check_packages.py"
    spec = importlib.util.spec_from_file_location("check_packages", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REPOSITORY = "https://code.example.com/flask/otp"
URLS = {
    "Source": REPOSITORY,
    "Documentation": "https://docs.example.com/",
    "Changes": f"{REPOSITORY}/changes",
    "Issues": f"{REPOSITORY}/issues",
}


def metadata(urls: dict[str, str]) -> str:
    lines = [f"Project-URL: {label}, {url}" for label, url in urls.items()]
    return "\n".join(["Metadata-Version: 2.4", "Name: Flask-OTP-Auth", *lines, "", "The page."])


def test_a_release_leads_to_its_source() -> None:
    check_packages().check_urls(metadata(URLS), REPOSITORY)


@pytest.mark.parametrize(
    ("urls", "complaint"),
    [
        ({}, "no URL for Changes, Documentation, Issues, Source"),
        ({name: url for name, url in URLS.items() if name != "Changes"}, "no URL for Changes"),
        ({**URLS, "Source": "https://code.example.com/a/fork"}, f"is not {REPOSITORY}"),
        ({**URLS, "Issues": "http://code.example.com/issues"}, "Issues is not https"),
    ],
)
def test_a_release_that_leads_nowhere_or_elsewhere_is_not_published(
    urls: dict[str, str], complaint: str
) -> None:
    with pytest.raises(SystemExit, match=complaint) as stopped:
        check_packages().check_urls(metadata(urls), REPOSITORY)

    assert "[project.urls]" in str(stopped.value)


def test_publishing_asks_for_the_address_of_the_repository_that_it_runs_in() -> None:
    text = (ROOT / ".github" / "workflows" / "publish.yml").read_text()

    [check] = re.findall(r"run: (python \.ci/check_packages\.py .*)$", text, re.MULTILINE)
    assert check.endswith('--repository "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY"')


def test_the_version_has_its_place_in_the_changes() -> None:
    changes = (ROOT / "CHANGES.rst").read_text()

    assert re.search(rf"^{re.escape(PROJECT['version'])}$", changes, re.MULTILINE)
