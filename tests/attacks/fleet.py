"""gunicorn with several processes in front of one database, and requests to it all at once."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import SECRET_KEY
from pymongo import MongoClient
from pymongo.database import Database
from servers import HOST, Answer, Site, process, python_path, send_together, wait_until


@dataclass(frozen=True)
class Fleet:
    """Server processes and the database behind them."""

    site: Site
    database: Database[dict[str, Any]]
    uri: str

    def post_together(self, posts: Sequence[tuple[str, Any, str]]) -> list[Answer]:
        """Send all of (path, body, client address) at once; the proxy tells the address."""
        return send_together(self.site, [_post_from(*post) for post in posts])


def _post_from(path: str, body: Any, address: str) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"X-Forwarded-For: {address}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


@contextlib.contextmanager
def fleet(uri: str, log: Path, *, workers: int = 4) -> Iterator[Fleet]:
    """Serve ``attacks/app.py`` over the database at *uri* from *workers* processes, all ready."""
    with socket.create_server((HOST, 0), backlog=2048) as listener:
        site = Site(listener.getsockname()[1])
        command = [
            *(sys.executable, "-m", "gunicorn", "app:create_app()"),
            f"--pythonpath={Path(__file__).parent}",
            f"--bind=fd://{listener.fileno()}",
            f"--workers={workers}",
            "--threads=4",
            "--graceful-timeout=5",
            "--no-control-socket",
        ]
        env = {
            **os.environ,
            "MONGO_URI": uri,
            "SECRET_KEY": SECRET_KEY,
            "PYTHONPATH": python_path(),
        }
        run = process(command, env=env, log=log, pass_fds=[listener.fileno()])
        with run as child, MongoClient(uri) as client:
            listener.close()
            served = Fleet(site, client.get_default_database(), uri)
            seen: set[str] = set()

            def all_answered() -> bool:
                answers = served.post_together([("/", {}, "192.0.2.1")] * workers * 4)
                seen.update(answer.headers["X-Process"] for answer in answers)
                return len(seen) == workers

            wait_until(all_answered, child, log)
            yield served
