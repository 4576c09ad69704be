"""Hypothesis: any order of codes, guesses and waiting keeps the promises about a session."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from support.world import NOW, MakeWorld, World

TTL = 300
MAX_ATTEMPTS = 3
MAX_RESENDS = 2
# A clock that is a float may be a little before the millisecond that it is moved to.
WITHIN = timedelta(microseconds=100)
END_STATES = {"verified", "locked", "expired"}


@dataclass
class Started:
    """What must be true of one session, by a model of its own."""

    session_id: str
    codes: list[str]
    expires_at: datetime
    status: str = "pending"
    wrong: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    ended: dict[str, Any] | None = field(default=None, repr=False)


class Sessions(RuleBasedStateMachine):
    """A person, a guesser and a clock at one application."""

    world: World
    clock: time_machine.Traveller

    sessions = Bundle("sessions")

    @initialize()
    def start(self) -> None:
        self.started: list[Started] = []
        self.now = NOW
        self.clock.move_to(NOW)

    @rule(
        target=sessions,
        identifier=st.sampled_from(["+46701234567", "+46701234568"]),
        count=st.integers(1, 2),
    )
    def initiate(self, identifier: str, count: int) -> Any:
        fresh = []
        for _ in range(count):
            session_id = self.world.initiate(identifier)
            expires_at = self.now + timedelta(seconds=TTL)
            fresh.append(Started(session_id, [self.world.code], expires_at))
        self.started += fresh
        return multiple(*fresh)

    @rule(session=sessions)
    def resend(self, session: Started) -> None:
        sent = len(self.world.outbox)
        answer = self.world.client.post("/otp/resend", json={"sessionId": session.session_id})
        assert answer.status_code == self._model_of_resend(session), answer.text
        assert len(self.world.outbox) - sent == (answer.status_code == 200)
        if answer.status_code == 200:
            session.codes.append(self.world.code)
            left = int((session.expires_at - self.now).total_seconds())
            assert answer.json["data"]["ttl"] == left

    def _model_of_resend(self, session: Started) -> int:
        self._expire(session)
        if session.status in ("verified", "locked"):
            return 404
        if session.status == "expired":
            return 403
        return 200 if len(session.codes) <= MAX_RESENDS else 429

    @rule(session=sessions, which=st.integers(0, MAX_RESENDS))
    def verify_right(self, session: Started, which: int) -> None:
        self._verify(session, session.codes[which % len(session.codes)])

    @rule(session=sessions, offset=st.integers(1, 999_999), times=st.integers(1, 4))
    def verify_wrong(self, session: Started, offset: int, times: int) -> None:
        for _ in range(times):
            self._verify(session, f"{(int(session.codes[0]) + offset) % 1_000_000:06d}")

    @rule(session=sessions, other=sessions)
    def verify_with_the_code_of_another_session(self, session: Started, other: Started) -> None:
        self._verify(session, other.codes[-1])

    @rule(session=sessions, code=st.sampled_from(["", " ", "-", "1" * 65, 123456, None, ["1"]]))
    def verify_with_no_code(self, session: Started, code: Any) -> None:
        assert self.world.verify(session.session_id, code).status_code == 400

    @rule(
        seconds=st.sampled_from([0.001, 1.0, 60.0, TTL - 0.001, TTL, TTL + 0.001, 3600.0])
        | st.floats(-30, 600)
    )
    def wait(self, seconds: float) -> None:
        self.now += timedelta(milliseconds=round(seconds * 1000))
        self.clock.move_to(self.now + WITHIN)

    @rule(session=sessions, before=st.sampled_from([0.001, 0, -0.001]))
    def wait_for_the_expiry(self, session: Started, before: float) -> None:
        moment = session.expires_at - timedelta(seconds=before)
        if moment > self.now:
            self.now = moment
            self.clock.move_to(moment + WITHIN)

    def _verify(self, session: Started, code: str) -> None:
        answer = self.world.verify(session.session_id, code)
        expected = self._model(session, code in session.codes)
        body = answer.json
        outcome = body["data"]["status"] if "data" in body else body["error"]["code"]
        left = body.get("data", {}).get("remainingAttempts")
        assert (answer.status_code, outcome, left) == expected
        session.outcomes[outcome] += 1

    def _model(self, session: Started, right: bool) -> tuple[int, str, int | None]:
        self._expire(session)
        match session.status:
            case "verified":
                return 400, "alreadyVerified", None
            case "expired":
                return 403, "expired", None
            case "locked":
                return 403, "locked", 0
        if right:
            session.status = "verified"
            return 200, "success", None
        session.wrong += 1
        if session.wrong == MAX_ATTEMPTS:
            session.status = "locked"
            return 403, "locked", 0
        return 401, "invalid_code", MAX_ATTEMPTS - session.wrong

    def _expire(self, session: Started) -> None:
        if session.status == "pending" and self.now >= session.expires_at:
            session.status = "expired"

    @invariant()
    def promises_hold(self) -> None:
        stored = {document["_id"]: document for document in self.world.sessions.find()}
        for session in getattr(self, "started", []):
            document = stored[session.session_id]
            seen = session.outcomes
            assert seen["success"] <= 1
            assert seen["success"] + seen["invalid_code"] + min(seen["locked"], 1) <= MAX_ATTEMPTS
            assert document["attempts"] == session.wrong <= MAX_ATTEMPTS
            assert document["status"] == session.status
            assert document["expiresAt"].replace(tzinfo=UTC) == session.expires_at
            assert (document["verifiedAt"] is not None) == (session.status == "verified")
            assert ("digests" in document) == (session.status == "pending")
            if session.ended is not None:
                kept = document.keys() - {"verdict"}
                assert {key: document[key] for key in kept} == session.ended
            elif document["status"] in END_STATES:
                document.pop("verdict", None)  # a session that a resend ended has none
                session.ended = document


def test_no_order_of_events_gives_a_second_success_or_a_free_guess(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(CODE_TTL=TTL, MAX_ATTEMPTS=MAX_ATTEMPTS, MAX_RESENDS=MAX_RESENDS)

    class Machine(Sessions):
        def __init__(self) -> None:
            super().__init__()
            self.world, self.clock = world, clock
            world.sessions.delete_many({})

    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True),
    )
