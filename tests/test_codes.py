"""Codes are drawn from the whole space, and only their keyed digest is ever stored."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import secrets
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_otp_auth import codes
from flask_otp_auth.codes import CodeDigester

KEY = b"the newest key of the tests, 32 bytes long"
OLD = b"an older key of the tests, 32 bytes long.."
SESSION = "0123456789abcdef" * 2
OTHER_SESSION = "fedcba9876543210" * 2

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)


def test_every_code_can_be_drawn_so_guessing_is_as_hard_as_promised():
    # Of 10,000 codes one is missed in 200,000 fair draws with a chance of 2e-5.
    drawn = {codes.draw(4) for _ in range(200_000)}
    assert len(drawn) >= 9_999


@pytest.mark.parametrize("position", range(6))
def test_no_digit_is_more_likely_at_any_place(position):
    # Chi-squared with 9 degrees of freedom passes 50 in one of ten million runs.
    counts = [0] * 10
    for _ in range(20_000):
        counts[int(codes.draw(6)[position])] += 1
    assert sum((count - 2000) ** 2 / 2000 for count in counts) < 50


@pytest.mark.parametrize(
    ("length", "number", "code"),
    [
        (4, 0, "0000"),
        (6, 0, "000000"),
        (6, 42, "000042"),
        (6, 99_999, "099999"),
        (6, 999_999, "999999"),
        (8, 1, "00000001"),
    ],
)
def test_leading_zeros_are_kept(monkeypatch, length, number, code):
    monkeypatch.setattr(secrets, "randbelow", lambda bound: number)
    assert codes.draw(length) == code


@pytest.mark.parametrize("length", range(4, 9))
def test_codes_come_from_the_secure_source_over_the_whole_range(monkeypatch, length):
    bounds = []

    def randbelow(bound):
        bounds.append(bound)
        return bound - 1

    monkeypatch.setattr(secrets, "randbelow", randbelow)
    assert codes.draw(length) == "9" * length
    assert bounds == [10**length]


def test_session_ids_come_from_the_secure_source(monkeypatch):
    monkeypatch.setattr(secrets, "token_hex", lambda size: f"{size} random bytes")
    assert codes.draw_session_id() == "16 random bytes"


def test_session_ids_are_128_bits_in_lower_case_and_never_the_same():
    drawn = [codes.draw_session_id() for _ in range(1000)]
    assert all(len(id_) == 32 and set(id_) <= set("0123456789abcdef") for id_ in drawn)
    assert len(set(drawn)) == 1000


@pytest.mark.parametrize(
    "typed",
    [
        "123456",
        "123 456",
        "123-456",
        "- 12 34 56 -",
        "123  --  456",
        "123\u00a0456",
        "123\u202f456\u3000",
        "123456\n",
        "\t123456\r\n",
        "12\u200b3456\x0b\x0c\x85",
        "\u2066123456\u2069",
        "\u202a123\u200e456\u202c\ufeff",
        "12\u00ad34\u206056",
        "123\u2011456",
        "123\u2013456",
        "123\u2014456\u2028\u2029",
        "\uff11\uff12\uff13\uff14\uff15\uff16",
        "\u0661\u0662\u0663\u0664\u0665\u0666",
        "\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6",
        "12\u0969456",
    ],
)
def test_a_code_that_is_typed_or_pasted_in_any_form_is_the_code(typed):
    assert codes.read(typed) == "123456"


@pytest.mark.parametrize("length", range(4, 9))
def test_a_code_of_any_length_that_an_application_may_have_is_a_try(length):
    assert codes.read("0" * length) == "0" * length


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "12",
        "123",
        "123456789",
        "123.456",
        "123_456",
        "+123456",
        "12345\u00b2",
        "\u00b2" * 6,
        "\u2460" * 6,
        "Your code is 123456.",
        "12345O",
        "123456\0",
        "12345\x1b6",
        "e\u0301e\u0301",
    ],
)
def test_what_cannot_be_a_code_is_none_so_that_it_costs_no_try(typed):
    assert codes.read(typed) is None


@given(texts)
def test_only_digits_are_ever_read_and_none_is_invented_or_moved(typed):
    code = codes.read(typed)
    digits = [unicodedata.decimal(character, None) for character in typed]
    seen = "".join(str(digit) for digit in digits if digit is not None)
    assert code is None or (code == seen and 4 <= len(code) <= 8 and code.isascii())
    assert codes.normalise(codes.normalise(typed)) == codes.normalise(typed)


def test_the_digest_is_a_32_byte_hmac_and_not_a_plain_hash():
    digest = CodeDigester([KEY]).digest(SESSION, "123456")
    assert len(digest) == 32
    plain = ["123456", SESSION + "123456", "123456" + SESSION]
    assert digest not in [hashlib.sha256(text.encode()).digest() for text in plain]
    assert digest not in [hmac.digest(KEY, text.encode(), "sha256") for text in plain]


def test_digests_are_the_same_in_every_process_and_release():
    # A changed form would refuse every code that is under way during a deployment.
    key = hmac.digest(KEY, b"flask-otp-auth code digest\x01", "sha256")
    message = b"\0\0\0\x20" + SESSION.encode() + b"\0\0\0\x06123456"
    assert CodeDigester([KEY]).digest(SESSION, "123456") == hmac.digest(key, message, "sha256")


@pytest.mark.parametrize(
    ("key", "session_id", "code"),
    [(OLD, SESSION, "123456"), (KEY, OTHER_SESSION, "123456"), (KEY, SESSION, "123457")],
    ids=["key", "session", "code"],
)
def test_a_digest_fits_one_key_one_session_and_one_code(key, session_id, code):
    stored = CodeDigester([KEY]).digest(SESSION, "123456")
    assert CodeDigester([key]).digest(session_id, code) != stored


def test_no_two_codes_of_a_session_share_a_digest():
    digester = CodeDigester([KEY])
    assert len({digester.digest(SESSION, f"{number:04}") for number in range(10_000)}) == 10_000


@given(st.tuples(texts, texts), st.tuples(texts, texts))
def test_where_the_session_ends_and_the_code_begins_is_never_ambiguous(one, other):
    digester = CodeDigester([KEY])
    assert (digester.digest(*one) == digester.digest(*other)) == (one == other)


@given(texts, st.data())
def test_moving_a_character_between_session_and_code_changes_the_digest(text, data):
    digester = CodeDigester([KEY])
    cut, other = (data.draw(st.integers(0, len(text))) for _ in range(2))
    digests = [digester.digest(text[:at], text[at:]) for at in (cut, other)]
    assert (digests[0] == digests[1]) == (cut == other)


@pytest.mark.parametrize(
    ("keys", "fits"),
    [
        ([KEY], False),
        ([OLD], True),
        ([KEY, OLD], True),
        ([KEY, KEY, OLD], True),
        ([OLD, KEY], True),
        ([], False),
    ],
)
def test_a_code_sent_before_a_rotation_is_right_until_its_key_is_removed(keys, fits):
    stored = CodeDigester([OLD]).digest(SESSION, "123456")
    assert (stored in CodeDigester(keys).candidates(SESSION, "123456")) == fits


def test_new_codes_use_the_newest_key_only():
    rotated = CodeDigester([KEY, OLD])
    assert rotated.digest(SESSION, "123456") == CodeDigester([KEY]).digest(SESSION, "123456")
    assert rotated.candidates(SESSION, "123456")[0] == rotated.digest(SESSION, "123456")
    assert len(rotated.candidates(SESSION, "123456")) == 2


def test_no_key_is_used_for_two_purposes():
    purposes = ["code", "identifier", "code\x01", ""]
    keys = [codes.derive_key(secret, purpose) for secret in (KEY, OLD) for purpose in purposes]
    assert all(len(key) == 32 for key in keys)
    assert not any(one == other for one, other in itertools.combinations(keys, 2))
    assert KEY not in keys


def test_no_key_is_in_what_a_digester_prints():
    text = repr(CodeDigester([KEY])) + str(CodeDigester([KEY]))
    assert "CodeDigester" in text
    assert KEY.decode() not in text
