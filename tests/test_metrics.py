"""Metrics: an operator sees each send, verdict, refusal and lock, and the time that people need."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import time_machine
from prometheus_client import CollectorRegistry, generate_latest
from support.servers import ROOT, gunicorn, post_bytes, send_together
from support.world import MakeWorld, World

from flask_otp_auth import metrics

NAMES = {
    "otp_auth_codes_sent_total": {"method"},
    "otp_auth_send_failures_total": {"method"},
    "otp_auth_verdicts_total": {"method", "outcome"},
    "otp_auth_refusals_total": {"method", "reason"},
    "otp_auth_lockouts_total": {"method", "reason"},
    "otp_auth_time_to_verify_seconds_count": {"method"},
}


class Counts:
    """What one registry has counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"otp_auth_{name}", {"method": "sms", **labels})


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True, CLIENT_LIMITS=None, IDENTIFIER_LIMITS=None)


@pytest.fixture
def counts(world: World) -> Counts:
    registry = CollectorRegistry()
    metrics.register(world.app, registry)
    return Counts(registry)


def test_the_metrics_are_those_of_the_contract(counts: Counts) -> None:
    """All are there before anything happens: rate() sees nothing of an event that makes one."""
    counts.registry.collect()
    text = generate_latest(counts.registry).decode()

    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(otp_auth_\w+)\{(.*)\} ", text, re.MULTILINE):
        if not name.endswith(("_created", "_bucket", "_sum")):
            found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    assert found == NAMES


def test_a_code_that_goes_out_is_counted_and_so_is_its_resend(world: World, counts: Counts) -> None:
    session_id = world.initiate()
    world.client.post("/otp/resend", json={"sessionId": session_id})
    world.initiate("reader@example.com", "email")

    assert counts("codes_sent_total") == 2
    assert counts("codes_sent_total", method="email") == 1
    assert counts("send_failures_total") == 0


def test_a_sender_that_fails_is_seen(world: World, counts: Counts) -> None:
    world.otp.send_code_handler(lambda code, identifier, method, payload: False)

    world.client.post("/otp/initiate", json={"identifier": "+46701234567", "method": "sms"})

    assert counts("send_failures_total") == 1
    assert counts("codes_sent_total") == 0


def test_each_verdict_is_counted_by_its_outcome(
    world: World, counts: Counts, clock: time_machine.Traveller
) -> None:
    used = world.initiate()
    world.verify(used, world.code)
    world.verify(used, world.code)
    locked = world.initiate()
    for _ in range(4):
        world.verify(locked, world.wrong_code)
    late = world.initiate()
    clock.shift(300)
    world.verify(late, world.code)

    for outcome, count in {
        "accepted": 1,
        "used": 1,
        "rejected": 2,
        "exhausted": 1,
        "locked": 1,
        "expired": 1,
    }.items():
        assert counts("verdicts_total", outcome=outcome) == count, outcome


def test_the_time_that_people_need_is_measured(
    world: World, counts: Counts, clock: time_machine.Traveller
) -> None:
    session_id = world.initiate()
    clock.shift(42)
    world.verify(session_id, world.code)

    assert counts("time_to_verify_seconds_count") == 1
    assert counts("time_to_verify_seconds_sum") == 42
    assert counts("time_to_verify_seconds_bucket", le="30.0") == 0
    assert counts("time_to_verify_seconds_bucket", le="45.0") == 1


def test_locks_and_what_they_refuse_are_counted(world: World, counts: Counts) -> None:
    for _ in range(2):
        session_id = world.initiate()
        for _ in range(3):
            world.verify(session_id, world.wrong_code)
    assert counts("lockouts_total", reason="waiting") == 1
    assert counts("lockouts_total", reason="disabled") == 0

    world.client.post("/otp/initiate", json={"identifier": "+46701234567", "method": "sms"})
    assert counts("refusals_total", reason="lockout") == 1


def test_limits_of_accounts_and_clients_are_told_apart(make_world: MakeWorld) -> None:
    world = make_world(guarded=True, IDENTIFIER_LIMITS="1 per hour", CLIENT_LIMITS="2 per hour")
    registry = CollectorRegistry()
    metrics.register(world.app, registry)
    counts = Counts(registry)

    for _ in range(3):
        world.client.post("/otp/initiate", json={"identifier": "+46701234567", "method": "sms"})

    assert counts("refusals_total", reason="identifier") == 1
    assert counts("refusals_total", method="unknown", reason="client") == 1


def test_an_app_that_counts_twice_would_count_double(world: World, counts: Counts) -> None:
    with pytest.raises(RuntimeError, match="before"):
        metrics.register(world.app, counts.registry)


def test_two_apps_of_a_process_share_a_registry(make_world: MakeWorld) -> None:
    registry = CollectorRegistry()
    first, second = make_world(), make_world()
    metrics.register(first.app, registry)
    metrics.register(second.app, registry)

    first.initiate()
    second.initiate()

    assert Counts(registry)("codes_sent_total") == 2


def test_apps_with_registries_of_their_own_do_not_mix(make_world: MakeWorld) -> None:
    registries = CollectorRegistry(), CollectorRegistry()
    worlds = make_world(), make_world()
    for world, registry in zip(worlds, registries, strict=True):
        metrics.register(world.app, registry)

    worlds[0].initiate()

    assert [Counts(registry)("codes_sent_total") for registry in registries] == [1, 0]


def test_no_metric_names_a_person(world: World, counts: Counts) -> None:
    session_id = world.initiate()
    world.verify(session_id, world.code)

    text = generate_latest(counts.registry).decode()

    assert not re.search(rf"\+46|\*\*\*|{session_id[:8]}|{world.code}", text)


def test_the_package_needs_no_prometheus_client() -> None:
    program = "import sys; sys.modules['prometheus_client'] = None; import flask_otp_auth"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert run.returncode == 0, run.stderr


def test_one_answer_has_the_counts_of_all_workers(mongo_uri: str, tmp_path: Path) -> None:
    """The example, under gunicorn with two processes."""
    app, folder = tmp_path / "app", tmp_path / "metrics"
    app.mkdir()
    folder.mkdir()
    (app / "app.py").write_text(APP)
    log = tmp_path / "gunicorn.log"
    with gunicorn(
        mongo_uri, log, app="app", folder=app, workers=2, PROMETHEUS_MULTIPROC_DIR=str(folder)
    ) as site:
        bodies = [{"identifier": f"+4670123{n:04d}", "method": "sms"} for n in range(40)]
        answers = send_together(site, [post_bytes("/otp/initiate", body) for body in bodies])
        answer = site.send("GET", "/metrics")

    assert len({answer.headers["X-Process"] for answer in answers}) == 2
    assert 'otp_auth_codes_sent_total{method="sms"} 40.0' in answer.text
    assert answer.headers["Content-Type"].startswith("text/plain")


APP = f"""
import os
import sys
from flask import Flask
sys.path.append({str(ROOT / "examples")!r})
from monitoring import add_metrics
from flask_otp_auth import FlaskOtpAuth

def create_app():
    app = Flask("app")
    app.config.update(
        SECRET_KEY={"s" * 40!r},
        MONGO_URI=os.environ["MONGO_URI"],
        OTP_AUTH_CLIENT_LIMITS="1000 per hour",
    )
    otp = FlaskOtpAuth(app)
    otp.send_code_handler(lambda code, identifier, method, payload: True)
    otp.get_user_handler(lambda identifier, method, payload: {{"id": "1"}})
    add_metrics(app)

    @app.after_request
    def name_process(response):
        response.headers["X-Process"] = str(os.getpid())
        return response

    return app
"""
