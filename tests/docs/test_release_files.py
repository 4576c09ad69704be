"""A release is built by what it says: pinned actions, no needless rights, one list of Pythons."""

from __future__ import annotations

import re
import tomllib

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


def test_the_version_has_its_place_in_the_changes() -> None:
    changes = (ROOT / "CHANGES.rst").read_text()

    assert re.search(rf"^{re.escape(PROJECT['version'])}$", changes, re.MULTILINE)
