"""Sending in the background: bounded, in an app context, drained at the end, never silent."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, g, has_request_context
from slots import fill, slot_of
from support.servers import HOST, PATIENCE, ROOT, Site, process, python_path, wait_until
from support.world import SECRET_KEY, MakeWorld, World

from flask_otp_auth.background import BackgroundSender, Slot
from flask_otp_auth.exceptions import ServiceUnavailable
from flask_otp_auth.signals import code_sent, send_failed
from flask_otp_auth.testing.mongod import free_port

ASK = {"identifier": "+46701234567", "method": "sms"}


class Gate:
    """Jobs that wait until they are let go on."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.running = threading.Semaphore(0)
        self.done: list[object] = []

    def job(self, name: object = None) -> None:
        self.running.release()
        assert self.open.wait(PATIENCE)
        self.done.append(name)

    def wait_for(self, running: int) -> None:
        for _ in range(running):
            assert self.running.acquire(timeout=PATIENCE)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def app() -> Flask:
    return Flask("background")


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.mark.usefixtures("context")
def test_more_jobs_than_slots_are_refused_and_slots_come_back(gate: Gate) -> None:
    sender = BackgroundSender(workers=2, waiting=3)
    for n in range(5):
        sender.reserve().run(lambda n=n: gate.job(n))
    for _ in range(3):
        with pytest.raises(ServiceUnavailable) as refused:
            sender.reserve()
        assert refused.value.retry_after == 1

    gate.open.set()
    sender.drain()

    assert sorted(gate.done) == [0, 1, 2, 3, 4]
    for n in range(5):
        sender.reserve().run(lambda n=n: gate.job(n))
    sender.drain()
    assert len(gate.done) == 10


@pytest.mark.usefixtures("context")
def test_no_more_jobs_run_at_a_time_than_there_are_workers(gate: Gate) -> None:
    before = set(threading.enumerate())
    sender = BackgroundSender(workers=2, waiting=10)
    for _ in range(6):
        sender.reserve().run(gate.job)
    gate.wait_for(2)

    assert not gate.running.acquire(timeout=0.2)
    started = set(threading.enumerate()) - before
    assert len([t for t in started if t.name.startswith("flask_otp_auth")]) == 2
    gate.open.set()
    sender.drain()
    assert len(gate.done) == 6


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_a_place_comes_back_from_a_job_that_fails(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    sender = BackgroundSender(workers=1, waiting=0)

    def fail() -> None:
        raise error("no route to the provider")

    for _ in range(3):
        sender.reserve().run(fail)
        sender.drain()

    records = [record for record in caplog.records if record.name == "flask_otp_auth"]
    assert [record.levelno for record in records] == [logging.ERROR] * 3
    assert "no route to the provider" in records[0].getMessage()


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("job", [lambda: None, lambda: 1 / 0], ids=["ends", "fails"])
def test_next_message_gets_the_place_of_one_that_is_done(job: Callable[[], object]) -> None:
    sender = BackgroundSender(workers=1, waiting=0)
    for _ in range(3):
        slot_of(sender).run(job)
    sender.drain()


def test_each_job_runs_in_a_context_of_the_app_it_came_from() -> None:
    seen: list[tuple[str, bool, bool]] = []
    sender = BackgroundSender()

    def look() -> None:
        seen.append((current_app.name, has_request_context(), hasattr(g, "mark")))

    for name in ("one", "two"):
        with Flask(name).test_request_context("/"):
            g.mark = True
            sender.reserve().run(look)
            sender.drain()

    assert seen == [("one", False, False), ("two", False, False)]


@pytest.mark.usefixtures("context")
def test_draining_waits_for_the_jobs_taken_and_takes_new_ones_afterwards() -> None:
    sender, done = BackgroundSender(), []
    sender.reserve().run(lambda: (time.sleep(0.2), done.append(1)))
    sender.drain()
    assert done == [1]
    sender.drain()
    sender.reserve().run(lambda: done.append(2))
    sender.drain()
    assert done == [1, 2]


def test_nothing_is_started_before_there_is_something_to_send() -> None:
    before = set(threading.enumerate())
    BackgroundSender().drain()

    assert set(threading.enumerate()) <= before


def background_world(make_world: MakeWorld, **options: Any) -> World:
    return make_world(SEND_IN_BACKGROUND=True, **options)


def drain(world: World) -> None:
    world.app.extensions["otp_auth"].background.drain()


def test_the_answer_does_not_wait_for_the_sender(make_world: MakeWorld, gate: Gate) -> None:
    world = background_world(make_world)

    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        gate.job(code)
        return True

    session_id = world.initiate()
    assert gate.done == []
    gate.open.set()
    drain(world)

    [code] = gate.done
    assert world.verify(session_id, str(code)).status_code == 200


def test_the_code_is_sent_as_it_is_in_the_request(make_world: MakeWorld) -> None:
    world = background_world(make_world)
    sent: list[dict[str, Any]] = []

    def receiver(sender: Any, **known: Any) -> None:
        sent.append(known)

    with code_sent.connected_to(receiver, world.app):
        session_id = world.initiate(payload={"campaign": 7})
        drain(world)

    [message] = world.outbox
    assert (message.identifier, message.method) == ("+46701234567", "sms")
    assert message.payload == {"campaign": 7}
    assert [known["session_id"] for known in sent] == [session_id]
    assert world.verify(session_id, message.code).status_code == 200


@pytest.mark.parametrize("how", ["raises", "exits", "returns False", "returns None"])
def test_a_sender_that_fails_is_reported_and_the_next_message_goes_out(
    how: str,
    make_world: MakeWorld,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = background_world(make_world)
    imitated: list[object] = []  # that is for people to whom nothing is sent
    monkeypatch.setattr(Slot, "imitate_send", lambda *args: imitated.append(args))
    reports: list[dict[str, Any]] = []
    codes: list[str] = []
    fails = [True]

    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> Any:
        codes.append(code)
        if not fails[0]:
            return True
        if how in ("raises", "exits"):
            error = {"raises": ConnectionError, "exits": SystemExit}[how]
            raise error(f"the provider is away: {code} to {identifier}")
        return {"returns False": False, "returns None": None}[how]

    def receiver(sender: Any, **known: Any) -> None:
        reports.append(known)

    with send_failed.connected_to(receiver, world.app):
        session_id = world.initiate()
        drain(world)

    assert imitated == []
    [report] = reports
    assert report["session_id"] == session_id
    assert report["identifier"] == "+467*****67"
    assert report["reason"] == ("raised" if how in ("raises", "exits") else "not sent")
    assert "code not sent" in caplog.text
    assert ("the provider is away" in caplog.text) == (how in ("raises", "exits"))
    assert codes[0] not in caplog.text
    assert ASK["identifier"] not in caplog.text
    assert world.verify(session_id, codes[0]).status_code == 401
    fails[0] = False
    caplog.clear()
    world.initiate()
    drain(world)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_resend_goes_through_the_background_too(make_world: MakeWorld, gate: Gate) -> None:
    world = background_world(make_world)
    session_id = world.initiate()
    drain(world)

    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        gate.job(code)
        return True

    answer = world.client.post("/otp/resend", json={"sessionId": session_id})
    assert answer.status_code == 200
    assert gate.done == []
    gate.open.set()
    drain(world)

    assert world.verify(session_id, str(gate.done[0])).status_code == 200


def test_a_resend_that_fails_in_the_background_leaves_the_earlier_code_right(
    make_world: MakeWorld,
) -> None:
    world = background_world(make_world)
    session_id = world.initiate()
    drain(world)
    unsent: list[str] = []

    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        unsent.append(code)
        return False

    world.client.post("/otp/resend", json={"sessionId": session_id})
    drain(world)

    assert world.verify(session_id, unsent[0]).status_code == 401
    assert world.verify(session_id, world.code).status_code == 200


def test_a_request_for_which_there_is_no_place_is_refused_and_leaves_no_session_open(
    make_world: MakeWorld, gate: Gate
) -> None:
    world = background_world(make_world)
    session_id = world.initiate()
    drain(world)
    fill(world, gate.open)

    refused = world.client.post("/otp/initiate", json=ASK)
    no_resend = world.client.post("/otp/resend", json={"sessionId": session_id})

    for answer in (refused, no_resend):
        assert answer.status_code == 503
        assert answer.json["error"]["code"] == "serviceUnavailable"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert world.sessions.count_documents({"status": "pending"}) == 1
    stored = world.sessions.find_one({"_id": session_id})
    assert stored is not None
    assert len(stored["digests"]) == 1
    gate.open.set()
    drain(world)
    assert world.client.post("/otp/initiate", json=ASK).status_code == 200
    drain(world)


def test_nothing_is_sent_to_unknown_people_when_that_is_off(make_world: MakeWorld) -> None:
    for background in (False, True):
        world = make_world(SEND_TO_UNKNOWN=False, SEND_IN_BACKGROUND=background)

        @world.otp.get_user_handler
        def get_user(identifier: str, method: str, payload: Any) -> Any:
            return {"id": 1} if identifier == "+46701234567" else None

        for identifier in ("+46701234567", "+46707654321"):
            world.initiate(identifier)
        if background:
            drain(world)

        assert [sent.identifier for sent in world.outbox] == ["+46701234567"]


def test_a_lookup_that_fails_sends_nothing_and_is_reported(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = background_world(make_world, SEND_TO_UNKNOWN=False)

    @world.otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        raise LookupError("the directory is away")

    world.initiate()
    drain(world)

    assert world.outbox == []
    assert "the directory is away" in caplog.text


SCRIPT = """
import os, sys, threading, time
from flask import Flask
from flask_otp_auth import FlaskOtpAuth

at_the_end = threading.Event()
app = Flask("script")
app.config.update(SECRET_KEY={secret!r}, MONGO_URI={uri!r}, OTP_AUTH_SEND_IN_BACKGROUND=True,
                  OTP_AUTH_IDENTIFIER_LIMITS=None)
otp = FlaskOtpAuth(app)

@otp.send_code_handler
def send_code(code, identifier, method, payload):
    at_the_end.wait()
    time.sleep(0.1)
    os.write(1, b"sent\\n")  # the whole line at once, since four threads write
    return True

@otp.get_user_handler
def get_user(identifier, method, payload):
    return None

with app.app_context():
    for n in range(6):
        otp.initiate("+46701234567", "sms")
print("the end", flush=True)
at_the_end.set()
{ending}
"""


def run_script(script: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in run.stderr or "boom" in run.stderr, run.stderr
    return run.stdout


@pytest.mark.parametrize(
    "ending", ["sys.exit(3)", "raise ValueError('boom')"], ids=["exit", "error"]
)
def test_no_code_that_was_promised_is_lost_when_the_process_ends(
    ending: str, mongo_uri: str
) -> None:
    out = run_script(SCRIPT.format(secret=SECRET_KEY, uri=mongo_uri, ending=ending))

    assert out.splitlines()[0] == "the end"
    assert out.splitlines().count("sent") == 6


FORK = """
import os, sys
from flask import Flask
from flask_otp_auth.background import BackgroundSender

app, sender = Flask("fork"), BackgroundSender(workers=1, waiting=1)
read, write = os.pipe()
with app.app_context():
    sender.reserve().run(lambda: os.write(write, b"parent "))
    sender.drain()
    sender.reserve().run(lambda: None)
    if os.fork() == 0:
        sender.reserve().run(lambda: os.write(write, b"child "))
        sender.reserve().run(lambda: os.write(write, b"again "))
        sender.drain()
        os._exit(0)
    os.wait()
    sender.drain()
print(os.read(read, 100).decode())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_worker_that_was_forked_after_the_first_message_sends_too() -> None:
    assert run_script(FORK).strip() == "parent child again"


WORKER = """
import os, time
from flask import Flask
from flask_otp_auth import FlaskOtpAuth

app = Flask("worker")
app.config.update(SECRET_KEY=os.environ["SECRET_KEY"], MONGO_URI=os.environ["MONGO_URI"],
                  OTP_AUTH_SEND_IN_BACKGROUND=True)
otp = FlaskOtpAuth(app)

@otp.send_code_handler
def send_code(code, identifier, method, payload):
    while not os.path.exists(os.environ["STOPPING"]):
        time.sleep(0.02)
    with open(os.environ["SENT"], "a") as file:
        file.write("sent")
    return True

@otp.get_user_handler
def get_user(identifier, method, payload):
    return None
"""


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system")
def test_no_code_that_was_promised_is_lost_when_a_server_is_asked_to_stop(
    mongo_uri: str, tmp_path: Path
) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    port, log = free_port(), tmp_path / "log"
    sent, stopping = tmp_path / "sent", tmp_path / "stopping"
    command = [
        *(sys.executable, "-m", "gunicorn", "worker:app", f"--pythonpath={tmp_path}"),
        *(f"--bind={HOST}:{port}", "--no-control-socket"),
    ]
    env = {"MONGO_URI": mongo_uri, "SECRET_KEY": SECRET_KEY, "PYTHONPATH": python_path()}
    env = {**os.environ, **env, "SENT": str(sent), "STOPPING": str(stopping)}
    with process(command, env=env, log=log) as server:
        site = Site(port)
        wait_until(lambda: site.send("GET", "/").status == 404, server, log)
        site.initiate()
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: "Handling signal: term" in log.read_text(), server, log)
        assert not sent.exists()
        stopping.touch()
        server.wait(PATIENCE)

    assert sent.read_text() == "sent"
