"""A client that a generator makes from the description signs in at the live application."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from live import Live, serve
from support.world import MakeWorld


@pytest.fixture
def live(make_world: MakeWorld) -> Iterator[Live]:
    with serve(make_world, REFRESH_TOKEN=True, TRUSTED_DEVICES=86_400) as live:
        yield live


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the client is generated, once for all tests."""
    return tmp_path_factory.mktemp("generated")


@pytest.fixture
def otp(live: Live, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Otp]:
    """The package that openapi-python-client generates, connected to the application."""
    if not (folder / "otp_client").exists():
        generate(live.description, folder)
    monkeypatch.syspath_prepend(folder)
    package = importlib.import_module("otp_client")
    with package.Client(base_url=live.site.url) as client:
        yield Otp(client)
    for name in [name for name in sys.modules if name.partition(".")[0] == "otp_client"]:
        del sys.modules[name]


def generate(described: dict[str, Any], folder: Path) -> None:
    description = folder / "openapi.json"
    description.write_text(json.dumps(described))
    # Without the formatting that it does by default, which needs ruff.
    config = folder / "generator.yaml"
    config.write_text("post_hooks: []\n")
    command = [
        *(sys.executable, "-m", "openapi_python_client", "generate", f"--path={description}"),
        *("--meta=none", f"--output-path={folder / 'otp_client'}", "--fail-on-warning"),
        f"--config={config}",
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr


@dataclass(frozen=True)
class Otp:
    """Calls the operations of the generated client."""

    client: Any

    def call(self, operation: str, **members: Any) -> Any:
        """Return what the generated client made of the answer."""
        models = importlib.import_module("otp_client.models")
        module = importlib.import_module(f"otp_client.api.otp.otp_{operation}")
        request = getattr(models, f"Otp{operation.capitalize()}Request")
        return module.sync(client=self.client, body=request.from_dict(members))


def test_a_person_signs_in_with_a_generated_client(live: Live, otp: Otp) -> None:
    started = otp.call("initiate", identifier="+46701234567", method="sms", payload={"a": [1]})
    assert started.data.ttl == 300
    assert started.data.expires_at.tzinfo is not None

    again = otp.call("resend", sessionId=started.data.session_id)
    assert again.data.session_id == started.data.session_id

    wrong = otp.call("verify", sessionId=started.data.session_id, code=live.world.wrong_code)
    assert (wrong.data.status, wrong.data.remaining_attempts) == ("invalid_code", 2)

    right = otp.call("verify", sessionId=started.data.session_id, code=live.world.code)
    assert right.data.status == "success"
    assert right.data.user == {"id": "user of +46701234567"}
    assert right.data.token.startswith("eyJ")
    assert right.data.refresh_token.startswith("eyJ")
    device = right.data.device_token
    again = otp.call("initiate", identifier="+46701234567", method="sms", deviceToken=device)
    assert again.data.session_id != started.data.session_id
    assert live.world.outbox[0].payload == {"a": [1]}


def test_what_goes_wrong_has_a_type_of_its_own(live: Live, otp: Otp) -> None:
    started = otp.call("initiate", identifier="reader@example.com", method="email")
    session_id = started.data.session_id

    refused = otp.call("initiate", identifier="12", method="sms")
    assert type(refused).__name__ == "OtpBadRequest"
    assert (refused.status, refused.error.code) == (400, "invalidIdentifier")

    unknown = otp.call("resend", sessionId="0" * 32)
    assert type(unknown.data).__name__ == "OtpNotFound"

    for _ in range(2):
        otp.call("verify", sessionId=session_id, code=live.world.wrong_code)
    locked = otp.call("verify", sessionId=session_id, code=live.world.wrong_code)
    assert type(locked.data).__name__ == "OtpLocked"

    live.world.app.config["MAX_CONTENT_LENGTH"] = 10
    large = otp.call("verify", sessionId=session_id, code="1")
    assert type(large).__name__ == "OtpPayloadTooLarge"
