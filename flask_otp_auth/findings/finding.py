"""One finding, and when it is said."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Severity(StrEnum):
    """Whether a point is in order, may be intended, or has to be mended before production."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


class When(Enum):
    """When a weakness is said, besides by ``flask otp check``."""

    CHECK = "not at all"
    START = "in init_app, or at the first request if it came about later"
    REQUEST = "at the first request, since applications register loaders after init_app"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one point of the checklist.

    :param name: the name of the point.
    :param severity: how bad it is.
    :param sentence: what was found, without a full stop; never a secret.
    :param advice: what to do about it, in whole sentences; empty if there is nothing to do.
    :param when: when it is said besides by ``flask otp check``.
    :param in_development: whether it is said in debug and testing mode too.
    :param is_logged: whether it is a line in the log, in every mode, and not a SecurityWarning.
    """

    name: str
    severity: Severity
    sentence: str
    advice: str = ""
    when: When = When.CHECK
    in_development: bool = False
    is_logged: bool = False

    @property
    def text(self) -> str:
        """The finding as one text."""
        return f"{self.sentence}. {self.advice}"


def passed(name: str, sentence: str) -> Finding:
    """Return a point that is in order."""
    return Finding(name, Severity.PASS, sentence)


def warned(
    name: str,
    sentence: str,
    advice: str,
    when: When = When.CHECK,
    *,
    in_development: bool = False,
    is_logged: bool = False,
) -> Finding:
    """Return a point that may be intended."""
    return Finding(name, Severity.WARN, sentence, advice, when, in_development, is_logged)


def failed(
    name: str,
    sentence: str,
    advice: str,
    when: When = When.CHECK,
    *,
    in_development: bool = False,
    is_logged: bool = False,
) -> Finding:
    """Return a point that has to be mended before production."""
    return Finding(name, Severity.FAIL, sentence, advice, when, in_development, is_logged)
