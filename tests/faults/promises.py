"""What must hold whatever dies, counted from answers, database and journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pymongo.database import Database
from traffic import Asked, Journal, Traffic

MAX_ATTEMPTS = 3
SLACK = 3.0  # seconds after OTP_AUTH_DB_TIMEOUT within which every answer is there
JUDGED = ("accepted", "rejected", "exhausted")


def broken_promises(
    traffic: Traffic,
    journal: Journal,
    database: Database[dict[str, Any]],
    *,
    db_timeout: float,
    may_lose_connections: bool = False,
) -> list[str]:
    """Return what did not hold, in words; an empty list if all did."""
    answers = traffic.answers
    runs = {asked.run for asked in answers}
    sessions = [
        session
        for session in database.otp_sessions.find()
        if (session["payload"] or {}).get("run") in runs
    ]
    return [
        *_of_answers(answers, db_timeout, may_lose_connections=may_lose_connections),
        *_of_messages(runs, journal, sessions),
        *_of_verdicts(answers, journal, sessions),
        *_of_tokens(answers, journal, sessions),
    ]


def _of_answers(
    answers: Sequence[Asked], db_timeout: float, *, may_lose_connections: bool
) -> Iterator[str]:
    allowed = {200, 400, 401, 403, 503} | ({None} if may_lose_connections else set())
    for asked in answers:
        if asked.status not in allowed:
            yield f"{asked.path} was answered with {asked.status}: {asked.body}"
        if asked.status == 400 and asked.body["error"]["code"] != "alreadyVerified":
            yield f"{asked.path} was refused: {asked.body}"
        if asked.status == 503 and not (asked.retry_after or "").isdecimal():
            yield f"a 503 without Retry-After: {asked.body}"
        if asked.took > db_timeout + SLACK:
            yield f"{asked.path} took {asked.took:.1f} s until {asked.status}"


def _of_messages(
    runs: Collection[str], journal: Journal, sessions: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    stored = Counter(session["payload"]["run"] for session in sessions)
    for run in runs:
        if journal.lines("outbox", run) and not stored[run]:
            yield "a message without a stored session"
        if stored[run] > 1:
            yield f"{stored[run]} sessions of one request"


def _of_verdicts(
    answers: Sequence[Asked], journal: Journal, sessions: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    told: dict[str | None, list[int]] = {}
    for asked in answers:
        if asked.status == 401:
            left = asked.body["data"]["remainingAttempts"]
            told.setdefault(asked.session_id, []).append(left)
    for session in sessions:
        verdicts = Counter(journal.lines("verdicts", session["_id"]))
        judged = sum(verdicts[outcome] for outcome in JUDGED)
        wrong = verdicts["rejected"] + verdicts["exhausted"]
        if judged > MAX_ATTEMPTS:
            yield f"{judged} verdicts of one session: {verdicts}"
        if verdicts["accepted"] > 1 or verdicts["exhausted"] > 1:
            yield f"a verdict was given twice: {verdicts}"
        if not wrong <= session["attempts"] <= MAX_ATTEMPTS:
            yield f"{session['attempts']} tries stored after the verdicts {verdicts}"
        left = told.get(session["_id"], [])
        if len(set(left)) < len(left):
            yield f"tries left were told as {left}"


def _of_tokens(
    answers: Sequence[Asked], journal: Journal, sessions: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    tokens = Counter(asked.session_id for asked in answers if asked.has_token)
    untold = {asked.session_id for asked in answers if asked.is_right and asked.is_untold}
    for session in sessions:
        name, is_verified = session["_id"], session["status"] == "verified"
        minted = len(journal.lines("tokens", session["payload"]["run"]))
        if max(tokens[name], minted) > 1:
            yield f"{minted} tokens made and {tokens[name]} given for one session"
        if minted and not is_verified:
            yield f"a token for a session that is {session['status']}"
        if is_verified and not tokens[name] and name not in untold:
            yield "a session is verified, and nobody has its token or was told to try again"
    if tokens.keys() - {session["_id"] for session in sessions}:
        yield "a token for a session that is not stored"
