"""One person has one identifier, however they spell it; nobody else has the same."""

from __future__ import annotations

import re

import email_validator
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_otp_auth.exceptions import InvalidIdentifier
from flask_otp_auth.identifiers import account_of, knows_numbering_plans, mask, normalise

REGIONS = [None, "SE", "US", "IT", "GB"]
# With the longest local part these make an address of 254 characters.
LONGEST_DOMAIN = ".".join(["d" * 62] * 2 + ["d" * 60, "se"])
LOCAL = "l" * 64


@pytest.fixture
def without_phonenumbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test as if the extra ``phone`` was not installed."""
    monkeypatch.setattr("flask_otp_auth.identifiers._HAS_PHONENUMBERS", False)


@pytest.fixture(params=[True, False], ids=["phonenumbers", "without it"])
def either_way(request: pytest.FixtureRequest) -> None:
    """Run a test with the extra ``phone``, and as if it was not installed."""
    if not request.param:
        request.getfixturevalue("without_phonenumbers")
    assert knows_numbering_plans() is request.param


SPELLINGS = [
    ("+46701234567", "+46701234567"),
    ("+46 70 123 45 67", "+46701234567"),
    ("+46 (70) 123-4567", "+46701234567"),
    ("+46-70-123-45-67", "+46701234567"),
    ("+(46)701234567", "+46701234567"),
    ("(+46) 70 123 45 67", "+46701234567"),
    ("[+46] 70 123 45 67", "+46701234567"),
    ("0046701234567", "+46701234567"),
    ("00 46 70 123 45 67", "+46701234567"),
    ("00-46-701234567", "+46701234567"),
    ("+46 (0)70-123 45 67", "+46701234567"),
    ("+46(0)701234567", "+46701234567"),
    ("+46-(0)-701234567", "+46701234567"),
    ("+46 [0] 701234567", "+46701234567"),
    ("(+46) (0)70 123 45 67", "+46701234567"),
    ("0046(0)701234567", "+46701234567"),
    ("0046 (0)70 123 4567", "+46701234567"),
    ("+1 (0) 555 123 4567", "+15551234567"),
    ("+358(0)401234567", "+358401234567"),
    ("+46 70 1200 (0) 34", "+46701200034"),
    ("\u202d+46 70 123 45 67\u202c", "+46701234567"),
    ("\u202a+46\u00a070\u00a0123\u00a045\u00a067\u202c", "+46701234567"),
    ("\u2066+46701234567\u2069\u200b\ufeff", "+46701234567"),
    ("+46\u201170\u2011123\u201145\u201167", "+46701234567"),
    ("+46\u201370\u2014123 45 67", "+46701234567"),
    ("+33\u202f6\u202f12\u202f34\u202f56\u202f78", "+33612345678"),
    ("+1.555.123.4567", "+15551234567"),
    ("+49 30/1234567", "+49301234567"),
    ("+46 70 123 45 67\t", "+46701234567"),
    ("\t+46701234567\r\n", "+46701234567"),
    (" +46701234567", "+46701234567"),
    ("+ 46701234567", "+46701234567"),
    ("tel:+46-70-123-45-67", "+46701234567"),
    (" TEL:+46 70 123 45 67", "+46701234567"),
    ("\uff0b46\uff0870\uff091234567", "+46701234567"),
    ("+46\uff0f70\uff0e1234567", "+46701234567"),
    ("+\uff14\uff16\uff17\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17", "+46701234567"),
    ("+\u0664\u0666 \u0667\u0660 123 45 67", "+46701234567"),
    ("+46701234567" + " " * 52, "+46701234567"),
    ("5551234", "5551234"),
    ("(555)1234", "5551234"),
    ("555-123-4567", "5551234567"),
    ("555.123.4567", "5551234567"),
    ("tel:555-123-4567", "5551234567"),
    ("(555) 123-4567", "5551234567"),
    ("070-123 45 67", "0701234567"),
    ("(0)70 123 45 67", "0701234567"),
    ("\u0661\u0662\u0663\u0664\u0665\u0666\u0667", "1234567"),
    ("123456789012345", "123456789012345"),
    ("1-2-3-4-5-6-7-8-9-01", "12345678901"),
]


@pytest.mark.parametrize(("typed", "number"), SPELLINGS)
def test_a_number_reaches_the_same_account_in_every_spelling(either_way, typed, number):
    assert normalise(typed, "sms") == number


REFUSED_NUMBERS = [
    "",
    "+",
    "tel:",
    "+123",
    "+46 70 1",
    "--------",
    "+--------",
    "(((((((((",
    "        ",
    "123456  ",
    "+1-2-3-4-5-6",
    "+1234567890123456",
    "1234567890123456",
    "123456789012345678901",
    "+46701234567" + " " * 53,
    "++46701234567",
    "+\uff0b46701234567",
    "46+701234567",
    "46701234567+",
    "+ 0701234567",
    "+0701234567",
    "+(0)701234567",
    "000701234567",
    "00000000",
    "00 0701234567",
    "+46701234567\0",
    "\0+46701234567",
    "+46701234567\x1b",
    "+46701234567\x7f",
    "+4670\x081234567",
    "+46701234567\x0b",
    "+46701234567\x0c",
    "+46701234567\x85",
    "+46701234567\x9f",
    "+46701234567,123",
    "+46701234567;id",
    "+46701234567;ext=1",
    "+46701234567x1",
    "+46701234567 ext. 12",
    "tel:tel:+46701234567",
    "sms:+46701234567",
    "+46tel:701234567",
    "+46_701234567",
    "+46*701234567",
    "#4670123456",
    "+1800FLOWERS",
    "+4670CALLNOW",
    "\ufe6246701234567",
    "\u207a46701234567",
    "+4670123456\u00b2",
    "+46\u2460701234567",
    "\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03",
    "+46\ud800701234567",
    "user@example.com",
    "{+46701234567}",
    "<+46701234567>",
    "1" * 100_000,
]


@pytest.mark.parametrize("typed", REFUSED_NUMBERS)
@pytest.mark.parametrize("region", [None, "SE"])
def test_what_is_no_phone_number_is_refused_and_never_repaired(either_way, typed, region):
    with pytest.raises(InvalidIdentifier) as caught:
        normalise(typed, "sms", region)
    assert caught.value.detail == "Invalid phone number format"
    assert caught.value.error_code == "invalidIdentifier"


@pytest.mark.parametrize("region", [None, "SE", "GB", "MX"])
@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+46 070 123 45 67", "+46701234567"),
        ("+44 07400 123456", "+447400123456"),
        ("+44 (0)7400 123456", "+447400123456"),
        ("+33 (0)6 12 34 56 78", "+33612345678"),
        ("+7 8 912 345 67 89", "+79123456789"),
        ("+39 06 69821234", "+390669821234"),
        ("+39 (0)6 69821234", "+390669821234"),
        ("0039 (0)6 69821234", "+390669821234"),
        ("+378 (0)549 886377", "+3780549886377"),
        ("+242 (0)6 612 3456", "+242066123456"),
        ("+225 (0)7 12 34 56 78", "+2250712345678"),
        ("+34 (0)912 345 678", "+34912345678"),
        ("+52 1 55 1234 5678", "+525512345678"),
        ("+52 (1) 55 1234 5678", "+525512345678"),
        ("+52 55 1234 5678", "+525512345678"),
    ],
)
def test_a_zero_goes_or_stays_as_the_country_dials_it_from_abroad(typed, number, region):
    assert normalise(typed, "sms", region) == number


@pytest.mark.parametrize("region", [None, "SE"])
@pytest.mark.parametrize(
    "typed",
    [
        "+9991234567",
        "+2101234567",
        "+4670123",
        "+4670123456789",
        "+1555123456",
        "+155512345678",
        "+46 00 70 123 45 67",
        "+46 (0)06123456",
        "+123456789012345",
    ],
)
def test_a_number_that_no_country_has_is_refused(typed, region):
    with pytest.raises(InvalidIdentifier):
        normalise(typed, "sms", region)


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+9991234567", "+9991234567"),
        ("+46 070 123 45 67", "+460701234567"),
        ("+39 (0)6 69821234", "+39669821234"),
        ("+52 1 55 1234 5678", "+5215512345678"),
    ],
)
def test_without_phonenumbers_a_number_is_as_it_was_typed(without_phonenumbers, typed, number):
    assert normalise(typed, "sms") == number


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
        ("123456789012345", "SE"),
    ],
)
def test_with_a_region_a_number_that_cannot_be_dialled_from_abroad_is_refused(typed, region):
    with pytest.raises(InvalidIdentifier):
        normalise(typed, "sms", region)


@st.composite
def spellings(draw, number):
    """Draw spellings of an international number that fit into 64 characters."""
    typed = draw(st.sampled_from(["+", "00", "+ ", "00 ", "00-", "\uff0b", "tel:+"])) + number
    for _ in range(draw(st.integers(0, 20))):
        place = draw(st.integers(len(typed) - len(number), len(typed)))
        between = draw(st.sampled_from(" -./\u00a0\u2011\u2013\u200b\u202c\t\u202f"))
        typed = typed[:place] + between + typed[place:]
    return typed


@given(st.data(), st.sampled_from(["46701234567", "15551234567", "390669821234", "242066123456"]))
def test_no_spacing_makes_two_accounts_of_one_number(data, number):
    assert normalise(data.draw(spellings(number)), "sms") == f"+{number}"


phone_like = st.one_of(
    st.text("+0123456789 ()-./\u00a0\u202d\u0660\u0669", max_size=24),
    st.text(max_size=24),
    st.from_regex(r"\+?[0-9 ()\-]{7,20}", fullmatch=True),
    st.from_regex(r"\+(46|44|39|1|52|54|378|242|7|34)(\(0\)|0| |1|9)?[0-9]{6,11}", fullmatch=True),
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
    assert normalise(number, "sms", region) == number


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
        ("info@m\u00fcller.de", "info@xn--mller-kva.de"),
        ("INFO@M\u00dcLLER.de", "info@xn--mller-kva.de"),
        ("user@\u043f\u0440\u0438\u043c\u0435\u0440.com", "user@xn--e1afmkfd.com"),
        ("user@\u4f8b\u3048a\u30c6\u30b9\u30c8.com", "user@xn--a-87tuqvbl9538b.com"),
        ("user@\uff45xample.com", "user@example.com"),
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
    '"user\\nBcc: other"@example.com',
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
    "u\u017fer@example.com",
    "\u00fcser@example.com",
    "user@ex\u200bample.com",
    "user@ex\u00adample.com",
    "user@\u202eexample.com\u202c",
    "user@ex\u00a0ample.com",
    "user@ex\x85ample.com",
    "user@ex\ud800ample.com",
    "user@" + "\u00fc" * 200 + ".de",
    "user@m\u00fcller",
    "user\uff20example.com",
    "=?utf-8?q?=61dmin?=@example.org",
    "a=?b@example.org",
    "user@xn--a.com",
    "user@\u0435xample.com",
    "user@xn--xample-2of.com",
    "user@\u03bfxample.com",
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
    if typed.isascii():
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
    ("identifiers_", "account"),
    [
        (["user@example.com", "user+a@example.com", "user+a+b@example.com"], "user@example.com"),
        (["u.s.er+a@gmail.com", "user@googlemail.com", "us.er@gmail.com"], "user@gmail.com"),
        (["us.er@example.com"], "us.er@example.com"),
        (["+tag@example.com"], "+tag@example.com"),
        (["+46701234567", "46701234567"], "46701234567"),
        (["+541123456789", "+5491123456789"], "541123456789"),
        (["+525512345678", "+5215512345678"], "525512345678"),
        (["+5491234567"], "5491234567"),
        (["+15219123456"], "15219123456"),
    ],
)
def test_the_disguises_of_one_inbox_or_phone_share_its_limits(identifiers_, account):
    assert {account_of(identifier) for identifier in identifiers_} == {account}


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
