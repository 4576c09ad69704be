"""flask otp create-indexes, purge, stats, openapi: what is about all that is stored."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import click
import flask
import pytest
import time_machine
from command_line import data, run
from support.demos import copy_demo, demo_environment
from support.listeners import Heard
from support.world import NOW, MakeWorld, World

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.cli.maintenance import progress_of
from flask_otp_auth.openapi import describe

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True, CLIENT_LIMITS="100 per day", IDENTIFIER_LIMITS="20 per day")


def test_indexes_are_there_before_the_first_request(world: World) -> None:
    assert world.mongo.db is not None

    told = data(run(world, "create-indexes", "--json"))

    assert told["seconds"].keys() == {"sessions", "accounts", "logins", "clients"}
    indexes = {
        name: [index["key"] for index in world.mongo.db[name].index_information().values()]
        for name in world.mongo.db.list_collection_names()
    }
    assert [("createdAt", 1)] in indexes["otp_sessions"]
    assert [("expireAt", 1)] in indexes["otp_sessions.accounts"]
    assert [("expireAt", 1)] in indexes["otp_sessions.logins"]
    assert [("expireAt", 1)] in indexes["otp_sessions.clients"]
    assert run(world, "create-indexes").exit_code == 0  # a second time does nothing


def test_an_index_that_takes_long_says_how_far_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand sessions take long enough, if one looks often enough."""
    monkeypatch.setattr("flask_otp_auth.cli.maintenance._LOOK_EVERY", 0.001)
    session = {"identifier": "x", "method": "sms", "status": "expired", "expiresAt": NOW}
    world.sessions.insert_many(
        {**session, "_id": f"{number:032x}", "createdAt": NOW + timedelta(seconds=number)}
        for number in range(10_000)
    )

    result = run(world, "create-indexes")

    assert result.exit_code == 0, result.output
    assert "Making the indexes of the sessions" in result.stderr
    assert "Indexes of the sessions: ready after" in result.stdout


@pytest.mark.parametrize(
    ("builds", "told"),
    [
        ([], " ..."),
        ([None], " ..."),
        ([{"done": 0, "total": 0}], " ..."),
        ([{"done": 0, "total": 0}, {"done": 1, "total": 4}], ": 25 %"),
        ([{"done": 1, "total": 4}, {"done": 3, "total": 3}], ": 25 %, 100 %"),
    ],
)
def test_a_build_whose_size_is_not_known_yet_does_not_end_the_command(
    builds: list[dict[str, int] | None], told: str
) -> None:
    assert progress_of(builds) == told


def test_a_command_that_the_application_put_in_place_of_ours_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = world.app.cli.commands["otp"]
    assert isinstance(group, click.Group)
    own = click.Command("stats", callback=lambda: click.echo("of the application"))
    monkeypatch.setitem(group.commands, "stats", own)

    assert run(world, "stats").output == "of the application\n"


@pytest.mark.new_database
def test_a_collection_of_something_else_is_left_alone(world: World) -> None:
    world.sessions.insert_one({"title": "not a session"})

    result = run(world, "create-indexes")

    assert result.exit_code == 1
    assert "OTP_AUTH_COLLECTION" in result.output
    assert list(world.sessions.index_information()) == ["_id_"]


@pytest.mark.new_database
def test_an_index_that_the_server_refuses_is_told_in_words(world: World) -> None:
    world.sessions.database.command("create", "otp_sessions", viewOn="elsewhere", pipeline=[])

    result = run(world, "create-indexes")

    assert result.exit_code == 1
    assert "The indexes of the sessions cannot be made" in result.output


def test_purge_deletes_what_is_over_and_nothing_that_holds_a_guesser_back(
    world: World, clock: time_machine.Traveller
) -> None:
    used = world.initiate()
    world.verify(used, world.code)
    failed = world.initiate("reader@example.com", "email")
    for _ in range(3):
        world.verify(failed, world.wrong_code)
    clock.shift(86_400 - 60)
    pending = world.initiate("+46709999999")

    assert data(run(world, "purge", "--json")) == {"sessions": 0, "accounts": 0}
    clock.shift(120)
    assert data(run(world, "purge", "--json")) == {"sessions": 2, "accounts": 1}

    assert [session["_id"] for session in world.sessions.find()] == [pending]
    assert world.mongo.db is not None
    accounts = list(world.mongo.db["otp_sessions.accounts"].find())
    assert sorted(account["failures"] for account in accounts) == [0, 3]


def test_purge_deletes_wrong_codes_of_a_year_ago_and_no_disabled_account(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None, DISABLE_AFTER=3, LOCKOUT_THRESHOLD=None)
    for number, failures in (("+46709999999", 1), ("+46701234567", 3)):
        session_id = world.initiate(number)
        for _ in range(failures):
            world.verify(session_id, world.wrong_code)
    clock.shift(364 * 86_400)
    assert data(run(world, "purge", "--json"))["accounts"] == 0

    clock.shift(2 * 86_400)
    assert data(run(world, "purge", "--json"))["accounts"] == 1

    [kept] = world.accounts.find()
    assert kept["failures"] == 3


def test_purge_of_what_is_younger_leaves_open_sessions(
    world: World, clock: time_machine.Traveller
) -> None:
    world.initiate()
    clock.shift(299)
    assert data(run(world, "purge", "--older-than", "0", "--json"))["sessions"] == 0
    clock.shift(1)
    assert "1 sessions" in run(world, "purge", "--older-than", "0").output
    assert run(world, "purge", "--older-than", "-1").exit_code == 2


def test_purge_takes_many_in_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_otp_auth.cli.maintenance._BATCH", 2)
    over = {"createdAt": NOW - timedelta(days=2), "expiresAt": NOW - timedelta(days=2)}
    world.sessions.insert_many({"_id": str(number), **over} for number in range(5))

    result = run(world, "purge", "--json")

    assert json.loads(result.stdout)["sessions"] == 5
    assert "4 sessions deleted" in result.stderr


def test_stats_count_what_happened_and_who_waits(
    world: World, clock: time_machine.Traveller
) -> None:
    old = world.initiate("+46708888888")
    world.verify(old, world.code)
    clock.shift(7200)
    for _ in range(2):
        session_id = world.initiate()
        for _ in range(3):
            world.verify(session_id, world.wrong_code)
    used = world.initiate("reader@example.com", "email")
    world.client.post("/otp/resend", json={"sessionId": used})
    world.verify(used, world.code)
    world.initiate("+46709999999")

    told = data(run(world, "stats", "--hours", "1", "--json"))
    assert told == {
        "hours": 1,
        "sessions": [
            {"method": "email", "status": "verified", "sessions": 1, "failures": 0, "resends": 1},
            {"method": "sms", "status": "locked", "sessions": 2, "failures": 6, "resends": 0},
            {"method": "sms", "status": "pending", "sessions": 1, "failures": 0, "resends": 0},
        ],
        "accounts": {"failures": 1, "waiting": 1, "disabled": 0},
    }
    assert len(data(run(world, "stats", "--json"))["sessions"]) == 4

    clock.shift(300)
    statuses = [one["status"] for one in data(run(world, "stats", "--json"))["sessions"]]
    assert "pending" not in statuses
    assert "expired" in statuses
    assert "Sessions of the last 24 hours" in run(world, "stats").output


def test_stats_of_nothing_are_zero(world: World) -> None:
    told = data(run(world, "stats", "--json"))

    assert told["sessions"] == []
    assert told["accounts"] == {"failures": 0, "waiting": 0, "disabled": 0}
    assert run(world, "stats").exit_code == 0


def test_no_command_reads_a_whole_collection(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    heard = Heard()
    world = make_world(guarded=True, listeners=[heard], CLIENT_LIMITS=None)
    world.initiate()
    heard.commands.clear()
    for arguments in (
        ["sessions", "+46701234567"],
        ["stats"],
        ["purge"],
        ["unlock", "x@example.com"],
    ):
        run(world, *arguments)

    plans = []
    for command in heard.commands:
        name = next(iter(command))
        if name in ("find", "aggregate", "delete", "update"):
            plain = {
                key: value
                for key, value in command.items()
                if key not in ("lsid", "txnNumber") and not key.startswith("$")
            }
            assert world.mongo.db is not None
            plan = world.mongo.db.command("explain", plain, verbosity="queryPlanner")
            plans.append(json.dumps(plan, default=str))
    assert len(plans) >= 6
    assert all("IXSCAN" in plan or "IDHACK" in plan or "EOF" in plan for plan in plans), plans
    assert not any("COLLSCAN" in plan for plan in plans)


def test_the_description_is_printed_for_generators(make_world: MakeWorld) -> None:
    world = make_world(URL_PREFIX="/login")

    assert data(run(world, "openapi")) == describe(world.app)


def test_a_command_of_the_host_is_not_replaced(mongo_uri: str) -> None:
    app = flask.Flask("host")
    app.config.update(SECRET_KEY="k" * 40, MONGO_URI=mongo_uri)
    app.cli.add_command(click.Command("otp", callback=lambda: click.echo("of the host")))
    FlaskOtpAuth(app)

    assert app.test_cli_runner().invoke(args=["otp"]).output == "of the host\n"
    app.extensions["otp_auth"].mongo.cx.close()


@pytest.fixture
def otp(mongo_uri: str, tmp_path: Path) -> Command:
    """Run ``flask otp`` on the demo, by the real command of Flask."""
    copy_demo(tmp_path)
    env = {**demo_environment(), "MONGO_URI": mongo_uri, "FLASK_APP": "examples/quickstart"}

    def run_flask(*arguments: str, **more_env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flask", "otp", *arguments],
            cwd=tmp_path,
            env=env | more_env,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run_flask


def debug_mode(checked: subprocess.CompletedProcess[str]) -> str:
    """Return what the check says of the debug mode, and see that its exit code fits."""
    report = json.loads(checked.stdout)
    assert checked.returncode == (0 if report["passed"] else 1)
    [status] = [p["status"] for p in report["points"] if p["name"] == "debug mode"]
    return str(status)


def test_flask_otp_works_from_a_terminal_and_sees_the_debug_mode(otp: Command) -> None:
    assert otp("create-indexes").returncode == 0
    assert debug_mode(otp("check", "--json", FLASK_DEBUG="1")) == "fail"


@pytest.mark.slow
def test_debug_mode_that_is_off_is_seen_from_a_terminal_too(otp: Command) -> None:
    assert debug_mode(otp("check", "--json")) == "pass"
