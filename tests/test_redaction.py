"""No code, token, full session id or full identifier reaches a log, at any level."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_otp_auth import OtpAuthError
from flask_otp_auth.redaction import describe, redact, short

ID = "c0ffee42" + "deadbeef" * 3
CODE = "837465"
PHONE = "+46701234567"
EMAIL = "user@example.com"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl-_x"


def test_a_session_can_be_found_by_its_log_line_but_not_used():
    assert short(ID) == "c0ffee42..."


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("nothing to hide", "nothing to hide"),
        ("HTTP 503 after 30 s on port 27017", "HTTP 503 after 30 s on port 27017"),
        ("2026-01-02", None),
        (f"code {CODE}", "code [code]"),
        (f"code {CODE[:3]}-{CODE[3:]}", "code [code]"),
        (f"code {CODE[:3]} {CODE[3:]}!", "code [code]!"),
        (f"code='{CODE}'", "code='[code]'"),
        (f"id99{CODE}77", "id[code]"),
        (f"to {PHONE}", "to +467*****67"),
        (f"to {EMAIL}", "to u***@example.com"),
        ("to +15551234567", "to +*****67"),
        ("to 555-123-4567", "to *****67"),
        ("to other.person+tag@mail.example.org now", "to o***@mail.example.org now"),
        (f"session {ID}", "session c0ffee42..."),
        (f"Bearer {JWT}", "Bearer [token]"),
        (f"('{JWT}',)", "('[token]',)"),
    ],
)
def test_a_message_keeps_its_sense_and_loses_its_secrets(text, redacted):
    if redacted is None:
        assert redact(text) == "*****02"
    else:
        assert redact(text, CODE, PHONE) == redacted


SEPARATORS = [",", ".", "\n", "\t", "_", "/", "\u00a0", "x", ", ", ") ", "%2C", "%20", "'"]


@pytest.mark.parametrize("separator", SEPARATORS)
def test_gateway_that_spells_out_the_number_or_the_code_does_not_tell_it(separator):
    for secret, shown in ((PHONE[1:], "+467*****67"), (CODE, "[code]")):
        text = f"cannot send to <{separator.join(secret)}>"
        assert redact(text, CODE, PHONE) == f"cannot send to <{shown}>"


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a.",
        "a%40",
        "a@",
        "a@b.",
        "eyJ-",
        "eyJ.",
        "eyJ a.",
        "0",
        "0 ",
        "0-%20",
        "%252540",
        "c0ffee42",
        "\u00e5",
        "+46701234567 ",
        "user@example.com ",
    ],
)
def test_no_text_keeps_a_worker_busy(text):
    """Half a megabyte, as a provider's answer may be, took minutes."""
    long = (text * 600_000)[:600_000]
    began = time.thread_time()  # which goes on only while this thread is at work
    redacted = redact(f"see {long}", CODE, EMAIL)
    assert time.thread_time() - began < 0.5
    assert redacted.endswith("characters more]")
    assert len(redacted) < 10_000
    assert EMAIL not in redacted


@pytest.mark.parametrize("secret", [CODE, PHONE, PHONE[1:], EMAIL, ID, JWT])
def test_no_secret_is_half_told_where_a_long_text_is_cut(secret):
    for before in range(8192 - 300, 8192 + 20, 7):
        redacted = redact(f"{'x ' * (before // 2)}{secret} and {'y ' * 1000}", CODE, EMAIL)
        for length in range(len(secret) // 2, len(secret) + 1):
            assert secret[:length] not in redacted or length <= 8


SCRIPTS = {"full width": "\uff10", "Arabic": "\u0660", "Persian": "\u06f0", "Devanagari": "\u0966"}


@pytest.mark.parametrize("zero", SCRIPTS.values(), ids=SCRIPTS)
def test_message_with_the_digits_of_another_script_does_not_tell_them(zero):
    digits = str.maketrans("0123456789", "".join(chr(ord(zero) + n) for n in range(10)))

    told = redact(f"refused: {PHONE} <{CODE}>".translate(digits), CODE, PHONE)
    assert told == "refused: +467*****67 <[code]>"
    assert redact(f"refused: {CODE}".translate(digits), "any") == "refused: [code]"


URL = "https://sms.example.com/send?to="


@pytest.mark.parametrize(
    "number",
    ["070.123.45.67", "070 / 123 / 45 / 67", "(070) 123\u201345\u201367", "0,7,0,1,2,3,4,5,6,7"],
)
def test_gateway_that_writes_the_number_as_it_is_dialled_at_home_does_not_tell_it(number):
    assert "123" not in redact(f"cannot send to {number}", "99999999", PHONE)
    assert "5" not in redact(f"cannot send to {number}", "99999999", PHONE)


@pytest.mark.parametrize(
    "address",
    [
        "bounce+o.brien+x=example.com@relay.example",  # VERP
        "o.brien=2Bx=40example.com",  # quoted-printable
        '"o.brien+x"@example.com',
        "O.Brien+X&#64;example.com",
        "o.brien+x of domain example.com",
        "o.brien%252Bx%2540example.com",
    ],
)
def test_mail_server_that_writes_the_address_in_another_way_does_not_tell_it(address):
    told = redact(f"550 {address}: no such user", CODE, "o.brien+x@example.com")
    assert "brien" not in told.lower()
    assert told.startswith("550 ")
    assert told.endswith(": no such user")


@pytest.mark.parametrize(
    ("text", "identifier", "redacted"),
    [
        ("user%40example.com", EMAIL, "u***@example.com"),
        ("User%40Example.com", EMAIL, "u***@example.com"),
        ("user%2540example.com", None, "u***@example.com"),
        ("other%40example.org", EMAIL, "o***@example.org"),
        ("user%2Btag%40example.com", "user+tag@example.com", "u***@example.com"),
        ("o%27user%40example.com", "o'user@example.com", "o***@example.com"),
        ("%2B46701234567", PHONE, "+467*****67"),
        ("%2b46701234567", PHONE, "+467*****67"),
        ("%2B46%2070%20123%2045%2067", None, "%*****67"),
        ("+46+70+123+45+67", None, "+*****67"),
        (f"x&code={CODE[:3]}%20{CODE[3:]}", None, "x&code=[code]"),
        (f"x&code={CODE[:3]}%2D{CODE[3:]}&n=1", None, "x&code=[code]&n=1"),
        (f"x&sid=sid_{ID}", None, "x&sid=sid_c0ffee42..."),
        (f"x&sid={ID.upper()}", None, "x&sid=C0FFEE42..."),
    ],
)
def test_a_url_in_a_message_loses_its_secrets_too(text, identifier, redacted):
    found = redact(f"404 for {URL}{text}", CODE, identifier)
    assert found.startswith(f"404 for {URL}")
    assert found.removeprefix(f"404 for {URL}").replace("%2B", "%").replace("%2*", "%*") == redacted


around = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(around, around, st.from_regex(r"[0-9]{4,8}", fullmatch=True))
def test_no_text_around_a_code_saves_it_from_redaction(before, after, code):
    assert code not in redact(f"{before} {code} {after}".replace(code, f"x{code}x"), code)


@given(around, around, st.sampled_from([PHONE, EMAIL, "5551234567", "o'user@example.com"]))
def test_no_text_around_an_identifier_saves_it_from_redaction(before, after, identifier):
    assert identifier not in redact(before + identifier + after, CODE, identifier)


@given(around, around)
def test_no_text_around_a_token_saves_its_signature(before, after):
    assert "c2lnbmF0dXJl" not in redact(f"{before} {JWT} {after}")


def raised(action):
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


SECRETS = f"{CODE} {PHONE} {EMAIL} {ID} {JWT}"


def fail_plainly():
    raise RuntimeError(SECRETS)


def fail_with_a_cause():
    try:
        fail_plainly()
    except RuntimeError as cause:
        raise ValueError(SECRETS) from cause


def fail_while_handling():
    try:
        fail_plainly()
    except RuntimeError:
        raise KeyError(SECRETS)  # noqa: B904


def fail_with_notes():
    error = RuntimeError("a first line\n" + SECRETS)
    error.add_note(SECRETS)
    raise error


def fail_with_arguments():
    raise OSError(5, SECRETS, SECRETS)


def fail_to_parse():
    compile(f"({SECRETS}", "secret.py", "exec")


def fail_in_a_group():
    raise ExceptionGroup(SECRETS, [raised(fail_plainly), raised(fail_with_arguments)])


def fail_with_locals():
    code, phone = CODE, PHONE
    return json.loads("{" * (len(code) + len(phone)))


FAILURES = [
    fail_plainly,
    fail_with_a_cause,
    fail_while_handling,
    fail_with_notes,
    fail_with_arguments,
    fail_to_parse,
    fail_in_a_group,
    fail_with_locals,
]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("identifier", [PHONE, EMAIL])
def test_a_described_error_says_where_it_was_but_no_secret(failure, identifier):
    text = describe(raised(failure), CODE, identifier)
    assert failure.__name__ in text
    for secret in (CODE, PHONE, PHONE[1:], EMAIL, ID, "c2lnbmF0dXJl"):
        assert secret not in text


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028", "\u2029"])
def test_text_from_a_client_in_an_error_cannot_be_read_as_a_line_of_the_log(line_break):
    forged = "INFO flask_otp_auth: code sent: method=sms"
    try:
        raise ValueError(f"no such user: x{line_break}{forged}\x1b[2K\u202e")
    except ValueError as error:
        first, *others = describe(error).split("\n")

    assert first == "Traceback (most recent call last):"
    assert all(line.startswith("  ") for line in others)
    assert f"  {forged}\\x1b[2K\\u202e" in others
    assert all(line.isprintable() for line in others)


def test_a_described_error_keeps_its_type_and_its_causes():
    text = describe(raised(fail_with_a_cause))
    assert text.index("RuntimeError") < text.index("ValueError")
    assert "fail_plainly" in text


def fail_deep_down(depth=3):
    if depth:
        fail_deep_down(depth - 1)
    fail_plainly()


def fail_in_a_nested_group():
    inner = ExceptionGroup("inner", [raised(fail_while_handling)])
    raise ExceptionGroup("outer", [raised(fail_deep_down), inner])


def test_the_traceback_of_each_member_of_a_group_is_there():
    """What an asyncio.TaskGroup raises says nothing by itself."""
    text = describe(raised(fail_in_a_nested_group), CODE, PHONE)
    assert text.count("in fail_deep_down") == 4
    assert "in fail_while_handling" in text
    assert "member 1 of 2" in text
    for secret in (CODE, PHONE, EMAIL, ID):
        assert secret not in text


@pytest.mark.parametrize("config", [{"TESTING": True}, {"DEBUG": True}, {}])
@pytest.mark.parametrize("failing", ["send_code_handler", "get_user_handler"])
def test_the_log_of_a_handler_that_fails_has_all_its_frames(make_world, caplog, config, failing):
    def step(depth):
        if depth:
            step(depth - 1)
        else:
            raise LookupError("no such table")

    def handler(*args):
        try:
            step(2)
        except LookupError as error:
            raise RuntimeError(f"failed for {args}") from error

    world = make_world(config=config)
    if failing == "get_user_handler":
        session_id = world.initiate()
        world.otp.get_user_handler(handler)
        assert world.verify(session_id, world.code).status_code == 500
    else:
        world.otp.send_code_handler(handler)
        answer = world.client.post("/otp/initiate", json={"identifier": PHONE, "method": "sms"})
        assert answer.status_code == 500
    assert caplog.text.count("in step") == 3
    for line in ("LookupError: no such table", "is the cause of this one", "RuntimeError: failed"):
        assert line in caplog.text
    assert PHONE not in caplog.text


def test_a_cause_that_the_host_suppressed_stays_away():
    def fail():
        try:
            fail_plainly()
        except RuntimeError:
            raise ValueError("told") from None

    text = describe(raised(fail))
    assert "ValueError: told" in text
    assert "RuntimeError" not in text


def test_errors_that_are_causes_of_each_other_are_described():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    text = describe(one)
    assert "one" in text
    assert "other" in text


def test_results_can_be_logged_by_a_host_without_giving_anything_away(make_world):
    world = make_world(REFRESH_TOKEN=True)
    with world.app.app_context():
        started = world.otp.initiate(PHONE, "sms", {"a": EMAIL})
        session = world.otp.get_session(started.session_id)
        result = world.otp.verify(started.session_id, world.code)
        with pytest.raises(OtpAuthError) as caught:
            world.otp.verify(started.session_id, world.code)
    text = f"{started} {started!r} {session} {result} {result!r} {caught.value!r}"
    for secret in (
        started.session_id,
        PHONE,
        EMAIL,
        world.code,
        result.token,
        result.refresh_token,
    ):
        assert secret not in text


@pytest.mark.parametrize(
    "written", ["jo%2Fo'brien%3Dx%40", "jo/o%27brien%3Dx@", "jo/o&#x27;brien=x@"]
)
def test_address_with_rare_characters_is_not_half_told_where_they_are_encoded(written):
    told = redact(f"550 {written}example.com: no such user", CODE, "jo/o'brien=x@example.com")
    assert told == "550 j***@example.com: no such user"
