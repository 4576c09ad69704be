"""One person has one identifier, however they spell it; nobody else has the same."""

from __future__ import annotations

import re

import email_validator
import phonenumbers
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flask_otp_auth.exceptions import InvalidIdentifier
from flask_otp_auth.identifiers import mask, normalise

REGIONS = [None, "SE", "US", "IT", "GB"]
# With the longest local part these make an address of 254 characters.
LONGEST_DOMAIN = ".".join(["d" * 62] * 2 + ["d" * 60, "se"])
LOCAL = "l" * 64


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+46701234567", "+46701234567"),
        ("+46 70 123 45 67", "+46701234567"),
        ("+46 (70) 123-4567", "+46701234567"),
        ("+46-70-123-45-67", "+46701234567"),
        ("+(46)701234567", "+46701234567"),
        ("0046701234567", "+46701234567"),
        ("00 46 70 123 45 67", "+46701234567"),
        ("00-46-701234567", "+46701234567"),
        ("+46 (0)70-123 45 67", "+46701234567"),
        ("+46(0)701234567", "+46701234567"),
        ("+46-(0)-701234567", "+46701234567"),
        ("0046(0)701234567", "+46701234567"),
        ("0046 (0)70 123 4567", "+46701234567"),
        ("+1 (0) 555 123 4567", "+15551234567"),
        ("+358(0)401234567", "+358401234567"),
        ("+46 70 1200 (0) 34", "+46701200034"),
        (" 5551234 ", "5551234"),
        ("(555)1234", "5551234"),
        ("555-123-4567", "5551234567"),
        ("(555) 123-4567", "5551234567"),
        ("070-123 45 67", "0701234567"),
        ("(0)70 123 45 67", "0701234567"),
        ("+4670123", "+4670123"),
        ("+123456789012345", "+123456789012345"),
        ("123456789012345", "123456789012345"),
        ("1-2-3-4-5-6-7-8-9-01", "12345678901"),
    ],
)
def test_a_number_reaches_the_same_account_in_every_spelling(typed, number):
    assert normalise(typed, "sms") == number


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "+",
        "+123",
        "5551234",
        "+46 70 12",
        "--------",
        "+--------",
        "(((((((((",
        "        ",
        "123456  ",
        "+1-2-3-4-5-6",
        "+1234567890123456",
        "1234567890123456",
        "123456789012345678901",
        "+46 70 123 45 67     ",
        "++46701234567",
        "46+701234567",
        "46701234567+",
        "+ 0701234567",
        "+0701234567",
        "+(0)701234567",
        "000701234567",
        "00000000",
        "00 0701234567",
        "+46701234567\n",
        "\n+46701234567",
        "+46701234567\r\n",
        "+46701234567\0",
        "+46701234567\x0b",
        "+46701234567\x7f",
        "+4670\t1234567",
        "\t+46701234567",
        "+46701234567,123",
        "+46701234567;id",
        "+46701234567;ext=1",
        "+46701234567x1",
        "tel:+46701234567",
        "+46.70.123.45.67",
        "+46/701234567",
        "+46_701234567",
        "+46*701234567",
        "#4670123456",
        "+1800FLOWERS",
        "\uff0b46701234567",
        "+\uff14\uff16\uff17\uff10\uff11\uff12\uff13\uff14",
        "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
        "+4670123456\u00b2",
        "\u202e+46701234567",
        "+46701234567\u200b",
        "+46\u00a0701234567",
        "+46\u2011701234567",
        "+46\ud800701234567",
        "user@example.com",
        "[+46701234567]",
        "{+46701234567}",
    ],
)
@pytest.mark.parametrize("region", [None, "SE"])
def test_what_is_no_phone_number_is_refused_and_never_repaired(typed, region):
    with pytest.raises(InvalidIdentifier) as caught:
        normalise(typed, "sms", region)
    assert caught.value.detail == "Invalid phone number format"
    assert caught.value.error_code == "invalidIdentifier"


@pytest.mark.parametrize(
    ("typed", "region", "number"),
    [
        ("070-123 45 67", "SE", "+46701234567"),
        ("(0)70-123 45 67", "SE", "+46701234567"),
        ("701234567", "SE", "+46701234567"),
        ("+46701234567", "SE", "+46701234567"),
        ("+46 (0)70-123 45 67", "SE", "+46701234567"),
        ("0046701234567", "SE", "+46701234567"),
        ("0046701234567", "US", "+46701234567"),
        ("011 46 70 123 45 67", "US", "+46701234567"),
        ("+46701234567", "US", "+46701234567"),
        ("555-123-4567", "US", "+15551234567"),
        ("1 555 123 4567", "US", "+15551234567"),
        ("+1 555 123 4567", "SE", "+15551234567"),
        ("06 12345678", "IT", "+390612345678"),
        ("+39 06 12345678", "SE", "+390612345678"),
    ],
)
def test_with_a_region_national_and_international_spellings_are_one_account(typed, region, number):
    assert normalise(typed, "sms", region) == number


@pytest.mark.parametrize(
    ("typed", "region"),
    [
        ("555-1234 ", "US"),
        ("(555)1234", "US"),
        ("+46 70 123", "SE"),
        ("+9991234567", "SE"),
        ("123456789012345", "SE"),
    ],
)
def test_with_a_region_a_number_that_cannot_be_dialled_from_abroad_is_refused(typed, region):
    with pytest.raises(InvalidIdentifier):
        normalise(typed, "sms", region)


@st.composite
def spellings(draw, number):
    """Draw spellings of an international number that fit into 20 characters."""
    typed = draw(st.sampled_from(["+", "00", "+ ", "00 ", "00-"])) + number
    for _ in range(draw(st.integers(0, 20 - len(typed)))):
        place = draw(st.integers(len(typed) - len(number), len(typed)))
        typed = typed[:place] + draw(st.sampled_from(" -")) + typed[place:]
    return typed


@given(st.data(), st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True))
def test_no_spacing_makes_two_accounts_of_one_number(data, number):
    assert normalise(data.draw(spellings(number)), "sms") == f"+{number}"


@given(
    st.from_regex(r"[1-9][0-9]{0,2}", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{5,10}", fullmatch=True),
)
def test_the_trunk_zero_in_brackets_makes_no_second_account(country, national):
    assume(len(country + national) >= 7)
    for typed in (f"+{country}(0){national}", f"00{country}(0){national}"):
        assert normalise(typed, "sms") == f"+{country}{national}"


phone_like = st.one_of(
    st.text("+0123456789 ()-", max_size=24),
    st.text(max_size=24),
    st.from_regex(r"\+?[0-9 ()\-]{7,20}", fullmatch=True),
)


@settings(deadline=None)  # phonenumbers reads its tables at the first number of a region
@given(phone_like, st.sampled_from(REGIONS))
def test_any_text_for_a_phone_is_normalised_or_refused_and_then_stays_put(typed, region):
    try:
        number = normalise(typed, "sms", region)
    except InvalidIdentifier:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{6,14}|[0-9]{7,15}", number)
    assert not number.startswith("00")
    if region is not None:
        assert number.startswith("+")
    if len(number) >= 8:
        assert normalise(number, "sms", region) == number


@given(phone_like)
def test_without_a_region_no_digit_is_invented_or_reordered(typed):
    try:
        number = normalise(typed, "sms")
    except InvalidIdentifier:
        return
    typed_digits = re.sub(r"[^0-9]", "", typed)
    assert number.lstrip("+") in (
        typed_digits,
        typed_digits.removeprefix("00"),
        re.sub(r"[^0-9]", "", typed.replace("(0)", "", 1)).removeprefix("00"),
    )


@pytest.mark.parametrize("region", ["SE", "US", "GB", "DE", "IT", "IN", "BR", "AU"])
def test_the_example_mobile_of_a_country_is_one_account_in_every_form(region):
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    forms = phonenumbers.PhoneNumberFormat
    e164 = phonenumbers.format_number(example, forms.E164)
    for form in (forms.E164, forms.INTERNATIONAL, forms.NATIONAL):
        assert normalise(phonenumbers.format_number(example, form), "sms", region) == e164


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("user@example.com", "user@example.com"),
        ("  User@Example.COM ", "user@example.com"),
        ("\t user@example.com\t", "user@example.com"),
        ("USER@EXAMPLE.COM", "user@example.com"),
        ("user+tag@example.com", "user+tag@example.com"),
        ("first.last@sub.example.co.uk", "first.last@sub.example.co.uk"),
        ("o'user@example.com", "o'user@example.com"),
        ("u@xn--e1afmkfd.com", "u@xn--e1afmkfd.com"),
        ("U@XN--E1AFMKFD.com", "u@xn--e1afmkfd.com"),
        (f"{LOCAL}@example.com", f"{LOCAL}@example.com"),
        (f"{LOCAL}@{LONGEST_DOMAIN}", f"{LOCAL}@{LONGEST_DOMAIN}"),
        (f" {LOCAL}@{LONGEST_DOMAIN}\t", f"{LOCAL}@{LONGEST_DOMAIN}"),
    ],
)
def test_an_address_reaches_the_same_account_in_every_spelling(typed, address):
    assert normalise(typed, "email") == address
    assert normalise(typed, "email", "SE") == address


REFUSED_ADDRESSES = [
    "",
    "   ",
    "user",
    "@",
    "user@",
    "@example.com",
    "root@localhost",
    "user@example",
    "user@@example.com",
    "a@b@example.com",
    '"user"@example.com',
    '"us er"@example.com',
    '"user@evil.example"@example.com',
    "user@[127.0.0.1]",
    "user@[IPv6:::1]",
    "user@127.0.0.1",
    "User <user@example.com>",
    "<user@example.com>",
    "user@example.com,other@example.com",
    "user@example.com;other@example.com",
    "user@example.com other@example.com",
    "user(comment)@example.com",
    "user@example.com(comment)",
    "us er@example.com",
    "user @example.com",
    "user@ example.com",
    ".user@example.com",
    "user.@example.com",
    "us..er@example.com",
    "user@example..com",
    "user@.example.com",
    "user@example.com.",
    "user@-example.com",
    "user@exam_ple.com",
    "user@example.com\n",
    "\nuser@example.com",
    "user@example.com\r\nBcc: other@example.com",
    "a@b.co%0aBcc:x@y.z",
    "us\ter@example.com",
    "user@example.com\0",
    "us\x00er@example.com",
    "\x0buser@example.com",
    "us\x7fer@example.com",
    "user@example.com\x1f",
    "\u00a0user@example.com",
    "us\u200der@example.com",
    "\u202euser@example.com",
    "mi\u212ae@example.com",
    "user@\u0435xample.com",
    "u\u017fer@example.com",
    "\u00fcser@example.com",
    "user@\uff45xample.com",
    "user@xn--a.com",
    "\ud800user@example.com",
    '{"$gt":""}@b.co',
    "mailto:user@example.com\n",
    "+46701234567",
    f"{'l' * 65}@example.com",
    f"{LOCAL}@d{LONGEST_DOMAIN}",
    f"user@{'d' * 64}.com",
    "x" * 100_000,
    "user@" + "a." * 50_000 + "com",
]


@pytest.mark.parametrize("typed", REFUSED_ADDRESSES)
def test_what_is_no_plain_address_is_refused_and_never_repaired(typed):
    with pytest.raises(InvalidIdentifier) as caught:
        normalise(typed, "email")
    assert caught.value.detail == "Invalid email address format"
    assert caught.value.error_code == "invalidIdentifier"


@pytest.mark.parametrize(
    "switch", ["ALLOW_QUOTED_LOCAL", "ALLOW_DOMAIN_LITERAL", "ALLOW_DISPLAY_NAME"]
)
def test_a_host_that_loosens_email_validator_elsewhere_does_not_loosen_logins(monkeypatch, switch):
    monkeypatch.setattr(email_validator, switch, True)
    for typed in ('"us er"@example.com', "user@[127.0.0.1]", "User <user@example.com>"):
        with pytest.raises(InvalidIdentifier):
            normalise(typed, "email")


def test_no_name_server_is_asked_so_a_login_needs_no_dns():
    assert normalise("user@no-such-domain-of-the-tests.com", "email")


address_like = st.one_of(
    st.emails(),
    st.text(max_size=60),
    st.builds("{}@{}".format, st.text(max_size=20), st.text(max_size=20)),
    st.from_regex(r"[ \t]*[A-Za-z0-9.+_'-]{1,70}@[A-Za-z0-9.-]{1,200}[ \t]*", fullmatch=True),
)


@given(address_like)
def test_any_text_for_an_address_is_normalised_or_refused_and_then_stays_put(typed):
    try:
        address = normalise(typed, "email")
    except InvalidIdentifier:
        return
    assert address.isascii()
    assert address == address.lower() == address.strip()
    assert address == typed.strip(" \t").lower()
    assert len(address) <= 254
    assert address.count("@") == 1
    assert normalise(address, "email") == address


@given(
    st.from_regex(r"[a-z0-9]([a-z0-9+_-]{0,20}[a-z0-9])?@example\.com", fullmatch=True),
    st.data(),
    st.text(" \t", max_size=5),
    st.text(" \t", max_size=5),
)
def test_neither_case_nor_outer_spaces_make_two_accounts_of_one_address(
    address, data, before, after
):
    cases = data.draw(st.lists(st.booleans(), min_size=len(address), max_size=len(address)))
    mixed = "".join(
        letter.upper() if upper else letter for letter, upper in zip(address, cases, strict=True)
    )
    assert normalise(f"{before}{mixed}{after}", "email") == address


@pytest.mark.parametrize(
    ("identifier", "masked"),
    [
        ("+46701234567", "+467*****67"),
        ("+15551234567", "+155*****67"),
        ("5551234567", "555*****67"),
        ("user@example.com", "u***@example.com"),
        ("u@example.com", "u***@example.com"),
    ],
)
def test_a_log_shows_the_documented_mask(identifier, masked):
    assert mask(identifier) == masked


@given(st.from_regex(r"\+[1-9][0-9]{6,14}|[1-9][0-9]{6,14}", fullmatch=True))
def test_a_masked_number_keeps_at_least_three_digits_to_itself(number):
    shown = re.sub(r"[^0-9]", "", mask(number))
    assert len(shown) <= len(number.lstrip("+")) - 3
    assert number not in mask(number)


@given(st.from_regex(r"[a-z0-9][a-z0-9+_-]{1,63}@example\.com", fullmatch=True))
def test_a_masked_address_shows_one_letter_whatever_its_length(address):
    assert mask(address) == f"{address[0]}***@example.com"
