"""A mongod for tests whose data is in memory."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from flask_otp_auth.testing.mongod import LocalMongod

RAM_DISK = Path("/dev/shm")
ROOM_FOR_MONGOD = 2 * 1024**3  # bytes; the databases of tests are gone some minutes after them


@contextlib.contextmanager
def mongod_in_memory(args: Sequence[str] = ()) -> Iterator[LocalMongod]:
    """Run a server whose data is on the RAM disk of the system, if that has room for it.

    :param args: more arguments for ``mongod``.
    """
    with contextlib.ExitStack() as stack:
        folder: Path | None = None
        if RAM_DISK.is_dir() and shutil.disk_usage(RAM_DISK).free > ROOM_FOR_MONGOD:
            temporary = tempfile.TemporaryDirectory(prefix="otp-tests-", dir=RAM_DISK)
            folder = Path(stack.enter_context(temporary))
        yield stack.enter_context(LocalMongod(folder, args=args))
