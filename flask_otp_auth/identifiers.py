"""Phone numbers and email addresses: validating, normalising and masking them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from email_validator import EmailNotValidError, validate_email

from .exceptions import InvalidIdentifier
from .types import Method

_PHONE = re.compile(r"\+?[0-9 ()\-]{7,20}")
_PUNCTUATION = str.maketrans("", "", " ()-")
# A national trunk zero is written in brackets right after a country code of one to three digits.
_TRUNK_ZERO = re.compile(r"((?:\+|00)[ -]*[1-9](?:[ -]*[0-9]){0,2}[ -]*)\(0\)")
_NORMALISED = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{7,15}")
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

    :param number: the number that the client sent.
    :param region: see :func:`normalise`.
    :raises InvalidIdentifier: *number* does not have an accepted form.
    """
    if not 8 <= len(number) <= 20 or not _PHONE.fullmatch(number):
        raise _invalid_phone()
    digits = _TRUNK_ZERO.sub(r"\1", number).translate(_PUNCTUATION)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if not _NORMALISED.fullmatch(digits):
        raise _invalid_phone()
    return digits if region is None else _e164(digits, region)


def _e164(number: str, region: str) -> str:
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        raise _invalid_phone() from None
    possible = phonenumbers.is_possible_number_with_reason(parsed)
    if possible != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise _invalid_phone()
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


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

    Only ASCII is accepted, so that no two accounts look alike. An international domain has to be
    written as punycode.

    :param address: the address that the client sent.
    :raises InvalidIdentifier: *address* does not have an accepted form.
    """
    address = address.strip(" \t")
    if len(address) > _EMAIL_MAX or not address.isascii():
        raise _invalid_email()
    try:
        valid = validate_email(address, **_EMAIL_RULES)
    except EmailNotValidError:
        raise _invalid_email() from None
    if valid.ascii_email is None:
        raise _invalid_email()
    return valid.ascii_email.lower()


def account_of(identifier: str) -> str:
    """Return the account of an identifier, which all spellings of one inbox or phone share.

    It is an email address without its ``+tag`` and, at Gmail, without dots and always at
    ``gmail.com``; or a phone number without ``+``. Limits and locks are kept per account, so
    another spelling gives nobody more codes or attempts.

    :param identifier: a normalised phone number or email address.
    """
    local, at, domain = identifier.partition("@")
    if not at:
        return identifier.removeprefix("+")
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
