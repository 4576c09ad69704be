"""The MongoDB of the testing kit: it ends when it should, keeps its data, and says what fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from pymongo import MongoClient
from support.demos import mongods_on
from support.servers import HOST, PATIENCE, python_path

from flask_otp_auth.testing import mongod, mongod_binary
from flask_otp_auth.testing.mongod import LocalMongod, MongodError, find_running, free_port
from flask_otp_auth.testing.mongod_faults import explain

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@linux_only
def test_server_keeps_port_and_data_over_a_restart_and_ends_when_it_is_stopped(
    tmp_path: Path,
) -> None:
    server, other = LocalMongod(tmp_path / "db", args=["--slowms=7"]), tmp_path / "other"
    uri = server.start()
    other.mkdir()
    (other / "mongod.port").write_text(f"{server.port}\n")  # as a server of long ago may have
    assert server.start() == uri  # a second start is none
    assert mongods_on(tmp_path / "db") == [server.pid]
    assert find_running(tmp_path / "db") == uri
    assert find_running(other) is None
    with MongoClient(uri) as client:
        client.shop.orders.insert_one({"_id": 1})
        given = client.admin.command("getCmdLineOpts")["parsed"]
        assert given["operationProfiling"]["slowOpThresholdMs"] == 7  # ours is 1000
        assert given["net"]["bindIp"] == HOST

    began = time.monotonic()
    server.stop()
    server.stop()
    assert time.monotonic() - began < 15  # after 20 s it would be killed
    with (tmp_path / "db" / "mongod.log").open("a") as log:
        log.write("what was written long ago\n" * 200_000)
    assert mongods_on(tmp_path / "db") == []
    assert find_running(tmp_path / "db") is None
    with pytest.raises(MongodError, match=r"call start\(\) first"):
        _ = server.pid

    with server, MongoClient(server.uri("")) as client:
        assert server.uri("") == f"{uri}/"
        assert client.shop.orders.find_one() == {"_id": 1}
    assert "long ago" not in (tmp_path / "db" / "mongod.log").read_text()  # it would fill the disk


FORK = """
import os, sys
from pymongo import MongoClient
from flask_otp_auth.testing.mongod import LocalMongod

server = LocalMongod()
server.start()
if os.fork() == 0:
    sys.exit()
os.wait()
with MongoClient(server.uri(""), serverSelectionTimeoutMS=5000) as client:
    folder = client.admin.command("getCmdLineOpts")["parsed"]["storage"]["dbPath"]
    print(os.path.exists(f"{folder}/WiredTiger"), server.pid)
"""


@linux_only
def test_fork_that_ends_leaves_the_server_to_its_owner_whose_end_takes_it_along() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORK],
        env={**os.environ, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert run.returncode == 0, run.stderr
    has_data, pid = run.stdout.split()
    assert has_data == "True"
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
def test_port_that_somebody_was_quicker_to_take_is_left_to_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        ports = iter([port, free_port()])
        monkeypatch.setattr(mongod, "free_port", lambda: next(ports))
        with LocalMongod(tmp_path / "any") as server:
            assert server.port != port

        with pytest.raises(MongodError, match="Address already in use"):
            LocalMongod(tmp_path / "given", port=port).start()
    assert mongods_on(tmp_path / "given") == []


@linux_only
def test_server_that_does_not_answer_in_time_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(MongodError, match=r"did not answer on port .* in 0 seconds"):
        LocalMongod(tmp_path, start_timeout=0).start()

    assert mongods_on(tmp_path) == []


def test_machine_without_mongod_is_told_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_wheel(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(mongod_binary, "distribution", no_wheel)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MongodError) as missing:
        mongod_binary.find_mongod()
    for way in ("flask-otp-auth[testing]", "docker run", "MONGO_URI="):
        assert way in str(missing.value)


def test_binary_without_its_run_bit_is_made_to_run(tmp_path: Path) -> None:
    binary = tmp_path / "mongod"
    binary.touch(mode=0o600)

    found = mongod_binary.runnable(binary, lambda: tmp_path)

    assert os.access(found, os.X_OK)


def log_line(severity: str, message: str, **attributes: str) -> str:
    return json.dumps({"s": severity, "msg": message, "attr": attributes})


@pytest.mark.parametrize(
    ("returncode", "report", "told"),
    [
        (127, "error while loading shared libraries: libcurl.so.4: cannot open", ["libcurl4"]),
        (127, "error while loading shared libraries: liblzma.so.5: cannot open", ["liblzma5"]),
        (
            127,
            "error while loading shared libraries: libodd.so.1: no",
            ["libodd.so.1", "system package"],
        ),
        (100, log_line("F", "x", error="DBPathInUse: locked"), ["already serves /data", "Stop"]),
        (-4, "", ["SIGILL", "AVX", "wrote nothing"]),
        (-9, "", ["SIGKILL"]),
        (
            1,
            log_line("E", "No space", error="disk is full"),
            ["status 1", "No space: disk is full"],
        ),
    ],
)
def test_server_that_ends_at_once_says_why_and_what_to_do(
    returncode: int, report: str, told: list[str]
) -> None:
    text = explain(returncode, report, Path("/data"))

    for part in [*told, "MONGO_URI"]:
        assert part in text


def test_last_words_are_the_grave_ones_and_bounded() -> None:
    report = "\n".join(
        [
            log_line("I", "all is well"),
            *(log_line("E", f"fault {n} " + "x" * 999) for n in range(9)),
        ]
    )

    text = explain(1, report, Path("/data"))

    assert "all is well" not in text
    assert "fault 8" in text
    assert "fault 0" not in text
    assert len(text) < 5000
