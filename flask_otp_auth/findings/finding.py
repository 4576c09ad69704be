"""One finding, and when it is said."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import partial


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

    :param severity: how bad it is.
    :param name: the name of the point.
    :param sentence: what was found, without a full stop; never a secret.
    :param advice: what to do about it, in whole sentences; empty if there is nothing to do.
    :param when: when it is said besides by ``flask otp check``.
    :param in_development: whether it is said in debug and testing mode too.
    :param is_logged: whether it is a line in the log, in every mode, and not a SecurityWarning.
    """

    severity: Severity
    name: str
    sentence: str
    advice: str = ""
    when: When = When.CHECK
    in_development: bool = False
    is_logged: bool = False

    @property
    def text(self) -> str:
        """The finding as one text."""
        return f"{self.sentence}. {self.advice}"


passed = partial(Finding, Severity.PASS)
warned = partial(Finding, Severity.WARN)
failed = partial(Finding, Severity.FAIL)
