"""The probability of guessing a code of one account: a simulation of the best attack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..settings import Settings
from ..state import account_rules
from ..store.account import FIRST_WAIT, LONGEST_WAIT, MOST_OPEN

# An attack with more sends than this is assumed to continue at the same pace.
_MOST_SENDS = 50_000


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that restrict an attacker.

    :param codes: the number of possible codes.
    :param tries: the attempts of a session.
    :param ttl: the seconds for which a code is valid.
    :param resends: the additional codes of a session, all of which are valid together.
    :param sends: for each limit, the sends allowed in a window, and its length in seconds.
    :param lockout_threshold: consecutive failures at which the first wait begins, or ``None``.
    :param disable_after: consecutive failures that disable an account, or ``None``.
    """

    codes: int
    tries: int
    ttl: int
    resends: int
    sends: Sequence[tuple[int, float]]
    lockout_threshold: int | None
    disable_after: int | None

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Return the rules of one application."""
        account = account_rules(settings)
        return cls(
            codes=10**settings.code_length,
            tries=settings.max_attempts,
            ttl=settings.code_ttl,
            resends=settings.max_resends,
            sends=[(count, window.total_seconds()) for count, window in account.sends],
            lockout_threshold=account.lockout_threshold,
            disable_after=account.disable_after,
        )

    @property
    def is_unbounded(self) -> bool:
        """Whether no rule restricts the number of guesses."""
        return not self.sends and self.lockout_threshold is None and self.disable_after is None


@dataclass(frozen=True, slots=True)
class Attack:
    """What an attack on one account achieves.

    :param sends: the codes that are sent, or ``None`` for any number.
    :param guesses: the codes that are tried, or ``None`` for any number.
    :param chance: the probability that one of the guesses is correct, from 0 to 1.
    :param is_stopped: whether the account is disabled before the time is over.
    """

    sends: int | None
    guesses: int | None
    chance: float
    is_stopped: bool


def best_attack(rules: Rules, seconds: int, sign_in_every: int | None = None) -> Attack:
    """Return the attack with the best chance, with few or with many resends.

    The attacker has any number of addresses, so the limits on clients do not matter. As many
    sessions are opened as the limits allow while the first code is valid, and only then are codes
    guessed, so that no wait prevents a session from being opened.

    :param rules: the rules of the application.
    :param seconds: how long the attack lasts.
    :param sign_in_every: the seconds between two sign-ins of the owner, which clear the failures,
        or ``None`` if the owner never signs in.
    :returns: the attack with the most guesses among those with practically the best chance.
    """
    if rules.is_unbounded:
        return Attack(None, None, 1.0, is_stopped=False)
    attacks = [
        _attack(_Attacker(rules, resends, is_patient), seconds, sign_in_every)
        for resends in range(rules.resends + 1)
        for is_patient in (False, True)
    ]
    best = max(attack.chance for attack in attacks)
    return max(
        (attack for attack in attacks if attack.chance >= best * 0.999),
        key=lambda attack: attack.guesses or 0,
    )


def _attack(attacker: _Attacker, seconds: int, sign_in_every: int | None) -> Attack:
    end = 0
    while end < seconds and not attacker.is_tired:
        end = seconds if sign_in_every is None else min(end + sign_in_every, seconds)
        attacker.failures, attacker.locked_until = 0, 0.0
        attacker.guess_until(end)
    more = seconds / max(attacker.now, 1.0) if attacker.is_tired else 1.0
    return Attack(
        sends=round(len(attacker.sends) * more),
        guesses=round(attacker.guesses * more),
        chance=-math.expm1(attacker.log_miss * more),
        is_stopped=attacker.is_disabled and sign_in_every is None,
    )


class _Attacker:
    """An attack in progress. Times are in seconds from its beginning.

    :param resends: the resends to ask for in each session.
    :param is_patient: whether only sessions that got all of them are guessed at, which makes more
        of each guess, but less of each send.
    """

    def __init__(self, rules: Rules, resends: int, is_patient: bool) -> None:
        self.is_patient = is_patient
        self.rules = rules
        self.resends = resends
        self.now = 0.0
        self.sends: list[float] = []
        self.failures = 0
        self.locked_until = 0.0
        self.guesses = 0
        self.log_miss = 0.0  # the logarithm of the chance that all guesses so far were wrong

    @property
    def tries_left(self) -> float:
        """The number of wrong codes that are left until the account is disabled."""
        bound = self.rules.disable_after
        return math.inf if bound is None else bound - self.failures

    @property
    def is_disabled(self) -> bool:
        return self.tries_left < 1

    @property
    def is_tired(self) -> bool:
        """Whether there have been enough sends to extrapolate from."""
        return len(self.sends) >= _MOST_SENDS

    def guess_until(self, end: float) -> None:
        """Open sessions and guess their codes, again and again, until *end* or until stopped."""
        while not (self.is_disabled or self.is_tired):
            opened = self._open_sessions(end)
            if not opened:
                break
            for tries, codes in opened:
                if codes > self.resends or not self.is_patient:
                    self._guess(tries, codes)
        if not self.is_tired:
            self.now = end

    def _open_sessions(self, end: float) -> list[tuple[int, int]]:
        """Open sessions while the first is valid; return the attempts and valid codes of each."""
        opened: list[tuple[int, int]] = []
        left = self.tries_left
        last = end
        while left >= 1 and len(opened) < MOST_OPEN and self._send(last):
            if not opened:
                last = min(end, self.now + self.rules.ttl)
            codes = 1
            while codes <= self.resends and self._send(last):
                codes += 1
            tries = int(min(self.rules.tries, left))
            left -= tries
            opened.append((tries, codes))
        return opened

    def _send(self, before: float) -> bool:
        """Have a code sent as soon as the rules allow it, and return whether that is in time."""
        free_at = [
            self.sends[-count] + window
            for count, window in self.rules.sends
            if len(self.sends) >= count
        ]
        at = max([self.now, self.locked_until, *free_at])
        if at >= before or self.is_tired:
            return False
        self.now = at
        self.sends.append(at)
        return True

    def _guess(self, tries: int, codes: int) -> None:
        """Try *tries* different codes in a session that has *codes* valid ones."""
        for tried in range(tries):
            wrong = self.rules.codes - tried - codes
            miss = wrong / (self.rules.codes - tried)
            self.log_miss += math.log(miss) if miss > 0 else -math.inf
            self.guesses += 1
            self.failures += 1
            self._lock()

    def _lock(self) -> None:
        """Begin a wait if the number of failures requires one."""
        over = self.failures - (self.rules.lockout_threshold or math.inf)
        if over >= 0 and over % self.rules.tries == 0:
            doublings = min(over // self.rules.tries, 30)
            wait = FIRST_WAIT.total_seconds() * 2**doublings
            self.locked_until = self.now + min(wait, LONGEST_WAIT.total_seconds())
