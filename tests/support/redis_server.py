"""A real Redis on loopback that can be killed and started again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType

import pytest

from flask_otp_auth.testing.mongod import free_port
from support.servers import HOST, PATIENCE, wait_until

SERVER = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(
    SERVER is None, reason="needs redis-server: apt-get install redis-server"
)


class Redis:
    """A Redis of one test, on a port that it keeps; it runs from here to the end of its block.

    :param folder: where it may write; it keeps no data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.uri = f"redis://{HOST}:{self.port}"
        self.start()

    def __enter__(self) -> Redis:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        log = self._folder / "redis.log"
        command = [str(SERVER), "--port", str(self.port), "--bind", HOST, "--save", ""]
        with log.open("wb") as output:
            self.process = subprocess.Popen([*command, "--dir", self._folder], stdout=output)
        try:
            wait_until(self._listens, self.process, log)
        except BaseException:
            self.kill()
            raise

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, self.port), timeout=1).close()
            return True
        return False

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(PATIENCE)
