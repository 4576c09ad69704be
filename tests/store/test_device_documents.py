"""Trusted devices: a document each, which a right code makes, and never more than ten of them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database
from stored import Account, Documents, at
from support.world import NOW

from flask_otp_auth.store.account import Event
from flask_otp_auth.types import AccountId

YEAR = timedelta(days=365)
EVERY_HALF_MINUTE = [(1, timedelta(seconds=30))]


@pytest.fixture
def account(database: Database[dict[str, Any]]) -> Account:
    return Account(database, EVERY_HALF_MINUTE, threshold=3, disable_after=6)


def trust(account: Account) -> AccountId:
    return account.store.trust(account.id, NOW + YEAR)


def fail(account: Account, device: AccountId, failures: int = 6) -> list[Event]:
    return [
        account.store.record_failure(device, "s", judged_at=at(n), now=at(n)).event
        for n in range(failures)
    ]


def test_the_id_of_an_account_or_a_device_is_read_as_it_was_written(account: Account) -> None:
    device = trust(account)
    for found in (account.id, device):
        assert AccountId.parse(str(found)) == found
    assert (device.owner, account.id.owner) == (account.id, account.id)


def test_a_device_that_no_right_code_has_made_is_as_anybody_else(
    account: Account, documents: Documents
) -> None:
    made_up = AccountId(account.id.account, "0" * 32)
    account.ask()

    assert account.ask(NOW, made_up).event is Event.LIMITED
    account.store.record_failure(made_up, "s", judged_at=NOW, now=NOW)

    [stored] = documents.find()
    assert (stored["_id"], stored["failures"]) == (str(account.id), 1)


def test_a_device_is_counted_apart_from_its_account_and_from_other_devices(
    account: Account,
) -> None:
    one, other = trust(account), trust(account)

    for asking in (account.id, one, other):
        assert account.ask(NOW, asking).account == asking
        assert account.ask(NOW, asking).event is Event.LIMITED


def test_the_longest_unused_of_more_than_ten_devices_goes(account: Account) -> None:
    devices = [trust(account) for _ in range(10)]
    assert account.store.trust(devices[0], NOW + YEAR) == devices[0]  # used again

    eleventh = trust(account)

    kept = {record.account for record in account.store.find(account.id, NOW)}
    assert kept == {*devices[:1], *devices[2:], eleventh}


def test_right_codes_at_the_same_moment_leave_ten_devices_and_a_token_for_each_of_these(
    account: Account, documents: Documents
) -> None:
    barrier = threading.Barrier(24)
    devices: list[AccountId] = []

    def sign_in() -> None:
        barrier.wait(30)
        devices.append(trust(account))

    threads = [threading.Thread(target=sign_in) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    stored = {document["_id"] for document in documents.find()}
    assert len(stored) == 10
    assert stored <= {str(device) for device in devices}


def test_a_device_whose_bound_is_used_up_is_as_anybody_else_until_it_signs_in(
    account: Account,
) -> None:
    device = trust(account)
    assert fail(account, device)[-1] is Event.DISABLED

    admitted = account.ask(at(0), device)
    assert (admitted.account, admitted.event) == (account.id, Event.SENT)
    again = account.store.trust(admitted.account, NOW + YEAR)  # its right code

    assert account.ask(at(1), device, again).account == again
    assert account.ask(at(1), device).event is Event.LIMITED


@pytest.mark.parametrize("why", [Event.LIMITED, Event.LOCKED])
def test_a_device_that_has_to_wait_is_not_let_through_as_anybody_else(
    why: Event, account: Account
) -> None:
    device = trust(account)
    account.ask(NOW, device)
    if why is Event.LOCKED:
        fail(account, device, 3)

    refused = account.ask(at(2), device)

    assert (refused.account, refused.event) == (device, why)


@pytest.mark.parametrize("hidden", ["disabled", "has to wait", "forgotten"])
@pytest.mark.parametrize("is_first", [True, False])
def test_of_several_devices_that_a_request_names_none_hides_the_one_that_may_ask(
    is_first: bool, hidden: str, account: Account, documents: Documents
) -> None:
    other, own = trust(account), trust(account)
    if hidden == "disabled":
        fail(account, other)
    elif hidden == "has to wait":
        account.ask(NOW, other)
    else:
        documents.delete_one({"_id": str(other)})
    account.ask()

    asking = [own, other] if is_first else [other, own]
    assert account.ask(NOW, *asking).account == own
    assert account.ask(NOW, *asking).account != account.id  # nor does it use up the account's


def test_a_right_code_on_a_device_clears_that_device_alone(account: Account) -> None:
    device = trust(account)
    account.fail(judged_at=at(-1))
    fail(account, device, 2)

    account.store.settle(device, "s", judged_at=at(10), now=at(10))

    records = account.store.find(account.id, at(10))
    assert [(record.account, record.failures) for record in records] == [
        (account.id, 1),
        (device, 0),
    ]


def test_an_unlock_clears_strangers_and_devices_and_makes_no_device(
    account: Account, documents: Documents
) -> None:
    kept, forgotten = trust(account), trust(account)
    documents.delete_one({"_id": str(forgotten)})
    fail(account, kept)
    account.fail()

    assert account.store.unlock(account.id, NOW) is True

    records = account.store.find(account.id, NOW)
    assert {record.account: record.failures for record in records} == {account.id: 0, kept: 0}
    assert account.ask(NOW, forgotten).account == account.id
    stored = documents.find_one({"_id": str(kept)})
    assert stored is not None
    assert stored["expireAt"] > NOW + YEAR - timedelta(hours=1)  # its token is still good


def test_forgotten_devices_are_as_anybody_else_and_those_of_others_stay(
    database: Database[dict[str, Any]], account: Account
) -> None:
    other = Account(database, EVERY_HALF_MINUTE, name="other@example.com")
    device, of_other = trust(account), trust(other)

    assert [account.store.forget_devices(account.id) for _ in range(2)] == [1, 0]

    assert account.ask(NOW, device).account == account.id
    assert other.ask(NOW, of_other).account == of_other


def test_a_wrong_code_for_a_device_that_was_forgotten_meanwhile_counts_for_the_account(
    account: Account,
) -> None:
    device = trust(account)
    account.ask(NOW, device, session="open")
    account.store.forget_devices(account.id)

    failure = account.store.record_failure(device, "open", judged_at=NOW, now=NOW)

    assert failure.failures == 1
    [record] = account.store.find(account.id, NOW)
    assert (record.account, record.failures) == (account.id, 1)
    assert account.store.trust(device, NOW + YEAR) != device


@pytest.mark.parametrize("failures", [0, 2, 6])
def test_the_document_of_a_device_lives_as_long_as_its_token_whatever_it_holds(
    failures: int, account: Account, documents: Documents
) -> None:
    device = trust(account)
    account.ask(NOW, device)
    fail(account, device, failures)

    stored = documents.find_one({"_id": str(device)})
    assert stored is not None
    assert NOW + YEAR < stored["expireAt"] < NOW + YEAR + timedelta(hours=1)


@pytest.mark.parametrize("damage", [{"failures": "many"}, {"trustedUntil": 5}, {"usedAt": "now"}])
def test_a_damaged_device_is_as_anybody_else(
    damage: dict[str, Any], account: Account, documents: Documents
) -> None:
    device = trust(account)
    documents.update_one({"_id": str(device)}, {"$set": damage})
    account.ask()

    assert account.ask(NOW, device).event is Event.LIMITED


def test_an_export_holds_what_is_stored_and_neither_a_digest_nor_the_account(
    account: Account,
) -> None:
    device = trust(account)
    account.ask(NOW, session="0" * 32)
    account.fail()

    stored, of_device = account.store.export(account.id)

    assert stored["sends"] == ["2050-01-02T12:30:00.000Z"]
    assert stored["failures"] == 1
    assert of_device["trustedUntil"] == "2051-01-02T12:30:00.000Z"
    assert account.id.account not in str([stored, of_device])
    assert [stored["device"], of_device["device"]] == [None, device.device]
