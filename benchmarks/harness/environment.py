"""What has to be installed: one virtual environment or node_modules folder per app under test."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
PEERS = HERE / "peers"
MAIN = "main"  # the environment of the runner, the floor and this extension


class MissingToolError(RuntimeError):
    """A part cannot run on this machine; the text says what is missing."""


def say(text: str) -> None:
    """Tell the person who waits what is going on."""
    print(text, file=sys.stderr, flush=True)


def python_environment(work: Path, name: str, requirements: Path) -> Path:
    """Return the Python of the environment *name*, made from *requirements* if need be."""
    folder = work / "venvs" / name
    python = folder / "bin" / "python"
    if not _stamped(folder, requirements):
        say(f"setting up the Python environment {name}")
        shutil.rmtree(folder, ignore_errors=True)
        # From the base interpreter: an environment of an environment would break with it.
        base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
        _run([str(base), "-m", "venv", str(folder)])
        install = ["install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)]
        _run([str(python), "-m", "pip", *install])
        _stamp(folder, requirements)
    return python


def node_environment(work: Path, name: str) -> Path:
    """Return the folder where the Node app *name* and its packages lie side by side."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise MissingToolError(f"{tool} is not on PATH")
    folder = work / "node" / name
    package = PEERS / name / "package.json"
    if not _stamped(folder, package):
        say(f"setting up the Node packages of {name}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(package, folder)
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
        _run(["npm", "install", "--silent", *options], cwd=folder)
        _stamp(folder, package)
    for file in (PEERS / name).glob("*.*js"):
        shutil.copy(file, folder)
    return folder


def redis_server() -> str:
    """Return the path of redis-server."""
    path = shutil.which("redis-server")
    if path is None:
        raise MissingToolError("redis-server is not on PATH")
    return path


def enter_main(work: Path) -> None:
    """Go on in the runner's own environment: replaces this process unless it is there already."""
    python = python_environment(work, MAIN, HERE / "requirements.txt")
    if Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), *sys.argv])


def _run(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        output = (done.stdout + done.stderr).strip()[-2000:]
        raise MissingToolError(f"{' '.join(command[:4])} ... failed:\n{output}")


def _stamped(folder: Path, source: Path) -> bool:
    stamp = folder / "installed.sha256"
    return stamp.exists() and stamp.read_text() == _digest(source)


def _stamp(folder: Path, source: Path) -> None:
    (folder / "installed.sha256").write_text(_digest(source))


def _digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()
