"""Trusted devices: a document each, which a right code makes, and never more than ten of them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from stored import Account, Documents, Make, at
from support.world import NOW

from flask_otp_auth.store.account import Event
from flask_otp_auth.types import AccountId

YEAR = timedelta(days=365)
EVERY_HALF_MINUTE = [(1, timedelta(seconds=30))]


@pytest.fixture
def account(make_account: Make) -> Account:
    return make_account(EVERY_HALF_MINUTE, threshold=3, disable_after=6)


def trust(account: Account) -> AccountId:
    return account.store.trust(account.id, NOW + YEAR)


def fail(account: Account, device: AccountId, failures: int = 6) -> list[Event]:
    return [
        account.store.record_failure(device, "s", judged_at=at(n), now=at(n)).event
        for n in range(failures)
    ]


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


def test_unlocking_and_forgetting_reach_all_devices_of_an_account_and_no_other_account(
    make_account: Make, account: Account, documents: Documents
) -> None:
    other = make_account(EVERY_HALF_MINUTE, threshold=3, disable_after=6, name="o@example.com")
    kept, forgotten, of_other = trust(account), trust(account), trust(other)
    documents.delete_one({"_id": str(forgotten)})
    fail(account, kept)
    account.fail()
    fail(account, of_other)
    other.fail()

    assert account.store.unlock(account.id, NOW) is True

    failures = {r.account: r.failures for r in account.store.find(account.id, NOW)}
    assert failures == {account.id: 0, kept: 0}
    assert {r.failures for r in other.store.find(other.id, NOW)} == {1, 6}
    stored = documents.find_one({"_id": str(kept)})
    assert stored is not None
    assert stored["expireAt"] > NOW + YEAR - timedelta(hours=1)  # its token is still good

    assert [account.store.forget_devices(account.id) for _ in range(2)] == [1, 0]
    assert [r.account for r in account.store.find(account.id, NOW)] == [account.id]
    assert len(other.store.find(other.id, NOW)) == 2
