"""What the flow of one application works with, and its clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from .admission import Admission
from .codes import CodeDigester
from .config import Settings
from .lockouts import LockoutStore
from .store.sessions import SessionStore
from .types import AuthResult, Method, Payload, Session


class HostHandlers(Protocol):
    """The host's functions as the flow calls them."""

    def require(self) -> None:
        """Raise MissingHandlerError unless both required functions are there."""

    def send_code(
        self, code: str, identifier: str, method: Method, payload: Payload | None
    ) -> bool:
        """Return whether the code is on its way."""

    def get_user(self, identifier: str, method: Method, payload: Payload | None) -> Any:
        """Return the user, or ``None``."""


class Notify(Protocol):
    """Tells the host's signal receivers."""

    def __call__(
        self,
        name: str,
        *,
        method: str | None = None,
        identifier: str | None = None,
        session_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Send the signal *name*; the identifier is masked on the way."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the flow of one application works with.

    :param admission: lets sends through.
    :param unlimited: the same for a code that is not sent.
    :param sign_in: makes the tokens for a user: (user, session, now).
    :param later: runs a job after the answer, or ``None`` to send before it.
    """

    settings: Settings
    sessions: SessionStore
    lockouts: LockoutStore
    admission: Admission
    unlimited: Admission
    digester: CodeDigester
    handlers: HostHandlers
    sign_in: Callable[[Any, Session, datetime], AuthResult]
    notify: Notify
    later: Callable[[Callable[[], None]], None] | None = None


def utc_now() -> datetime:
    """Return the application's clock, in the whole milliseconds that MongoDB keeps."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def about(session: Session) -> dict[str, str]:
    """Return what a signal says of a session."""
    return {
        "method": session.method,
        "identifier": session.identifier,
        "session_id": session.session_id,
    }
