"""Traffic: people who sign in, mistype and cheat, all at once, and what they were answered."""

from __future__ import annotations

import http.client
import itertools
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from replica_set import wait_for
from support.servers import Site

PEOPLE = 4
AT_ONCE = 4
KINDS = ("outbox", "tokens", "verdicts")


class Journal:
    """What the application wrote about itself, outside its database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for kind in KINDS:
            (folder / kind).mkdir(parents=True, exist_ok=True)

    @property
    def env(self) -> dict[str, str]:
        """What the application finds in its environment."""
        return {
            "JOURNAL": str(self.folder),
            "FLASK_OTP_AUTH_IDENTIFIER_LIMITS": "20 per day",
        }

    def lines(self, kind: str, name: str) -> list[str]:
        """Return what was noted under a name."""
        file = self.folder / kind / name
        return file.read_text().split() if file.exists() else []


@dataclass(frozen=True)
class Asked:
    """One request, and its answer if there was one.

    :param run: of the login that it belongs to.
    :param is_right: whether it was a right code.
    :param status: of the answer, ``None`` where the connection was lost.
    :param took: seconds until the answer.
    """

    path: str
    run: str
    session_id: str | None
    is_right: bool
    status: int | None
    body: Any
    retry_after: str | None
    process: str | None
    began: float
    took: float

    @property
    def has_token(self) -> bool:
        return self.path == "verify" and self.status == 200

    @property
    def is_untold(self) -> bool:
        """Whether the client cannot know what became of it."""
        return self.status in (None, 503)


class Traffic:
    """People at a site, from the beginning of the ``with`` block until its end.

    :param give_up: seconds after which a client waits for an answer no longer.
    """

    def __init__(self, site: Site, journal: Journal, *, give_up: float = 30.0) -> None:
        self._site = site
        self._journal = journal
        self._give_up = give_up
        self._ended = threading.Event()
        self._numbers = itertools.count()
        self._errors: list[Exception] = []
        self._people = [threading.Thread(target=self._live) for _ in range(PEOPLE)]
        self.answers: list[Asked] = []

    def __enter__(self) -> Traffic:
        for person in self._people:
            person.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        for person in self._people:
            person.join(120)
        assert not self._errors, self._errors[0]

    def let(self, seconds: float) -> None:
        """Let it go on for a while."""
        self._ended.wait(seconds)
        assert not self._errors, self._errors[0]

    def until_logins(self, count: int = 20) -> None:
        """Let it go on until so many people who begin from now on have signed in."""
        began = time.monotonic()

        def are_in() -> bool:
            assert not self._errors, self._errors[0]
            runs = {
                asked.run
                for asked in [*self.answers]
                if asked.path == "initiate" and asked.began > began
            }
            tokens = [asked for asked in [*self.answers] if asked.has_token and asked.run in runs]
            return len(tokens) >= count

        wait_for(are_in, "people cannot sign in again")

    def until_answered_by(self, count: int) -> None:
        """Let it go on until so many processes have answered from now on."""
        began = time.monotonic()

        def have_answered() -> bool:
            assert not self._errors, self._errors[0]
            late = [asked for asked in [*self.answers] if asked.began > began and asked.process]
            return len({asked.process for asked in late}) >= count

        wait_for(have_answered, "a process is missing")

    def _live(self) -> None:
        try:
            while not self._ended.is_set():
                self._login(next(self._numbers))
        except Exception as error:
            self._errors.append(error)

    def _login(self, number: int) -> None:
        run = uuid.uuid4().hex
        started = self._ask(
            "initiate",
            run,
            {"identifier": f"{run}@example.com", "method": "email", "payload": {"run": run}},
        )
        if started.status != 200:
            time.sleep(0.1)
            return
        session_id = started.body["data"]["sessionId"]
        code = self._journal.lines("outbox", run)[0]
        wrong = f"{(int(code) + 1) % 10**6:06}"

        def guess(typed: str) -> Asked:
            body = {"sessionId": session_id, "code": typed}
            return self._ask("verify", run, body, session_id, is_right=typed != wrong)

        match number % 5:
            case 1:
                guess(wrong)
            case 2:
                self._at_once(guess, [code] * AT_ONCE)
            case 3:
                self._at_once(guess, [wrong] * AT_ONCE)
            case 4:
                guess(wrong)
                answer = self._ask("resend", run, {"sessionId": session_id}, session_id)
                if answer.status == 200:
                    code = self._journal.lines("outbox", run)[-1]
        for _ in range(5):
            if not guess(code).is_untold:
                break
            time.sleep(0.2)
        guess(code)

    @staticmethod
    def _at_once(guess: Callable[[str], Asked], codes: Iterable[str]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(guess, codes))

    def _ask(
        self,
        path: str,
        run: str,
        body: dict[str, Any],
        session_id: str | None = None,
        *,
        is_right: bool = False,
    ) -> Asked:
        client = f"10.0.{random.randrange(256)}.{random.randrange(256)}"
        began = time.monotonic()
        status = content = retry_after = process = None
        try:
            answer = self._site.post(f"/otp/{path}", body, {"X-Forwarded-For": client})
            status, content = answer.status, answer.json
            retry_after, process = answer.headers["Retry-After"], answer.headers["X-Process"]
        except (ConnectionError, TimeoutError, http.client.HTTPException):
            pass  # what the invariants think of it depends on the fault
        took = time.monotonic() - began
        asked = Asked(
            path, run, session_id, is_right, status, content, retry_after, process, began, took
        )
        self.answers.append(asked)
        return asked
