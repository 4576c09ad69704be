"""The parts of the benchmark, one after another, and the file that collects their results."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import costs, growth, plots, report, startup, stored, throughput
from .environment import ROOT
from .servers import Services, services
from .targets import choose

ON_A_REPLICA_SET = "floor,ours-bare,ours,ours-mongodb,node,node-index"


def run(options: argparse.Namespace) -> None:
    """Run the parts that *options* name; each replaces its own section of the results."""
    options.out.mkdir(parents=True, exist_ok=True)
    results = Results(options.out / "results.json")
    settings = throughput.Settings(
        options.rounds,
        options.connections,
        options.logins,
        options.seconds,
        warm_up=max(100, options.logins // 2),
    )
    data = options.data or options.work
    if set(options.parts) & {"throughput", "stored", "growth", "profile"}:
        with services(options.work, data) as shared:
            _measure(options, settings, shared, results)
    if "replica-set" in options.parts:
        with services(options.work, data, replica_set=True) as shared:
            rows = choose(options.peers or ON_A_REPLICA_SET)
            results.put("replica_set", throughput.measure_all(shared, rows, settings))
    if "startup" in options.parts:
        rounds = 3 if options.quick else 15
        results.put("startup", startup.measure_startup(options.work, rounds))
    _report(options.out, results.sections)
    failed = results.failed()
    if failed:
        raise SystemExit(f"these rows failed: {', '.join(failed)}")


def _measure(
    options: argparse.Namespace, settings: throughput.Settings, shared: Services, results: Results
) -> None:
    results.put("machine", machine(shared))
    if "throughput" in options.parts:
        measured = throughput.measure_all(shared, choose(options.peers), settings)
        results.put("throughput", measured)
    if "stored" in options.parts:
        results.put("stored", stored.measure_stored(shared, settings, quick=options.quick))
    if "growth" in options.parts:
        sizes = [int(size) for size in options.sizes.split(",")]
        results.put("growth", growth.measure_growth(shared, sizes, quick=options.quick))
    if "profile" in options.parts:
        rounds, logins, samples = (1, 300, 500) if options.quick else (5, 2000, 10_000)
        section = costs.measure_costs(shared, rounds=rounds, logins=logins, samples=samples)
        results.put("profile", section)


def machine(shared: Services) -> dict[str, str]:
    """Return what the figures depend on besides the code."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "Python": platform.python_version(),
        "mongod": shared.client.server_info()["version"],
        "Node": _version("node", "--version"),
        "Redis": _version("redis-server", "--version"),
    }


def _commit() -> str:
    """Return the commit that is measured, so that parts measured apart can be told apart.

    It is marked as dirty if anything but the results has been changed since.
    """
    commit = _git("describe", "--always", "--exclude=*") or "unknown"
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _version(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "none"
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found[0] if found else "unknown"


def _report(folder: Path, sections: dict[str, Any]) -> None:
    (folder / "README.md").write_text(report.write(sections))
    if "throughput" in sections:
        (folder / "throughput.svg").write_text(plots.throughput(sections["throughput"]))
    if "growth" in sections:
        (folder / "growth.svg").write_text(plots.growth(sections["growth"]))


class Results:
    """The sections of the results file; a part that is not run keeps its earlier section."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sections: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self._measured: list[str] = []

    def failed(self) -> list[str]:
        """Return the rows that broke in this run, in contrast to those whose tool is missing."""
        return [
            f"{part}: {name}"
            for part in self._measured
            for name, why in self.sections[part].get("skipped", {}).items()
            if why.startswith("failed")
        ]

    def put(self, name: str, section: Any) -> None:
        """Replace the section *name* and write the file."""
        self.sections[name] = section
        self._measured.append(name)
        if name != "machine":
            self.sections.setdefault("commits", {})[name] = _commit()
        self.path.write_text(json.dumps(self.sections, indent=1) + "\n")
