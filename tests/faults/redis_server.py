"""A real Redis on loopback that can be killed and started again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path

from replica_set import wait_for
from servers import HOST

from flask_otp_auth.testing.mongod import free_port

SERVER = shutil.which("redis-server")


class Redis:
    """A Redis of one test, on a port that it keeps.

    :param folder: where it may write; it keeps no data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.uri = f"redis://{HOST}:{self._port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [str(SERVER), "--port", str(self._port), "--bind", HOST, "--save", ""]
        self.process = subprocess.Popen(
            [*command, "--dir", self._folder], stdout=subprocess.DEVNULL
        )
        wait_for(self._listens, "Redis does not start")

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, self._port), timeout=1).close()
            return True
        return False

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(10)
