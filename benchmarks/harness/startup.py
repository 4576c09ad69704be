"""What an application pays once: importing the extension and initialising it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from .environment import ROOT, say


def measure_startup(work: Path, rounds: int) -> dict[str, Any]:
    """Probe new interpreters: after the libraries it needs are imported, and from nothing."""
    probe = Path(__file__).with_name("startup_probe.py")
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(work / "pycache"), "BENCH_ROOT": str(ROOT)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    results: dict[str, list[dict[str, Any]]] = {"after": [], "cold": []}
    for turn in range(rounds + 1):
        for order, found in results.items():
            command = [sys.executable, str(probe), order]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr.strip()[-1500:])
            if turn:  # the first one compiles
                found.append(json.loads(done.stdout))
    after, cold = results["after"], results["cold"]
    section = {
        "needed_ms": median(run["needed_ms"] for run in after),
        "import_ms": median(run["import_ms"] for run in after),
        "cold_import_ms": median(run["import_ms"] for run in cold),
        "init_ms": median(run["init_ms"] for run in after),
        **{
            name: after[-1][name]
            for name in ("modules", "own_modules", "optional", "new_sockets", "threads")
        },
        "cold_modules": cold[-1]["modules"],
    }
    say(
        f"import {section['import_ms']:.1f} ms on top of {section['needed_ms']:.0f} ms of its "
        f"libraries, init_app {section['init_ms']:.1f} ms, {section['modules']} modules"
    )
    return section
