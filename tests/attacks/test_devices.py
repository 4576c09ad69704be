"""Trusted devices: the owner is not kept out, and a token is worth nothing to anybody else."""

from __future__ import annotations

import string
from typing import Any

import pytest
import time_machine
from support.world import NOW, SECRET_KEY, MakeWorld, World

from flask_otp_auth import FlaskOtpAuth, signals
from flask_otp_auth.exceptions import InvalidIdentifier, ServiceUnavailable
from flask_otp_auth.store.accounts import AccountStore

OWNER = "+46701234567"
OTHER = "+46707654321"
YEAR = 365 * 86400
COOKIES = {"JWT_TOKEN_LOCATION": ["cookies", "headers"]}


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True, CLIENT_LIMITS=None, TRUSTED_DEVICES=YEAR)


def ask(world: World, token: Any = None, identifier: str = OWNER) -> Any:
    """Ask for a code, with a device token in the body unless it is None."""
    body = {"identifier": identifier, "method": "sms"}
    if token is not None:
        body["deviceToken"] = token
    return world.client.post("/otp/initiate", json=body)


def sign_in(world: World, token: Any = None, identifier: str = OWNER) -> str:
    """Sign in, and return the device token of the answer."""
    answer = ask(world, token, identifier)
    assert answer.status_code == 200, answer.text
    verified = world.verify(answer.json["data"]["sessionId"], world.code)
    assert verified.status_code == 200, verified.text
    return str(verified.json["data"]["deviceToken"])


def use_up_sends(world: World, clock: time_machine.Traveller) -> None:
    """Be a stranger who takes all sends of the day."""
    for _ in range(40):
        clock.shift(301)
        if ask(world).status_code == 429:
            clock.shift(900)
    assert ask(world).status_code == 429


def test_the_owner_gets_a_code_while_strangers_use_up_all_sends_of_the_account(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)

    use_up_sends(world, clock)

    assert ask(world, token).status_code == 200


def test_without_a_device_the_owner_is_kept_out_as_the_docs_say(
    world: World, clock: time_machine.Traveller
) -> None:
    sign_in(world)

    use_up_sends(world, clock)

    assert ask(world).status_code == 429


def test_the_owner_gets_a_code_while_strangers_have_the_account_locked(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)
    for _ in range(2):
        clock.shift(31)
        session_id = ask(world).json["data"]["sessionId"]
        for _ in range(3):
            world.verify(session_id, world.wrong_code)
    assert ask(world).json["error"]["code"] == "identifierLocked"

    assert ask(world, token).status_code == 200


def test_failures_on_a_device_lock_that_device_and_no_stranger(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)
    for _ in range(2):
        clock.shift(31)
        session_id = ask(world, token).json["data"]["sessionId"]
        for _ in range(3):
            world.verify(session_id, world.wrong_code)

    locked = ask(world, token)
    assert (locked.status_code, locked.json["error"]["code"]) == (429, "identifierLocked")
    assert ask(world).status_code == 200


def test_a_right_code_on_a_device_clears_its_failures_and_leaves_those_of_strangers(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)
    clock.shift(31)
    session_id = ask(world).json["data"]["sessionId"]
    for _ in range(3):
        world.verify(session_id, world.wrong_code)
    world.verify(ask(world, token).json["data"]["sessionId"], world.wrong_code)
    clock.shift(31)

    sign_in(world, token)

    with world.app.app_context():
        accounts = world.app.extensions["otp_auth"].accounts
        [account, device] = accounts.find(accounts.id_of(OWNER.removeprefix("+")), NOW)
    assert (account.failures, account.account.device) == (3, None)
    assert device.failures == 0
    assert device.account.owner == account.account


def bad_tokens(world: World, clock: time_machine.Traveller) -> dict[str, Any]:
    good = sign_in(world)
    clock.shift(31)
    other = sign_in(world, identifier=OTHER)
    head, _, signature = good.rpartition(".")
    flipped = head[:-1] + ("A" if head[-1] != "A" else "B")
    return {
        "of another account": other,
        "with another time": f"{flipped}.{signature}",
        "with a signature of another": f"{head}.{other.rpartition('.')[2]}",
        "cut": good[:-1],
        "padded": good + "=",
        **{
            f"ending in {last}": good[:-1] + last
            for last in string.ascii_letters + string.digits + "-_"
            if last != good[-1]
        },
        "without a signature": head,
        "doubled": good + good,
        "huge": good * 50,
        "empty": "",
        "not ASCII": "é" * 20,
        "a number": 5,
        "a list": [good],
        "an object": {"token": good},
        "true": True,
    }


def test_a_token_that_proves_nothing_gets_the_same_answer_as_none(
    world: World, clock: time_machine.Traveller
) -> None:
    tokens = bad_tokens(world, clock)
    clock.shift(86401)
    assert ask(world).status_code == 200

    refused = ask(world)
    for name, token in tokens.items():
        answer = ask(world, token)
        assert answer.status_code == 429, name
        assert {**answer.json["error"], "id": ""} == {**refused.json["error"], "id": ""}, name
        assert dict(answer.headers) == dict(refused.headers), name


def test_a_token_gives_its_client_no_sends_for_other_accounts(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS="2 per hour", TRUSTED_DEVICES=YEAR)
    token = sign_in(world)
    clock.shift(31)

    # The owner's own account has a share of its own; everybody else's is that of the address.
    assert ask(world, token).status_code == 200
    others = [ask(world, token, f"+4670765432{n}").status_code for n in range(3)]
    assert others == [200, 429, 429]


def test_a_stale_token_is_no_token(make_world: MakeWorld, clock: time_machine.Traveller) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None, TRUSTED_DEVICES=3600)
    token = sign_in(world)
    clock.shift(3600)
    ask(world)
    assert ask(world, token).status_code == 200

    clock.shift(31)
    ask(world)

    assert ask(world, token).status_code == 429


def test_a_token_outlives_a_new_secret_until_the_old_one_is_dropped(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    old, new = SECRET_KEY, "a newer secret key, also over 32 bytes long"
    options = {"guarded": True, "CLIENT_LIMITS": None, "TRUSTED_DEVICES": YEAR}
    token = sign_in(make_world(**options))
    rotated = make_world(**options, config={"SECRET_KEY": new, "SECRET_KEY_FALLBACKS": [old]})
    clock.shift(31)
    assert [ask(rotated).status_code for _ in range(2)] == [200, 429]

    assert ask(rotated, token).status_code == 200
    dropped = make_world(**options, config={"SECRET_KEY": new})
    assert ask(dropped).status_code == 200
    assert ask(dropped, token).status_code == 429


def test_unlock_clears_strangers_and_devices_and_revokes_no_token(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)
    clock.shift(31)
    assert ask(world, token).status_code == 200
    assert ask(world, token).status_code == 429

    with world.app.app_context():
        assert world.otp.unlock(OWNER, "sms") is True

    assert ask(world, token).status_code == 200
    assert ask(world).status_code == 200


def test_a_token_gives_no_more_tries_than_one_device_has(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)
    clock.shift(31)
    renewed = sign_in(world, token)
    clock.shift(31)

    assert ask(world, token).status_code == 200
    assert ask(world, renewed).status_code == 429


def test_a_token_names_nobody(world: World) -> None:
    token = sign_in(world)
    account = world.app.extensions["otp_auth"].accounts.id_of("46701234567").account

    assert "4670" not in token
    assert account not in token


def test_the_owner_is_trusted_under_every_spelling_of_the_number(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)
    clock.shift(31)
    ask(world)

    assert ask(world, token, "46701234567").status_code == 200


def test_a_browser_gets_the_token_as_a_cookie_out_of_reach_of_scripts(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(
        guarded=True,
        CLIENT_LIMITS=None,
        TRUSTED_DEVICES=YEAR,
        config={**COOKIES, "JWT_COOKIE_SECURE": True},
    )
    browser = world.app.test_client()
    body = {"identifier": OWNER, "method": "sms"}
    session_id = browser.post("/otp/initiate", json=body).json["data"]["sessionId"]
    answer = browser.post("/otp/verify", json={"sessionId": session_id, "code": world.code})

    [cookie] = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("otp_device=")]
    attributes = {part.strip() for part in cookie.split(";")[1:]}
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/otp", f"Max-Age={YEAR}"} <= attributes
    assert "Domain" not in cookie
    assert "deviceToken" not in answer.json["data"]


@pytest.mark.parametrize("planted", [1, 15])
def test_cookies_that_a_subdomain_sets_do_not_hide_the_owners(
    planted: int, make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None, TRUSTED_DEVICES=YEAR, config=COOKIES)
    tokens = []
    for identifier in (OTHER, OWNER):
        browser = world.app.test_client()
        body = {"identifier": identifier, "method": "sms"}
        session_id = browser.post("/otp/initiate", json=body).json["data"]["sessionId"]
        browser.post("/otp/verify", json={"sessionId": session_id, "code": world.code})
        cookie = browser.get_cookie("otp_device", path="/otp")
        assert cookie is not None
        tokens.append(cookie.value)
    of_another, own = tokens
    clock.shift(31)
    ask(world)

    values = [*(f"{n}{of_another}" for n in range(planted)), *["x" * 300] * 20, own]
    answer = world.app.test_client(use_cookies=False).post(
        "/otp/initiate",
        json={"identifier": OWNER, "method": "sms"},
        headers={"Cookie": "; ".join(f"otp_device={value}" for value in values)},
    )

    assert answer.status_code == 200


def test_a_token_whose_device_was_forgotten_gets_the_same_answer_as_none(
    world: World, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    token = sign_in(world)
    with world.app.app_context():
        assert world.otp.forget_devices("0046 70 123 45 67", "sms") == 1
        assert world.otp.forget_devices(OWNER, "sms") == 0
    clock.shift(31)
    ask(world)
    refused = ask(world)

    answer = ask(world, token)

    assert answer.status_code == refused.status_code == 429
    assert {**answer.json["error"], "id": ""} == {**refused.json["error"], "id": ""}
    assert "trusted devices forgotten: +467*****67: 1" in caplog.text
    clock.shift(31)
    again = sign_in(world, token)
    clock.shift(31)
    ask(world)
    assert ask(world, again).status_code == 200


def test_who_reads_codes_for_a_while_has_ten_devices_and_no_more(
    world: World, clock: time_machine.Traveller
) -> None:
    tokens = []
    for _ in range(13):
        clock.shift(5000)
        tokens.append(sign_in(world))
    clock.shift(86_400)

    sends = 0
    for token in tokens:
        assert ask(world, token).status_code == 200 or token in tokens[:3]
        sends += ask(world, token).status_code == 429

    assert sends == 13
    assert world.accounts.count_documents({"trustedUntil": {"$exists": True}}) == 10


def test_a_thief_who_disables_a_device_does_not_lock_out_the_browser_it_was_stolen_from(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)
    world.accounts.update_one({"trustedUntil": {"$exists": True}}, {"$set": {"failures": 100}})
    clock.shift(31)

    session_id = ask(world, token).json["data"]["sessionId"]
    renewed = world.verify(session_id, world.code).json["data"]["deviceToken"]

    ask(world)
    assert ask(world).status_code == 429
    assert ask(world, token).status_code == 429
    assert ask(world, renewed).status_code == 200


def test_a_sign_in_goes_through_when_its_device_cannot_be_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise ServiceUnavailable(retry_after=5)

    session_id = world.initiate()
    monkeypatch.setattr(AccountStore, "trust", away)

    answer = world.verify(session_id, world.code)

    assert answer.status_code == 200
    assert "deviceToken" not in answer.json["data"]


def test_with_the_option_off_nothing_changes_on_the_wire(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True)
    refused = ask(world, "a token")
    assert (refused.status_code, list(refused.json["error"]["fields"])) == (400, ["deviceToken"])

    verified = world.verify(world.initiate(), world.code)

    assert set(verified.json["data"]) == {"status", "token", "user"}
    assert "Set-Cookie" not in verified.headers


def test_from_python_a_device_is_trusted_too(world: World, clock: time_machine.Traveller) -> None:
    otp: FlaskOtpAuth = world.otp
    with world.app.app_context():
        result = otp.verify(otp.initiate(OWNER, "sms").session_id, world.code)
        assert result.device_token is not None
        clock.shift(31)
        otp.initiate(OWNER, "sms")

        assert otp.initiate(OWNER, "sms", device_token=result.device_token)


def test_the_use_of_a_device_is_told_and_logged_without_its_owner(
    world: World, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[dict[str, Any]] = []

    def receiver(app: Any, **extra: Any) -> None:
        told.append(extra)

    token = sign_in(world)
    clock.shift(31)
    with signals.trusted_device_used.connected_to(receiver), caplog.at_level("INFO"):
        ask(world, token)

    assert [extra["identifier"] for extra in told] == ["+467*****67"]
    assert "trusted device" in caplog.text
    assert OWNER not in caplog.text
    assert token not in caplog.text


@pytest.mark.parametrize("number", ["+14155550132", "+447700900123", "+999701234567", "0701234567"])
def test_no_message_goes_to_a_country_that_is_not_allowed(
    number: str, make_world: MakeWorld
) -> None:
    world = make_world(PHONE_REGIONS=["SE"])

    answer = ask(world, identifier=number)

    assert (answer.status_code, answer.json["error"]["code"]) == (400, "invalidIdentifier")
    assert world.outbox == []
    assert ask(world).status_code == 200


def test_no_message_goes_to_a_number_that_earns_its_owner_money(make_world: MakeWorld) -> None:
    world = make_world(PHONE_REGIONS=["SE"])

    assert ask(world, identifier="+469001234567").status_code == 400
    with world.app.app_context(), pytest.raises(InvalidIdentifier):
        world.otp.initiate("+469001234567", "sms")
    assert world.outbox == []


def test_a_reviewer_with_a_made_up_number_signs_in_under_any_regions(
    make_world: MakeWorld,
) -> None:
    made_up = "+15555550100"
    world = make_world(
        PHONE_REGIONS=["SE"], TEST_IDENTIFIERS={made_up: {"code": "493817", "until": "2050-06-01"}}
    )

    session_id = ask(world, identifier=made_up).json["data"]["sessionId"]

    assert world.verify(session_id, "493817").status_code == 200
