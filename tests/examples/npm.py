"""The examples in TypeScript: a copy of each, what npm makes of it, and the API they talk to."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.servers import ROOT, Site, threaded
from support.world import SECRET_KEY

NODE = (20, 19)
TIMEOUT = 180.0  # seconds, on a busy machine whose caches are empty; otherwise it takes 30
CLIENT = Path("flask_otp_auth", "static", "otp_auth", "client.js")


def missing() -> str:
    """Return what the examples lack to be built here, or nothing."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return "needs Node and npm: apt-get install nodejs npm"
    run = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=TIMEOUT)
    version = tuple(map(int, run.stdout.strip().removeprefix("v").split(".")))
    return "" if version >= NODE else f"needs Node {NODE[0]}.{NODE[1]} or later"


MISSING = missing()
needs_node = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def copy_example(name: str, folder: Path) -> Path:
    """Copy an example and the client that it imports as they lie in the repository."""
    copy = folder / "examples" / name
    clutter = shutil.ignore_patterns("node_modules", "dist", ".expo")
    shutil.copytree(ROOT / "examples" / name, copy, ignore=clutter)
    (folder / CLIENT.parent).mkdir(parents=True)
    shutil.copy(ROOT / CLIENT, folder / CLIENT)
    return copy


def npm(folder: Path, *arguments: str, **env: str) -> None:
    """Run npm, and fail with what it wrote if it does."""
    command = [str(shutil.which("npm")), *arguments]
    run = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "CI": "true", **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
    )
    assert run.returncode == 0, f"npm {' '.join(arguments)}:\n{run.stdout}"


def install(folder: Path) -> None:
    """Install what the lock file names; the three tries are for a slow registry."""
    retries = ("--fetch-retries=3", "--fetch-timeout=30000")
    npm(folder, "ci", "--no-audit", "--no-fund", "--prefer-offline", *retries)


@contextlib.contextmanager
def token_api(mongo_uri: str, folder: Path, **config: Any) -> Iterator[Site]:
    """Serve ``examples/token_api`` from threads of this process, whose clock a test may move."""
    token_api = pytest.importorskip("token_api", reason="needs Flask-CORS: pip install flask-cors")
    app = token_api.create_app(
        {
            "MONGO_URI": mongo_uri,
            "SECRET_KEY": SECRET_KEY,
            # The tests of a module share their address.
            "OTP_AUTH_CLIENT_LIMITS": "1000 per minute",
            **config,
        },
        instance_path=folder,
    )
    with contextlib.closing(app.extensions["otp_auth"].mongo.cx), threaded(app) as site:
        yield site
