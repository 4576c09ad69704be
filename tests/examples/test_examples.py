"""The examples run as their first lines say, and leave nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo import MongoClient
from support.demos import DEMO, Demo, copy_demo, demo, demo_environment, mongods_on
from support.servers import PATIENCE, ROOT, Site, process, wait_until

from flask_otp_auth.testing.mongod import free_port

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def servers_of(instance: Path) -> list[int]:
    return mongods_on(instance / "mongodb")


def sign_in(running: Demo, identifier: str, method: str) -> dict[str, str]:
    """Sign in as a reader of the README does, and return what /me says."""
    session_id = running.site.initiate(identifier, method)
    answer = running.site.verify(session_id, running.code(identifier))
    assert answer.status == 200, answer.text
    bearer = {"Authorization": f"Bearer {answer.json['data']['token']}"}
    me = running.site.send("GET", "/me", headers=bearer)
    assert me.status == 200, me.text
    return dict(me.json)


def end(running: Demo, stop: Callable[[int], None]) -> None:
    """End the demo and check that its database ends with it."""
    assert len(servers_of(running.instance)) == 1
    stop(running.process.pid)
    running.process.wait(PATIENCE)
    assert servers_of(running.instance) == []
    with pytest.raises(ConnectionRefusedError):
        running.site.send("GET", "/")


def ctrl_c(pid: int) -> None:
    os.killpg(pid, signal.SIGINT)


def terminate(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def hang_up(pid: int) -> None:
    os.killpg(pid, signal.SIGHUP)


def test_every_example_has_a_test() -> None:
    examples = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir()}

    assert examples - {"__pycache__"} == {
        "change_contact",  # in test_purpose_examples.py
        "sign_up",  # in test_who_examples.py
        "tenants",  # in test_who_examples.py
        "step_up",  # in test_purpose_examples.py
        "audit",  # in test_audit_example.py
        "deploy",  # in faults/test_two_machines.py
        "forms",  # in test_forms_example.py
        "languages",  # in test_languages.py
        "login_sessions",  # in test_app_examples.py
        "minimal",
        "monitoring",  # in test_metrics.py and test_monitoring_example.py
        "openapi_hosts",  # in openapi/test_hosts.py
        "new_password",  # in test_purpose_examples.py
        "quickstart",
        "recipes",  # in examples/test_recipes.py
        "react",  # in examples/test_react.py
        "react_native",  # in examples/test_react_native.py
        "roles",
        "senders",  # in test_senders.py
        "token_api",  # with the two clients
    }


def test_lines_of_the_readme_run_as_they_stand(tmp_path: Path, mongo_uri: str) -> None:
    code = (ROOT / "examples" / "minimal" / "app.py").read_text()
    assert f"```python\n{code}```\n" in (ROOT / "README.md").read_text()
    (tmp_path / "app.py").write_text(code)
    log = tmp_path / "terminal.log"
    env = demo_environment() | {"FLASK_SECRET_KEY": "k" * 64, "FLASK_MONGO_URI": mongo_uri}
    del env["FLASK_OTP_AUTH_IDENTIFIER_LIMITS"]

    command = [sys.executable, "-m", "flask", "run", "--port=0"]
    with process(command, env=env, log=log, cwd=tmp_path) as child:
        running: list[str] = []

        def says(pattern: str) -> bool:
            running[:] = re.findall(pattern, log.read_text())
            return bool(running)

        wait_until(lambda: says(r"Running on http://127.0.0.1:(\d+)"), child, log)
        site = Site(int(running[0]))
        session_id = site.initiate("reader@example.com", "email")
        wait_until(lambda: says(r"\| (\d{6}) +\|"), child, log)
        answer = site.verify(session_id, running[0])

    assert answer.status == 200, answer.text
    assert answer.json["data"]["user"] == {"id": "reader@example.com"}
    assert "To: reader@example.com" in log.read_text()


def test_new_user_of_the_demo_is_signed_in_on_its_own_mongodb(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        known = sign_in(running, "reader@example.com", "email")
        phone = sign_in(running, "+46701234567", "sms")
        new = sign_in(running, "new@example.com", "email")
        again = sign_in(running, "new@example.com", "email")
        anonymous = running.site.send("GET", "/me")
        page = running.site.send("GET", "/")

    assert known == {"id": "user-2", "identifier": "reader@example.com", "name": "Reader"}
    assert phone["id"] == "user-3"
    assert new["identifier"] == "new@example.com"
    assert new == again
    assert anonymous.status == 401
    assert page.status == 200
    assert "Traceback" not in running.log.read_text()


@pytest.mark.slow
@linux_only
@pytest.mark.parametrize("stop", [ctrl_c, terminate, hang_up])
def test_demo_leaves_no_mongod_behind(tmp_path: Path, stop: Callable[[int], None]) -> None:
    with demo(tmp_path) as running:
        end(running, stop)


@pytest.mark.slow
@linux_only
def test_mongod_of_a_demo_that_is_killed_ends_by_itself(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        assert len(servers_of(running.instance)) == 1
        running.process.kill()
        deadline = time.monotonic() + PATIENCE
        while servers_of(running.instance):
            assert time.monotonic() < deadline, "it is still there"
            time.sleep(0.05)


@pytest.mark.slow
@linux_only
@pytest.mark.parametrize("stop", [ctrl_c, terminate])
def test_reloader_shares_one_mongod_and_leaves_none(
    tmp_path: Path, stop: Callable[[int], None]
) -> None:
    with demo(tmp_path, "--debug") as running:
        before = servers_of(running.instance)
        session_id = running.site.initiate("reader@example.com", "email")

        (tmp_path / "examples" / "quickstart" / "__init__.py").touch()
        running.wait_until(lambda: running.log.read_text().count("Debugger is active!") == 2)

        code = running.code("reader@example.com")
        assert running.site.verify(session_id, code).status == 200
        assert servers_of(running.instance) == before
        end(running, stop)


@pytest.mark.slow
def test_users_and_tokens_of_the_demo_outlive_a_restart(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        session_id = running.site.initiate("new@example.com", "email")
        answer = running.site.verify(session_id, running.code("new@example.com"))
    bearer = {"Authorization": f"Bearer {answer.json['data']['token']}"}

    with demo(tmp_path) as running:
        assert running.site.send("GET", "/me", headers=bearer).status == 200
        used = running.site.verify(session_id, "123456")
    assert used.json["error"]["code"] == "alreadyVerified"


@linux_only
def test_mongo_uri_of_the_environment_is_used_and_no_server_started(
    tmp_path: Path, mongo_uri: str
) -> None:
    with demo(tmp_path, mongo_uri=mongo_uri) as running:
        sign_in(running, "reader@example.com", "email")

        assert servers_of(running.instance) == []
        assert not (running.instance / "mongodb").exists()
        with MongoClient(mongo_uri) as client:
            stored = client.get_default_database().otp_sessions.find_one()
    assert stored is not None
    assert stored["identifier"] == "reader@example.com"


@pytest.mark.slow
def test_second_command_beside_the_demo_uses_the_same_mongod(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        listed = subprocess.run(
            [*DEMO, "routes"],
            cwd=tmp_path,
            env=demo_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert "otp_auth.verify" in listed.stdout, listed.stderr
        sign_in(running, "reader@example.com", "email")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["nobody listens", "no folder for the data"])
def test_demo_that_has_no_database_says_what_to_do(tmp_path: Path, fault: str) -> None:
    instance = copy_demo(tmp_path)
    env = demo_environment()
    if fault == "nobody listens":
        env["MONGO_URI"] = f"mongodb://127.0.0.1:{free_port()}/otp_demo"
    else:
        instance.mkdir()
        (instance / "mongodb").touch()

    run = subprocess.run(
        [*DEMO, "run", "--port=0"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert run.returncode != 0
    assert "MONGO_URI" in run.stderr
    assert "Traceback" not in run.stderr
