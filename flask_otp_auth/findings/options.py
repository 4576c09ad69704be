"""Findings about the options of the extension: codes, people, devices and test identifiers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from flask import Flask

from .. import identifiers
from ..clock import utc_now
from ..state import AppState
from ..wording import duration
from .finding import Finding, When, failed, passed, warned

_LEAST_DIGITS = 6
_LONGEST_TTL, _SHORTEST_TTL = 600, 30
_LONGEST_FIXED_CODE = timedelta(days=366)
# Codes that an attacker tries first.
_TRIVIAL = {"0123456789"[start : start + length] for length in range(4, 9) for start in range(7)}


def late_options(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that no option was set too late to have an effect."""
    now = options_in(app)
    keys = {*state.given, *now} - {"DEBUG"}
    late = sorted(key for key in keys if state.given.get(key) != now.get(key))
    for key in late:
        yield failed(
            "late options",
            f"{key} was changed after init_app, which has no effect",
            "Set all options before init_app is called.",
            When.REQUEST,
            is_logged=True,
        )
    if not late:
        yield passed("late options", "all options were set before init_app")


def options_in(app: Flask) -> dict[str, object]:
    """Return the debug mode and the options of *app*, as they are given in its configuration."""
    ours = {key: value for key, value in app.config.items() if str(key).startswith("OTP_AUTH_")}
    return {"DEBUG": app.debug, **ours}


def code_length(_: Flask, state: AppState) -> Iterator[Finding]:
    """Check that a code has 20 bits, which means six digits (OWASP ASVS 5.0, 6.5.4)."""
    length = state.settings.code_length
    if length < _LEAST_DIGITS:
        yield failed(
            "code length",
            f"OTP_AUTH_CODE_LENGTH is {length}: codes of {length} digits are easy to guess; OWASP "
            "ASVS 5.0 (6.5.4) and NIST SP 800-63B require six",
            "Set OTP_AUTH_CODE_LENGTH to 6 or more.",
            When.START,
            in_development=True,
        )
    else:
        yield passed("code length", f"codes have {length} digits")


def code_lifetime(_: Flask, state: AppState) -> Iterator[Finding]:
    """Check that a code is valid for at most ten minutes (OWASP ASVS 5.0, 6.5.5)."""
    ttl = state.settings.code_ttl
    if ttl > _LONGEST_TTL:
        yield failed(
            "code lifetime",
            f"OTP_AUTH_CODE_TTL is {ttl}: OWASP ASVS 5.0 (6.5.5) and NIST SP 800-63B allow 600 "
            "seconds",
            "Set OTP_AUTH_CODE_TTL to 600 or less.",
            When.START,
            in_development=True,
        )
    elif ttl < _SHORTEST_TTL:
        yield warned(
            "code lifetime",
            f"OTP_AUTH_CODE_TTL is {ttl}: many messages arrive later than that, and people need "
            "time to type",
            "Set OTP_AUTH_CODE_TTL to 30 or more.",
            When.START,
            in_development=True,
        )
    else:
        yield passed("code lifetime", f"codes are valid for {ttl} s")


def unknown_people(_: Flask, state: AppState) -> Iterator[Finding]:
    """Check that nobody learns who has an account, and that nobody is signed up without a code."""
    settings = state.settings
    if settings.send_to_unknown or settings.send_in_background:
        yield passed("unknown people", "answers to them take as long as those to others")
    else:
        yield warned(
            "unknown people",
            "OTP_AUTH_SEND_TO_UNKNOWN is False and OTP_AUTH_SEND_IN_BACKGROUND is not True: an "
            "answer comes sooner if nothing is sent, which reveals who has an account",
            "Set OTP_AUTH_SEND_IN_BACKGROUND to True.",
            When.START,
        )
    if not settings.send_to_unknown:
        yield warned(
            "sign-up",
            "OTP_AUTH_SEND_TO_UNKNOWN is False, so get_user_handler is asked before a code is sent "
            "too: one that signs people up would do so for an address that nobody has proved to "
            "have",
            "Let the handler return None for unknown people while otp.is_asking_before_send is "
            "true. If it signs nobody up, ignore this.",
        )


def trusted_devices(_: Flask, state: AppState) -> Iterator[Finding]:
    """Check that strangers cannot keep an owner out."""
    if state.settings.trusted_devices is None:
        yield warned(
            "trusted devices",
            "OTP_AUTH_TRUSTED_DEVICES is None, so anybody can keep somebody out for a while by "
            "asking for codes or typing wrong ones for their account",
            "Set it to the seconds that a device stays trusted, for example 90 * 86400.",
        )
    else:
        yield passed("trusted devices", f"for {duration(state.settings.trusted_devices)}")


def phone_numbers(_: Flask, state: AppState) -> Iterator[Finding]:
    """Check that one phone number in two spellings is one account."""
    settings = state.settings
    if "sms" not in settings.methods:
        return
    if not identifiers.knows_numbering_plans():
        yield warned(
            "phone numbers",
            "the package phonenumbers is not installed, so +46 070 123 45 67 and +46 70 123 45 67 "
            "are two accounts, and messages to numbers that cannot exist are paid for",
            "Run: pip install 'flask-otp-auth[phone]'",
        )
    elif settings.default_region is None:
        yield warned(
            "phone numbers",
            "OTP_AUTH_DEFAULT_REGION is None, so numbers without a country code are taken as they "
            "are typed, which most providers do not deliver, and which make two accounts of one "
            "number",
            'Set OTP_AUTH_DEFAULT_REGION to the country of your users, for example "SE".',
        )
    else:
        yield passed("phone numbers", f"national numbers are those of {settings.default_region}")


def fixed_codes(_: Flask, state: AppState) -> Iterator[Finding]:
    """Check that nobody can sign in with a forgotten or guessable code."""
    entries, now = state.settings.test_identifiers, utc_now()
    if not entries:
        yield passed("test identifiers", "there are none")
    for identifier, entry in entries.items():
        name = f"test identifier {identifiers.mask(identifier)}"
        until = f"{entry.until:%Y-%m-%d %H:%M} UTC"
        if now >= entry.until:
            yield warned(
                name,
                f"the {name} has expired: its fixed code worked until {until}",
                "Remove it from OTP_AUTH_TEST_IDENTIFIERS.",
                When.START,
                is_logged=True,
            )
            continue
        yield warned(
            name,
            f"the {name} signs in with a fixed code until {until}",
            "Keep it only for as long as somebody tests with it, on an account without privileges.",
            When.START,
            is_logged=True,
        )
        if _is_trivial(entry.code):
            advice = "Give it a random code."
            sentence = f"the {name} has a code that anybody would try first"
            yield failed(name, sentence, advice, When.START, is_logged=True)
        if entry.until > now + _LONGEST_FIXED_CODE:
            sentence = f"the {name} works for more than a year"
            advice = "Give it an earlier end date."
            yield failed(name, sentence, advice, When.START, is_logged=True)


def _is_trivial(code: str) -> bool:
    """Return whether a code repeats one digit, or counts up or down."""
    return len(set(code)) == 1 or code in _TRIVIAL or code[::-1] in _TRIVIAL


POINTS: tuple[Callable[[Flask, AppState], Iterator[Finding]], ...] = (
    late_options,
    code_length,
    code_lifetime,
    unknown_people,
    trusted_devices,
    phone_numbers,
    fixed_codes,
)
