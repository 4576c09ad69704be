"""gunicorn with several processes in front of one database, and requests to it all at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import SECRET_KEY
from pymongo import MongoClient
from pymongo.database import Database
from servers import Answer, Site, gunicorn, post_bytes, send_together


@dataclass(frozen=True)
class Fleet:
    """Server processes and the database behind them."""

    site: Site
    database: Database[dict[str, Any]]
    uri: str

    def post_together(self, posts: Sequence[tuple[str, Any, str]]) -> list[Answer]:
        """Send all of (path, body, client address) at once; the proxy tells the address."""
        return send_together(
            self.site,
            [post_bytes(path, body, {"X-Forwarded-For": client}) for path, body, client in posts],
        )


@contextlib.contextmanager
def fleet(uri: str, log: Path, *, workers: int = 4) -> Iterator[Fleet]:
    """Serve ``attacks/app.py`` over the database at *uri* from *workers* processes, all ready."""
    served = gunicorn(
        uri,
        log,
        folder=Path(__file__).parent,
        workers=workers,
        options=["--preload"],
        SECRET_KEY=SECRET_KEY,
    )
    with served as site, MongoClient(uri) as client:
        yield Fleet(site, client.get_default_database(), uri)
