"""Four processes of gunicorn over one database, and requests to all of them at once."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pymongo import MongoClient
from pymongo.database import Database

from support.servers import Answer, Site, gunicorn, post_bytes, send_together

PROCESSES = 4


@dataclass(frozen=True)
class Processes:
    """The processes, and the database that they and their handlers write to."""

    site: Site
    database: Database[dict[str, Any]]
    uri: str

    @classmethod
    @contextlib.contextmanager
    def serve(cls, uri: str, log: Path, **env: str) -> Iterator[Self]:
        """Serve ``served_app.py`` over the database at *uri*, with what ``gunicorn`` takes."""
        served = gunicorn(uri, log, workers=PROCESSES, options=["--preload"], **env)
        with served as site, MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
            yield cls(site, client.get_default_database(), uri)

    def emptied(self) -> Self:
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

    def post_together(self, posts: Sequence[tuple[str, Any, str]]) -> list[Answer]:
        """Send all of (path, body, client address) at once; the proxy tells the address."""
        return self.together(
            *(post_bytes(path, body, {"X-Forwarded-For": client}) for path, body, client in posts)
        )

    def together(self, *requests: bytes) -> list[Answer]:
        """Send all *requests* at once."""
        return send_together(self.site, requests)

    def stored(self, session_id: str) -> dict[str, Any]:
        """Return the document of a session."""
        document = self.database.otp_sessions.find_one({"_id": session_id})
        assert document is not None
        return document
