"""Where the CPU time of a login goes, and what each safety costs; no HTTP server around it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from statistics import median
from typing import Any

from .environment import HERE, say
from .inprocess import Plan
from .procstat import cpu_seconds
from .servers import Services, prepare
from .targets import VARIANTS, Target
from .throughput import installed

Result = dict[str, Any]

PROFILED = ("floor", "bare", "accounts", "default")
COUNTED_LOGINS = 20
WARM_UP = 100


def measure_costs(services: Services, *, rounds: int, logins: int, samples: int) -> Result:
    """Measure every variant in turn, *rounds* times; then count commands and sample the CPU."""
    ready, skipped = installed(services, list(VARIANTS))
    runs: dict[str, list[Result]] = {target.name: [] for target in ready}
    for _ in range(rounds):
        for target in list(ready):
            try:
                runs[target.name].append(_measure(services, target, logins))
            except RuntimeError as error:
                say(f"FAILED {target.name}: {error}")
                skipped[target.name] = f"failed: {error}"
                ready.remove(target)
    variants = {}
    for target in ready:
        counted = _call(services, target, COUNTED_LOGINS, count=True)
        variants[target.name] = {
            "title": target.title,
            "cpu_us": median(run["cpu_us"] for run in runs[target.name]),
            "mongod_cpu_us": median(run["mongod_cpu_us"] for run in runs[target.name]),
            "redis_cpu_us": median(run["redis_cpu_us"] for run in runs[target.name]),
            "commands": counted["commands"],
        }
        say(_describe(target, variants[target.name]))
    profiles = {}
    for target in ready:
        if target.name in PROFILED:
            sampled = _call(services, target, samples, sample=True)
            cpu = variants[target.name]["cpu_us"]
            parts = {part: share * cpu for part, share in sampled["parts"].items()}
            profiles[target.name] = {
                "title": target.title,
                "cpu_us": cpu,
                "ticks": sampled["ticks"],
                "parts": parts,
            }
    return {"skipped": skipped, "variants": variants, "profiles": profiles}


def _measure(services: Services, target: Target, logins: int) -> Result:
    redis = services.redis if target.redis else None
    before = cpu_seconds(services.mongod.pid), cpu_seconds(redis.pid) if redis else 0.0
    result = _call(services, target, logins)
    after = cpu_seconds(services.mongod.pid), cpu_seconds(redis.pid) if redis else 0.0
    # The warm-up is within what the servers did.
    done = logins + WARM_UP
    result["mongod_cpu_us"] = (after[0] - before[0]) / done * 1e6
    result["redis_cpu_us"] = (after[1] - before[1]) / done * 1e6
    return result


def _call(
    services: Services, target: Target, logins: int, *, sample: bool = False, count: bool = False
) -> Result:
    prepare(services, target, 0)
    plan = Plan(target.wsgi, target.dialect, logins, WARM_UP, sample, count)
    done = subprocess.run(
        [sys.executable, "-m", "harness.inprocess", json.dumps(asdict(plan))],
        cwd=HERE,
        env=services.environment(target, 0),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    result: Result = json.loads(done.stdout)
    return result


def _describe(target: Target, variant: Result) -> str:
    commands = sum(variant["commands"].values())
    return (
        f"{target.name:20} CPU us a login: app {variant['cpu_us']:5.0f}, "
        f"mongod {variant['mongod_cpu_us']:4.0f}; commands a login {commands:.1f}"
    )
