"""Two machines behind nginx, as examples/deploy has them: limits and locks hold over both."""

from __future__ import annotations

import http.client
import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from replica_set import ReplicaSet
from support.redis_server import SERVER, Redis
from support.servers import HOST
from two_machines import DEPLOY, NGINX, OPENSSL, Deployment, deployment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (NGINX and OPENSSL and SERVER),
        reason="needs nginx, openssl and redis: apt-get install nginx openssl redis-server",
    ),
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system"),
]

AT_ONCE = 16
_hosts = itertools.count(2)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    with (
        Redis(folder) as redis,
        ReplicaSet(folder / "set") as mongo,
        deployment(
            mongo.uri("app"), redis.uri, folder, OTP_AUTH_IDENTIFIER_LIMITS="3 per hour"
        ) as machines,
    ):
        yield machines


@pytest.fixture
def client() -> str:
    """Another address of this machine for each test."""
    return f"127.0.0.{next(_hosts)}"


def start(machines: Deployment, person: str, client: str) -> tuple[str, str]:
    """Start a session and return its id and its code."""
    answer = machines.initiate(person, client=client)
    assert answer.status == 200, answer.text
    return answer.json["data"]["sessionId"], machines.mails.codes[person][-1]


def test_sends_of_one_person_are_counted_over_both_machines(
    machines: Deployment, client: str
) -> None:
    before = machines.served_by()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        clients = [f"127.0.1.{number}" for number in range(1, AT_ONCE + 1)]
        answers = list(
            pool.map(lambda c: machines.initiate("sends@example.com", client=c), clients)
        )

    assert Counter(answer.status for answer in answers) == {200: 3, 429: AT_ONCE - 3}
    assert len(machines.mails.codes["sends@example.com"]) == 3
    served = machines.served_by()
    assert all(served[name] > before[name] for name in served), "one machine had no part in it"


def test_one_client_has_one_budget_whatever_address_it_claims(
    machines: Deployment, client: str
) -> None:
    def ask(number: int) -> int:
        claim = {"X-Forwarded-For": f"192.0.2.{number}", "X-Real-IP": f"192.0.2.{number}"}
        person = f"person{number}@example.com"
        return machines.initiate(person, client=client, headers=claim).status

    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = Counter(pool.map(ask, range(AT_ONCE)))

    assert statuses == {200: 10, 429: AT_ONCE - 10}
    assert machines.initiate("other@example.com", client="127.0.2.1").status == 200


def test_tries_of_one_session_are_counted_over_both_machines(
    machines: Deployment, client: str
) -> None:
    session_id, code = start(machines, "tries@example.com", client)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    before = machines.served_by()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: machines.verify(session_id, wrong), range(AT_ONCE)))

    left = [answer.json["data"]["remainingAttempts"] for answer in answers]
    assert sorted(left, reverse=True) == [2, 1, *[0] * (AT_ONCE - 2)]
    assert machines.verify(session_id, code).status == 403
    served = machines.served_by()
    assert all(served[name] > before[name] for name in served), "one machine had no part in it"


def test_person_who_was_locked_through_one_machine_is_locked_on_both(
    machines: Deployment, client: str
) -> None:
    for _ in range(2):
        session_id, code = start(machines, "locked@example.com", client)
        wrong = f"{(int(code) + 1) % 10**6:06}"
        assert [machines.verify(session_id, wrong).status for _ in range(3)] == [401, 401, 403]

    answers = [machines.initiate("locked@example.com", client=client) for _ in range(4)]
    assert {answer.json["error"]["code"] for answer in answers} == {"identifierLocked"}
    assert len(machines.mails.codes["locked@example.com"]) == 2


def test_plain_http_is_sent_to_https_before_anything_is_read(machines: Deployment) -> None:
    connection = http.client.HTTPConnection(HOST, machines.http, timeout=10)
    connection.request("POST", "/otp/initiate", "{}", {"Host": "login.example.com"})
    answer = connection.getresponse()
    connection.close()
    assert (answer.status, answer.headers["Location"]) == (
        308,
        "https://login.example.com/otp/initiate",
    )


def test_the_example_passes_its_own_checklist(machines: Deployment) -> None:
    check = subprocess.run(
        [sys.executable, "-m", "flask", "--app=app:create_app", "otp", "check"],
        env={**machines.env},
        cwd=DEPLOY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "0 warnings, 0 failed" in check.stdout, check.stdout + check.stderr
    assert check.returncode == 0


def test_people_sign_in_on_the_machine_that_is_left(machines: Deployment, client: str) -> None:
    session_id, code = start(machines, "left@example.com", client)
    machines.kill("app1")
    before = machines.served_by()

    answer = machines.verify(session_id, code)
    assert answer.status == 200, answer.text
    bearer = {"Authorization": f"Bearer {answer.json['data']['token']}"}
    assert machines.ask("GET", "/me", headers=bearer).json == {"id": "left@example.com"}
    assert machines.ask("GET", "/me").status == 401
    for number in range(3):
        start(machines, f"after{number}@example.com", client)
    served = machines.served_by()
    assert served["app1"] == before["app1"]
    assert served["app2"] > before["app2"]
