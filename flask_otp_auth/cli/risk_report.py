"""``flask otp risk``: the chance of guessing a code of one account in a day and in a year."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import click

from ..settings import Settings
from ..wording import limit
from .attack import Attack, Rules, best_attack
from .output import command, current_state, json_option, print_json, print_table

_DAY = 86_400
_TIMES = {"day": _DAY, "year": 365 * _DAY}
_OWNERS = {"never": None, "every day": _DAY}
_MOST_DIGITS = 8
Attacks = dict[tuple[str, str], Attack]


@command("risk")
@json_option
def risk(as_json: bool) -> None:
    """Print the chance of guessing a code in a day or a year.

    It is that of the best attack on one account under this configuration, from any number of client
    addresses. Whenever the owner signs in, the failures are cleared, and the attack can go on.
    """
    settings = current_state().settings
    rules = Rules.of(settings)
    attacks = _attacks(rules)
    worst = _worst(attacks)
    if as_json:
        print_json(_as_dict(rules, attacks, worst))
        return
    _print_rules(rules, settings)
    rows = [
        [owner, time, _count(attack.sends), _count(attack.guesses), *_chance(attack)]
        for (owner, time), attack in attacks.items()
    ]
    headings = ["Owner signs in", "In a", "Sends", "Guesses", "Chance", "", "Account"]
    print_table(headings, rows)
    click.echo()
    for time, chance in worst.items():
        click.echo(
            f"At worst, somebody guesses a code of one account in a {time} with a chance of "
            f"{_odds(chance)}."
        )
    for advice in _advice(rules, settings):
        click.echo(advice)


def _attacks(rules: Rules) -> Attacks:
    return {
        (owner, time): best_attack(rules, seconds, every)
        for owner, every in _OWNERS.items()
        for time, seconds in _TIMES.items()
    }


def _worst(attacks: Attacks) -> dict[str, float]:
    return {
        time: max(attack.chance for (_, within), attack in attacks.items() if within == time)
        for time in _TIMES
    }


def _advice(rules: Rules, settings: Settings) -> Iterator[str]:
    """Yield what would make the chance smaller, and what is not in it."""
    if settings.code_length < _MOST_DIGITS:
        longer = _worst(_attacks(replace(rules, codes=10**_MOST_DIGITS)))
        yield (
            f"With OTP_AUTH_CODE_LENGTH = {_MOST_DIGITS} it would be {_one_in(longer['year'])} in "
            "a year."
        )
    yield (
        "Fewer codes a day (OTP_AUTH_IDENTIFIER_LIMITS) and fewer resends (OTP_AUTH_MAX_RESENDS) "
        "make it smaller too."
    )
    if settings.disable_after is None:
        yield "OTP_AUTH_DISABLE_AFTER would end the attack while the owner does not sign in."
    if settings.trusted_devices is not None:
        yield (
            "A trusted device is guessed at apart from its account, by whoever has its token: each "
            "adds the same chance once more."
        )
    if settings.test_identifiers:
        yield (
            "Test identifiers are not included: whoever knows the code of one can sign in with it."
        )


def _as_dict(rules: Rules, attacks: Attacks, worst: dict[str, float]) -> dict[str, Any]:
    return {
        "rules": asdict(rules),
        "attacks": [
            {"owner_signs_in": owner, "time": time, **asdict(attack)}
            for (owner, time), attack in attacks.items()
        ],
        "chance_per_day": worst["day"],
        "chance_per_year": worst["year"],
    }


def _print_rules(rules: Rules, settings: Settings) -> None:
    limits = "; ".join(map(limit, settings.identifier_limits)) or "none"
    at_once = rules.resends + 1
    lines = [
        f"{rules.codes:,} codes (OTP_AUTH_CODE_LENGTH {settings.code_length}), each valid for "
        f"{rules.ttl} s (OTP_AUTH_CODE_TTL)",
        f"{rules.tries} attempts per session (OTP_AUTH_MAX_ATTEMPTS), in which {at_once} "
        f"{'code is' if at_once == 1 else 'codes are'} valid after "
        f"{rules.resends} resends (OTP_AUTH_MAX_RESENDS)",
        f"Sends to one account: {limits} (OTP_AUTH_IDENTIFIER_LIMITS)",
        "New codes have to wait: "
        + _after(rules.lockout_threshold, "OTP_AUTH_LOCKOUT_THRESHOLD")
        + "; the account is disabled: "
        + _after(rules.disable_after, "OTP_AUTH_DISABLE_AFTER"),
    ]
    click.echo("\n".join(lines) + "\n")


def _after(failures: int | None, key: str) -> str:
    return f"never ({key})" if failures is None else f"after {failures} failures in a row ({key})"


def _count(number: int | None) -> str:
    return "any number" if number is None else f"{number:,}"


def _chance(attack: Attack) -> list[str]:
    state = "disabled" if attack.is_stopped else "stays open"
    return [f"{attack.chance:.4%}", _one_in(attack.chance), state]


def _odds(chance: float) -> str:
    return f"{chance:.4%} ({_one_in(chance)})"


def _one_in(chance: float) -> str:
    return f"1 in {round(1 / chance):,}" if chance else "none"
