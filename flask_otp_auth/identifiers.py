"""Phone numbers and email addresses: validating, normalising and masking them."""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections.abc import Collection
from types import ModuleType
from typing import Any

from email_validator import EmailNotValidError, validate_email

from . import codes
from .exceptions import InvalidIdentifier
from .types import Method

# Looked for only once: Python searches the disk again for each import that fails.
_HAS_PHONENUMBERS = importlib.util.find_spec("phonenumbers") is not None
_PHONE_MAX = 64
# Full-width signs count as theirs, and all brackets as round ones.
_SIGNS = str.maketrans("\uff0b\uff08\uff09\uff3b\uff3d[]", "+()()()", "./\uff0e\uff0f")
# White space of printers, which no text holds that is copied by people.
_PAGE_CONTROLS = frozenset("\v\f\x85")
_BRACKETS = str.maketrans("", "", "()")
_PHONE = re.compile(r"(?:tel:)?([()]*\+?[0-9()]+)", re.IGNORECASE)
# A national trunk zero is written in brackets right after a country code of one to three digits.
_TRUNK_ZERO = re.compile(r"([()]*(?:\+|00)\(*[1-9][0-9]{0,2}\)*)\(0\)")
_NORMALISED = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{7,15}")
_MEXICO_WITH_1 = re.compile(r"\+521([0-9]{10})")
# Mobile numbers that are written with the 9 of Argentina or the old 1 of Mexico, or without it.
_MOBILE_MARK = re.compile(r"(54)9([0-9]{10})|(52)1([0-9]{10})")
# All of them are set, since the defaults are globals that other code in the process can change.
_EMAIL_RULES: dict[str, Any] = {
    "check_deliverability": False,
    "globally_deliverable": True,
    "test_environment": False,
    "strict": True,
    "allow_smtputf8": False,
    "allow_empty_local": False,
    "allow_quoted_local": False,
    "allow_domain_literal": False,
    "allow_display_name": False,
}
# Scripts that one label of a domain may mix, as in Japanese and Korean names.
_EAST_ASIAN = {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"}
_GMAIL = ("gmail.com", "googlemail.com")
_EMAIL_MAX = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets


def normalise(identifier: str, method: Method, region: str | None = None) -> str:
    """Validate *identifier* and return the form in which it is stored, looked up and sent to.

    :param identifier: the identifier that the client sent.
    :param method: ``"sms"`` for a phone number, ``"email"`` for an email address.
    :param region: the ISO 3166-1 code of the country of national phone numbers. With it, the result
        is in E.164 form; without it, a national number stays national.
    :raises InvalidIdentifier: *identifier* does not have an accepted form.
    """
    return normalise_email(identifier) if method == "email" else normalise_phone(identifier, region)


def normalise_phone(number: str, region: str | None = None) -> str:
    """Validate a phone number and return it as ``+`` and digits, or as digits if it is national.

    Where ``phonenumbers`` is installed (extra ``phone``), a number with ``+`` is returned in its
    E.164 form: its country code exists, its length is possible, and it has no trunk zero that the
    numbering plan of its country does not dial from abroad.

    :param number: the number that the client sent, at most 64 characters.
    :param region: see :func:`normalise`.
    :raises InvalidIdentifier: *number* does not have an accepted form.
    """
    readings = _readings(number)
    library = _phonenumbers()
    if library is None or (region is None and not readings[0].startswith("+")):
        return readings[-1]
    return _e164(library, readings, region)


def knows_numbering_plans() -> bool:
    """Return whether ``phonenumbers`` (extra ``phone``) is installed."""
    return _phonenumbers() is not None


def _readings(number: str) -> list[str]:
    """Return the digits that a typed number may mean.

    They are two if a zero in brackets follows the country code: with that zero, and without it.
    """
    if len(number) > _PHONE_MAX or not _PAGE_CONTROLS.isdisjoint(number):
        raise _invalid_phone()
    typed = _PHONE.fullmatch(codes.normalise(number).translate(_SIGNS))
    if typed is None:
        raise _invalid_phone()
    written = [typed[1]]
    if _TRUNK_ZERO.match(typed[1]):
        written.append(_TRUNK_ZERO.sub(r"\1", typed[1]))
    dialled = [re.sub(r"\A00", "+", text.translate(_BRACKETS)) for text in written]
    readings = [digits for digits in dialled if _NORMALISED.fullmatch(digits)]
    if not readings:
        raise _invalid_phone()
    return readings


def _phonenumbers() -> ModuleType | None:
    if not _HAS_PHONENUMBERS:
        return None
    import phonenumbers

    module: ModuleType = phonenumbers
    return module


def _e164(library: ModuleType, readings: list[str], region: str | None) -> str:
    """Return the E.164 form of the reading that is a number of its country.

    :raises InvalidIdentifier: none of *readings* can be a number.
    """
    possible = []
    for digits in readings:
        try:
            parsed = library.parse(_MEXICO_WITH_1.sub(r"+52\1", digits), region)
        except library.NumberParseException:
            continue
        reason = library.is_possible_number_with_reason(parsed)
        if reason == library.ValidationResult.IS_POSSIBLE:
            possible.append(parsed)
    if not possible:
        raise _invalid_phone()
    best = possible[0]
    if len(possible) > 1:
        best = next(filter(library.is_valid_number, possible), best)
    number: str = library.format_number(best, library.PhoneNumberFormat.E164)
    # A second trunk zero would be another account each time that the number is read again.
    if readings != [number] and (
        not _NORMALISED.fullmatch(number) or library.parse(number) != best
    ):
        raise _invalid_phone()
    return number


def require_region(number: str, regions: Collection[str]) -> None:
    """Refuse a phone number outside *regions*, or one whose owner earns money by each SMS.

    :param number: a normalised phone number.
    :param regions: the ISO 3166-1 codes of the countries to which an SMS may be sent.
    :raises InvalidIdentifier: no SMS may be sent to *number*.
    """
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:  # a national number, whose country is unknown
        raise _invalid_phone() from None
    kinds = phonenumbers.PhoneNumberType
    if (
        not phonenumbers.is_valid_number(parsed)
        or phonenumbers.region_code_for_number(parsed) not in regions
        or phonenumbers.number_type(parsed) in (kinds.PREMIUM_RATE, kinds.SHARED_COST)
    ):
        raise _invalid_phone()


def normalise_email(address: str) -> str:
    """Validate an email address and return it in lower case.

    The local part is ASCII, and a Unicode domain becomes its punycode. So that no two accounts look
    alike, a label of the domain that mixes scripts, such as Latin and Cyrillic, is refused (UTS 39,
    section 5.2, highly restrictive). A local part with ``=?`` is refused: mail libraries decode
    encoded words (RFC 2047), and would send to another address.

    :param address: the address that the client sent.
    :raises InvalidIdentifier: *address* does not have an accepted form.
    """
    address = address.strip(" \t")
    local = address.rpartition("@")[0]
    if len(address) > _EMAIL_MAX or not local.isascii() or "=?" in local:
        raise _invalid_email()
    try:
        valid = validate_email(address, **_EMAIL_RULES)
    except EmailNotValidError:
        raise _invalid_email() from None
    if valid.ascii_email is None or len(valid.ascii_email) > _EMAIL_MAX:
        raise _invalid_email()
    if any(map(_mixes_scripts, valid.domain.split("."))):
        raise _invalid_email()
    return valid.ascii_email.lower()


def _mixes_scripts(label: str) -> bool:
    if label.isascii():
        return False
    letters = (character for character in label if character.isalpha())
    # The name of a letter begins with its script: CYRILLIC SMALL LETTER IE.
    scripts = {re.split("[ -]", unicodedata.name(letter, ""), maxsplit=1)[0] for letter in letters}
    return len(scripts) > 1 and not scripts <= _EAST_ASIAN


def account_of(identifier: str) -> str:
    """Return the account of an identifier, which all spellings of one inbox or phone share.

    It is an email address without its ``+tag`` and, at Gmail, without dots and always at
    ``gmail.com``; or a phone number without ``+``, without the 9 of Argentine mobiles and without
    the old 1 of Mexican ones. Limits and locks are kept per account, so another spelling gives
    nobody more codes or attempts.

    :param identifier: a normalised phone number or email address.
    """
    local, at, domain = identifier.partition("@")
    if not at:
        digits = identifier.removeprefix("+")
        mobile = _MOBILE_MARK.fullmatch(digits)
        return "".join(filter(None, mobile.groups())) if mobile else digits
    local = local.partition("+")[0] or local
    if domain in _GMAIL:
        local, domain = local.replace(".", ""), _GMAIL[0]
    return f"{local}@{domain}"


def mask(identifier: str) -> str:
    """Return a form for logs that distinguishes identifiers, but does not reveal them.

    Examples are ``+467*****67`` and ``u***@example.com``.

    :param identifier: a normalised phone number or email address.
    """
    local, at, domain = identifier.partition("@")
    if at:
        return f"{local[:1]}***@{domain}"
    shown = identifier[:4] if identifier.startswith("+") else identifier[:3]
    return f"{shown if len(identifier) > 8 else ''}*****{identifier[-2:]}"


def _invalid_phone() -> InvalidIdentifier:
    return InvalidIdentifier("Invalid phone number format")


def _invalid_email() -> InvalidIdentifier:
    return InvalidIdentifier("Invalid email address format")
