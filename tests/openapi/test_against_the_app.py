"""Schemathesis: whatever the description says, the live application does, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Live, closed, serve
from support.world import MakeWorld

from flask_otp_auth import identifiers

pytestmark = pytest.mark.slow

# All that is a refusal of a request as such: a body of the wrong form that is also too long is
# refused for its length, and one that is missing for its lack of a type.
CONFIG = """
[checks.negative_data_rejection]
expected-statuses = ["400", "413", "415"]
"""


@pytest.fixture
def live(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    # No description can say which numbers the countries have.
    monkeypatch.setattr(identifiers, "_phonenumbers", lambda: None)
    with serve(make_world, REFRESH_TOKEN=True, TRUSTED_DEVICES=86_400) as live:
        yield live


def run_schemathesis(
    live: Live, folder: Path, *arguments: str, flat_payloads: bool = False
) -> None:
    """Run it with all its checks; members of answers that are not described are faults too."""
    description = folder / "openapi.json"
    strict = closed(live.description)
    if flat_payloads:  # the bounds of nested values are described in words only
        payload = strict["components"]["schemas"]["OtpPayload"]
        payload["additionalProperties"] = {"type": ["string", "boolean", "null"], "maxLength": 20}
    description.write_text(json.dumps(strict))
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", f"--config-file={config}"),
        *("run", str(description), f"--url={live.site.url}", "--checks=all", "--seed=1"),
        *("--no-color", "--generation-database=none", *arguments),
    ]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
    assert live.world.outbox, f"no request was accepted:\n{run.stdout}"


def test_a_client_of_the_description_meets_no_surprise(live: Live, tmp_path: Path) -> None:
    run_schemathesis(live, tmp_path, "--phases=examples,fuzzing", "--max-examples=60")


def test_no_edge_of_the_description_is_a_surprise(live: Live, tmp_path: Path) -> None:
    run_schemathesis(live, tmp_path, "--phases=examples,coverage", "--max-examples=20")


def test_no_sequence_of_requests_is_a_surprise(live: Live, tmp_path: Path) -> None:
    phases = "--phases=examples,stateful"
    run_schemathesis(live, tmp_path, phases, "--max-examples=20", flat_payloads=True)


def test_a_wrong_description_would_be_noticed(live: Live, tmp_path: Path) -> None:
    started = live.description["components"]["schemas"]["OtpStartedSession"]
    del started["properties"]["ttl"]
    started["required"].remove("ttl")

    with pytest.raises(AssertionError, match="ttl"):
        run_schemathesis(live, tmp_path, "--phases=fuzzing", "--max-examples=30")
