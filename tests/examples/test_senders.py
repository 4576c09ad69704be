"""The senders of the examples hand each provider what it takes, for one person alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer
from moto.ses.models import ses_backends
from moto.sns.models import sns_backends
from redis import Redis as RedisClient
from rq import Queue
from support.delivery_servers import (
    PASSWORD,
    USER,
    Mailbox,
    certificate,
    hanging_server,
    http_gateway,
    smtp_server,
)
from support.redis_server import Redis, needs_redis
from support.servers import HOST, PATIENCE, ROOT, python_path
from support.world import World
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from flask_otp_auth.testing.mongod import free_port
from senders.by_aws import aws_sender
from senders.by_queue import deliver, queue_sender
from senders.by_smtp import smtp_sender
from senders.by_twilio import twilio_sender

NUMBER = "+46701234567"
EMAIL = "reader@example.com"


@pytest.fixture
def mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    cert, key = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with smtp_server(cert, key) as server:
        yield server


def sign_in(world: World, identifier: str, method: str, code: Any) -> None:
    """Sign in with the code that *code* gets from what was sent."""
    session_id = world.initiate(identifier, method)
    (digits,) = re.findall(r"Your code is (\d{6})\.", code())
    assert world.verify(session_id, digits).status_code == 200


def test_code_goes_out_by_smtplib(world: World, mailbox: Mailbox) -> None:
    login = {"user": USER, "password": PASSWORD}
    sender = smtp_sender(HOST, mailbox.port, sender="no-reply@example.com", **login)
    world.otp.send_code_handler(sender)

    sign_in(world, EMAIL, "email", lambda: mailbox.received[0][1].get_content())

    ((recipients, message),) = mailbox.received
    assert recipients == [EMAIL]
    assert message["From"] == "no-reply@example.com"
    assert not re.search(r"\d{6}", message["Subject"])


def test_smtp_server_that_hangs_does_not_hold_the_request(world: World) -> None:
    with hanging_server() as port:
        login = {"user": USER, "password": PASSWORD, "sender": "no-reply@example.com"}
        world.otp.send_code_handler(smtp_sender(HOST, port, timeout=0.2, **login))
        body = {"identifier": EMAIL, "method": "email"}
        answer = world.client.post("/otp/initiate", json=body)

    assert answer.status_code == 500


@pytest.mark.parametrize(("status", "answered"), [("queued", 200), ("failed", 500)])
def test_code_goes_out_by_twilio(world: World, status: str, answered: int) -> None:
    with http_gateway(201, json.dumps({"sid": "SM1", "status": status})) as gateway:
        client = Client("AC1", "token", http_client=TwilioHttpClient(timeout=30))
        client.api.base_url = gateway.site.url
        world.otp.send_code_handler(twilio_sender(client, "+15555550199"))

        body = {"identifier": NUMBER, "method": "sms"}
        answer = world.client.post("/otp/initiate", json=body)

    assert answer.status_code == answered
    (form,) = gateway.received
    text = form.pop("Body")
    assert form == {"To": NUMBER, "From": "+15555550199"}
    assert gateway.paths == ["/2010-04-01/Accounts/AC1/Messages.json?"]
    assert gateway.logins == [("AC1", "token")]
    assert re.fullmatch(r"Your code is \d{6}\. Never share it with anyone\.", text)


def test_code_that_twilio_refuses_is_not_sent(world: World) -> None:
    refusal = {"code": 21211, "message": "The 'To' number is not valid", "status": 400}
    with http_gateway(400, json.dumps(refusal)) as gateway:
        client = Client("AC1", "token", http_client=TwilioHttpClient(timeout=30))
        client.api.base_url = gateway.site.url
        world.otp.send_code_handler(twilio_sender(client, "+15555550199"))

        body = {"identifier": NUMBER, "method": "sms"}
        assert world.client.post("/otp/initiate", json=body).status_code == 500


def test_codes_go_out_by_amazon_sns_and_ses(world: World) -> None:
    server = ThreadedMotoServer(HOST, free_port(), verbose=False)
    server.start()
    try:
        where = {
            "endpoint_url": "http://{}:{}".format(*server.get_host_and_port()),
            "region_name": "us-east-1",
            "aws_access_key_id": "key",
            "aws_secret_access_key": "secret",
        }
        sns, ses = boto3.client("sns", **where), boto3.client("ses", **where)
        ses.verify_email_identity(EmailAddress="no-reply@example.com")
        world.otp.send_code_handler(aws_sender(sns, ses, "no-reply@example.com"))
        texts = sns_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sms_messages
        mails = ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages

        sign_in(world, NUMBER, "sms", lambda: [*texts.values()][-1][1])
        sign_in(world, EMAIL, "email", lambda: mails[-1].body)

        assert [*texts.values()][-1][0] == NUMBER
        assert mails[-1].destinations["ToAddresses"] == [EMAIL]
        sns.close()
        ses.close()
    finally:
        server.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisClient]:
    with Redis(tmp_path) as server, RedisClient(HOST, server.port) as client:
        yield client


def work(redis: RedisClient, env: dict[str, str]) -> str:
    """Run a worker until the queue is empty, and return its log."""
    url = f"redis://{HOST}:{redis.connection_pool.connection_kwargs['port']}"
    run = subprocess.run(
        [sys.executable, "-m", "rq.cli", "worker", "otp-codes", "--burst", "--url", url],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout + run.stderr


@needs_redis
def test_code_goes_out_by_a_worker_and_is_in_no_log(
    world: World, mailbox: Mailbox, redis: RedisClient
) -> None:
    world.otp.send_code_handler(queue_sender(Queue("otp-codes", connection=redis), deliver))
    env = {
        "PYTHONPATH": os.pathsep.join([python_path(), str(ROOT / "examples")]),
        "SMTP_HOST": HOST,
        "SMTP_PORT": str(mailbox.port),
        "SMTP_USER": USER,
        "SMTP_PASSWORD": PASSWORD,
        "SMTP_SENDER": "no-reply@example.com",
    }
    logs: list[str] = []

    def code() -> str:
        assert mailbox.received == []
        logs.append(work(redis, env))
        return str(mailbox.received[0][1].get_content())

    sign_in(world, EMAIL, "email", code)

    (digits,) = re.findall(r"\d{6}", mailbox.received[0][1].get_content())
    assert "send a login code" in logs[0]
    assert digits not in logs[0]
    assert EMAIL not in logs[0]
    left = [key for key in redis.keys() if b":job:" in key]  # noqa: SIM118
    assert left == []


@needs_redis
def test_code_that_waits_too_long_is_forgotten(world: World, redis: RedisClient) -> None:
    world.otp.send_code_handler(queue_sender(Queue("otp-codes", connection=redis), deliver))
    world.initiate(EMAIL, "email")

    (job,) = (key for key in redis.keys() if b":job:" in key)  # noqa: SIM118
    assert 0 < redis.ttl(job) <= 60
