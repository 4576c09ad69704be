"""Throughput with sessions stored, as after a day of use: ours beside the Node plugin."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from .environment import say
from .growth import fill
from .servers import Running, Services
from .targets import Target, choose
from .throughput import Run, Settings, describe, installed, measure, medians

ROWS = "ours,node,node-2"
SIZES = (10_000, 100_000)
QUICK = (1_000, 10_000)


def measure_stored(services: Services, settings: Settings, *, quick: bool) -> dict[str, Any]:
    """Measure each size in turn, the apps A B A B within it."""
    targets, skipped = installed(services, choose(ROWS))
    sizes: list[dict[str, Any]] = []
    for size in QUICK if quick else SIZES:
        runs: dict[str, list[Run]] = {target.name: [] for target in targets}
        for turn in range(settings.rounds):
            for target in targets:
                run = measure(services, target, settings, partial(_stock, services, target, size))
                runs[target.name].append(run)
                say(f"{size} stored, round {turn + 1}  {describe(target, run)}")
        sizes.append(
            {
                "sessions": size,
                "targets": {
                    target.name: {"title": target.title, **medians(runs[target.name])}
                    for target in targets
                },
                "runs": runs,
            }
        )
    return {"settings": asdict(settings), "skipped": skipped, "sizes": sizes}


def _stock(services: Services, target: Target, size: int, app: Running) -> None:
    fill(services, target, app, size)
    services.client.admin.command("fsync")  # not while we measure
