"""Every shell command and every JSON of the README and the docs is what the application takes."""

from __future__ import annotations

import copy
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from documentation import PAGES, ROOT, Block, all_blocks, blocks
from support.demos import Demo, demo
from support.servers import Site
from support.world import MakeWorld, World

from flask_otp_auth.http import schemas
from flask_otp_auth.openapi import SHIPPED

Shape = Any
CURL = [block for block in all_blocks("sh") if "curl http" in block.code]
COMMANDS = [block for block in all_blocks("sh") if block not in CURL]
JSON = all_blocks("json")
YEAR = 365 * 86400


def shape(value: Any) -> Shape:
    """Return which members there are, and of which types."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    return type(value).__name__


@pytest.fixture
def answers(make_world: MakeWorld) -> dict[str, Shape]:
    """The shapes of real answers."""
    world = make_world(guarded=True, REFRESH_TOKEN=True)
    world.users["+46701234567"] = {"id": "user-2"}
    found = {}
    started = initiate(world)
    found["initiate"] = started.json
    session_id = started.json["data"]["sessionId"]
    found["invalid_code"] = world.verify(session_id, world.wrong_code).json
    signed_in = world.verify(session_id, world.code).json
    bearer = {"Authorization": f"Bearer {signed_in['data']['refreshToken']}"}
    found["refresh"] = world.client.post("/otp/refresh", headers=bearer).json
    found["success with refresh token"] = copy.deepcopy(signed_in)
    del signed_in["data"]["refreshToken"]
    found["success"] = signed_in
    found["tooManyRequests"] = initiate(world).json
    found["invalidIdentifier"] = initiate(world, identifier="nobody").json
    return {name: shape(answer) for name, answer in found.items()}


def initiate(world: World, **members: Any) -> Any:
    body = {"identifier": "+46701234567", "method": "sms", **members}
    return world.client.post("/otp/initiate", json=body)


def test_the_docs_show_requests_and_answers() -> None:
    described = json.dumps(json.loads(SHIPPED.read_text())["paths"])  # those of docs/http.rst

    assert len(JSON) >= 3
    assert described.count('"value": {') >= 45


@pytest.mark.parametrize("block", JSON, ids=str)
def test_json_of_the_docs_has_the_shape_of_the_real_one(
    block: Block, answers: dict[str, Shape]
) -> None:
    value = json.loads(block.code)

    if "data" in value or "error" in value:
        assert shape(value) in answers.values()
    elif "identifier" in value:
        trusts = "deviceToken" in value
        schemas.load(schemas.initiate_request(("sms", "email"), trusts_devices=trusts), value)
    elif "code" in value:
        schemas.load(schemas.verify_request, value)
    else:
        schemas.load(schemas.resend_request, value)


def test_json_that_is_not_like_the_real_one_would_be_found(answers: dict[str, Shape]) -> None:
    assert shape({"data": {"sessionId": "0f", "expiresAt": 5, "ttl": 300}}) not in answers.values()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("block", CURL, ids=str)
def test_the_curl_commands_of_the_docs_sign_in_at_the_demo(block: Block, running: Demo) -> None:
    # The limits of the demo are those of an inbox, so each block has one of its own.
    name = f"reader{CURL.index(block)}@example.com"
    session = Transcript(running.site, running.code, name)
    for command, promised in commands(block):
        answer = session.run(command)
        assert shape(answer) == shape(json.loads(promised)), command

    assert answer["identifier"] == name


class Transcript:
    """Runs the commands of a reader, who puts in what the answers before have shown."""

    def __init__(self, site: Site, code_of: Callable[[str], str], name: str) -> None:
        self._site = site
        self._code_of = code_of
        self._name = name
        self._session_id = self._token = ""

    def run(self, command: str) -> Any:
        command = command.replace("http://127.0.0.1:5000", self._site.url)
        command = command.replace("reader@example.com", self._name)
        command = re.sub(r'"sessionId": "[^"]*"', f'"sessionId": "{self._session_id}"', command)
        command = re.sub(r"Bearer [^']*", f"Bearer {self._token}", command)
        if '"code"' in command:
            code = self._code_of(self._name)
            command = re.sub(r'"code": "\d+"', f'"code": "{code}"', command)
        done = subprocess.run(
            [*shlex.split(command), "--silent", "--max-time", "30"],
            check=True,
            capture_output=True,
            timeout=60,
        )
        answer = json.loads(done.stdout)
        data = answer.get("data", {})
        self._session_id = data.get("sessionId", self._session_id)
        self._token = data.get("token", self._token)
        return answer


def commands(block: Block) -> list[tuple[str, str]]:
    """Return each curl command of a block, with the answer that the comment below it promises."""
    text = block.code.replace("\\\n", " ")
    return re.findall(r"^(curl .*)\n# (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_a_command_of_the_docs_is_one_and_what_it_names_is_there(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.code.encode(), check=True, timeout=30)

    for path in re.findall(r"\b(?:examples|tests|docs)/[\w./-]+", block.code):
        assert (ROOT / path).exists(), path
    for session in re.findall(r"nox -s (\w+)", block.code):
        assert f"def {session}(" in (ROOT / "noxfile.py").read_text(), session
    extras = re.findall(r"\[(\w+)\]'", block.code)
    known = (ROOT / "pyproject.toml").read_text()
    assert [extra for extra in extras if f"\n{extra} = [" not in known] == []


def test_the_command_for_a_key_makes_one_that_is_long_enough() -> None:
    found = [block for block in COMMANDS if block.code.startswith("python -c")]
    assert found

    for block in found:
        program = shlex.split(block.code)[2]
        key = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        assert len(key.stdout.strip()) == 64


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.parametrize("block", all_blocks("javascript"), ids=str)
def test_javascript_of_the_docs_is_javascript(block: Block, tmp_path: Path) -> None:
    script = tmp_path / "block.mjs"
    script.write_text(block.code)

    subprocess.run(["node", "--check", script], check=True, timeout=60)


def test_the_docs_have_no_language_that_nobody_looks_at() -> None:
    languages = {block.language for page in PAGES for block in blocks(page)}

    pieces = {"text", "http", "html", "html+jinja", "css"}  # of transcripts and of pages
    assert languages <= {"python", "sh", "json", "javascript", *pieces}


def test_no_page_was_forgotten() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "index.rst", "quickstart.rst"}
