"""Four processes of gunicorn over one database, and requests to all of them at once."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from servers import Answer, Site, gunicorn, post_bytes, send_together

PROCESSES = 4


@dataclass(frozen=True)
class Arena:
    """The processes, and the database that they and their handlers write to."""

    site: Site
    database: Database[dict[str, Any]]

    def emptied(self) -> Arena:
        """Forget what the tests before have stored; the indexes stay."""
        for name in self.database.list_collection_names():
            self.database[name].delete_many({})
        return self

    def start(self) -> tuple[str, str]:
        """Start a session and return its id and its code."""
        run = uuid.uuid4().hex
        # A person of its own for each, so that no lockout of one session meets another.
        session_id = self.site.initiate(f"{run}@example.com", "email", payload={"run": run})
        [sent] = self.database.outbox.find({"payload.run": run})
        return session_id, sent["code"]

    def guess(self, session_id: str, codes: list[str]) -> list[Answer]:
        """Send all *codes* at once."""
        return self.together(
            *(post_bytes("/otp/verify", {"sessionId": session_id, "code": code}) for code in codes)
        )

    def together(self, *requests: bytes) -> list[Answer]:
        """Send all *requests* at once."""
        return send_together(self.site, requests)

    def stored(self, session_id: str) -> dict[str, Any]:
        """Return the document of a session."""
        document = self.database.otp_sessions.find_one({"_id": session_id})
        assert document is not None
        return document


@contextlib.contextmanager
def arena_on(uri: str, log: Path, **options: str) -> Iterator[Arena]:
    """Serve ``races/app.py`` over the database at *uri*, with what ``gunicorn`` takes."""
    served = gunicorn(uri, log, workers=PROCESSES, options=["--preload"], **options)
    with served as site, MongoClient[dict[str, Any]](uri) as client:
        yield Arena(site, client.get_default_database())
