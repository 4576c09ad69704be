"""The demo of the README as it runs, in a copy of the examples that a test may change."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.servers import HOST, ROOT, Site, process, python_path, wait_until


def codes_in(log: Path, identifier: str) -> list[str]:
    """Return the codes that the demo has printed for *identifier*, the newest last."""
    pattern = rf"Code: (\d+) .*\n.*for {re.escape(identifier)} by"
    return re.findall(pattern, log.read_text())


@dataclass(frozen=True)
class Demo:
    """The demo as it runs, and its terminal."""

    site: Site
    process: subprocess.Popen[bytes]
    log: Path
    instance: Path

    def code(self, identifier: str) -> str:
        """Return the code that was printed last for *identifier*."""
        return codes_in(self.log, identifier)[-1]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, self.process, self.log)


DEMO = [sys.executable, "-m", "flask", "--app", "examples/quickstart"]


def copy_demo(folder: Path) -> Path:
    """Copy the examples into *folder*, without data, and return where the demo keeps its own."""
    shutil.copytree(
        ROOT / "examples",
        folder / "examples",
        ignore=shutil.ignore_patterns("instance", "__pycache__", "node_modules"),
        dirs_exist_ok=True,
    )
    return folder / "examples" / "quickstart" / "instance"


def demo_environment() -> dict[str, str]:
    """Return an environment that says nothing about the demo's database.

    The wait between two codes is off, since a test cannot move the clock of another process.
    """
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("FLASK_")},
        "FLASK_OTP_AUTH_IDENTIFIER_LIMITS": "null",
        "MONGO_URI": "",
        "PYTHONPATH": python_path(),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextlib.contextmanager
def demo(folder: Path, *arguments: str, mongo_uri: str = "", **more_env: str) -> Iterator[Demo]:
    """Run a copy of the demo in *folder* with ``flask run``."""
    instance = copy_demo(folder)
    log = folder / "terminal.log"
    env = demo_environment() | {"MONGO_URI": mongo_uri} | more_env
    with process([*DEMO, "run", "--port=0", *arguments], env=env, log=log, cwd=folder) as child:
        port: list[str] = []

        def listens() -> bool:
            port[:] = re.findall(rf"Running on http://{HOST}:(\d+)", log.read_text())
            return bool(port)

        wait_until(listens, child, log)
        yield Demo(Site(int(port[0])), child, log, instance)


def mongods_on(dbpath: Path) -> list[int]:
    """Return the processes that run a mongod on that data; for Linux."""
    wanted = f"--dbpath={dbpath}".encode()
    found = []
    for running in Path("/proc").glob("[0-9]*"):
        try:
            command = (running / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if wanted in command:
            found.append(int(running.name))
    return found
