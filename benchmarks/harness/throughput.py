"""Whole logins a second and CPU time per login, of every app in turn, round after round."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from .environment import HERE, MissingToolError, say
from .load import Plan
from .procstat import cpu_seconds
from .servers import Running, Services, an_hour_later, forget_sessions, install, prepare, running
from .targets import Target

Run = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How much is measured: *logins* in number and *seconds* in time both bound a run."""

    rounds: int
    connections: int
    logins: int
    seconds: float
    warm_up: int

    @property
    def users(self) -> int:
        """Users that a run can reach."""
        return self.warm_up + self.logins + self.connections


def measure_all(services: Services, targets: list[Target], settings: Settings) -> Run:
    """Measure *targets* one after another, and all of them again in the next round."""
    ready, skipped = installed(services, targets)
    runs: dict[str, list[Run]] = {target.name: [] for target in ready}
    for turn in range(settings.rounds):
        for target in list(ready):
            try:
                run = measure(services, target, settings)
            except (RuntimeError, subprocess.CalledProcessError) as error:
                say(f"FAILED {target.name}: {error}")
                skipped[target.name] = f"failed: {error}"
                ready.remove(target)
                continue
            runs[target.name].append(run)
            say(f"round {turn + 1} of {settings.rounds}  {describe(target, run)}")
    return {
        "settings": asdict(settings),
        "skipped": skipped,
        "targets": {
            target.name: {"title": target.title, **medians(runs[target.name])} for target in ready
        },
        "runs": runs,
    }


def installed(services: Services, targets: list[Target]) -> tuple[list[Target], dict[str, str]]:
    """Return the targets that can run here, and why the others cannot."""
    ready, skipped = [], {}
    for target in targets:
        try:
            install(services, target)
        except MissingToolError as error:
            say(f"SKIPPED {target.name}: {error}")
            skipped[target.name] = str(error)
        else:
            ready.append(target)
    return ready, skipped


def measure(
    services: Services,
    target: Target,
    settings: Settings,
    stock: Callable[[Running], None] = lambda app: None,
) -> Run:
    """Start *target* on an empty database, warm it up and measure one run.

    Args:
        services: What it runs on.
        target: The row.
        settings: How much is measured.
        stock: Puts sessions into the database before the run.
    """
    prepare(services, target, settings.users)
    with running(services, target) as app:
        before = settings.logins if target.returning else settings.warm_up
        warm_up = Plan(app.port, target.dialect, settings.connections, before, settings.seconds)
        known = checked(target, send(warm_up))["logins"]
        forget_sessions(services, target)
        if target.returning:
            an_hour_later(services, target)
        stock(app)
        plan = Plan(
            app.port,
            target.dialect,
            settings.connections,
            known if target.returning else settings.logins,
            settings.seconds,
            first=0 if target.returning else settings.warm_up,
        )
        before = _cpu(services, target, app)
        outcome = checked(target, send(plan))
        after = _cpu(services, target, app)
    logins = outcome["logins"]
    used = {name: (after[name] - before[name]) / logins * 1e6 for name in before}
    return {
        "logins": logins,
        "seconds": outcome["seconds"],
        "logins_per_second": logins / outcome["seconds"],
        "server_cpu_us": used["server"],
        "mongod_cpu_us": used["mongod"],
        "redis_cpu_us": used["redis"],
        "client_cpu_us": outcome["client_cpu"] / logins * 1e6,
        "initiate_ms": outcome["initiate_ms"],
        "verify_ms": outcome["verify_ms"],
    }


def send(plan: Plan) -> Run:
    """Run the load client in a process of its own."""
    command = [sys.executable, "-m", "harness.load", json.dumps(asdict(plan))]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the load client failed:\n{done.stderr}")
    result: Run = json.loads(done.stdout)
    return result


def checked(target: Target, outcome: Run) -> Run:
    """Return *outcome* if every login of it was clean, or fail."""
    if outcome["failures"] or not outcome["logins"]:
        raise RuntimeError(
            f"{target.name}: {outcome['failures']} of {outcome['logins'] + outcome['failures']} "
            f"logins failed, the first with {outcome['first_failure']}"
        )
    return outcome


def _cpu(services: Services, target: Target, app: Running) -> dict[str, float]:
    redis = services.redis if target.redis else None
    return {
        "server": cpu_seconds(app.pid),
        "mongod": cpu_seconds(services.mongod.pid),
        "redis": cpu_seconds(redis.pid) if redis is not None else 0.0,
    }


def medians(runs: list[Run]) -> Run:
    """Return the median of each figure over *runs*."""
    if not runs:
        return {}
    result: Run = {}
    for name, value in runs[0].items():
        if isinstance(value, dict):
            result[name] = medians([run[name] for run in runs])
        else:
            result[name] = median(run[name] for run in runs)
    return result


def describe(target: Target, run: Run) -> str:
    """Return one line about *run*."""
    return (
        f"{target.name:16} {run['logins_per_second']:7.0f} logins/s  "
        f"CPU us a login: server {run['server_cpu_us']:6.0f}, mongod {run['mongod_cpu_us']:5.0f}, "
        f"redis {run['redis_cpu_us']:4.0f}, client {run['client_cpu_us']:4.0f}  "
        f"p50 {run['initiate_ms']['p50']:.1f} + {run['verify_ms']['p50']:.1f} ms"
    )
