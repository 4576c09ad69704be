"""The rows of a throughput part, compared round by round."""

from __future__ import annotations

from statistics import median
from typing import Any

Section = dict[str, Any]

FLOOR, NODE = "floor", "node"


class Rounds:
    """The runs of one throughput part, compared round by round.

    What slows a machine down for a minute slows the rows of one round alike, so the ratio of two
    rows is the median of their ratios in each round.
    """

    def __init__(self, section: Section) -> None:
        self.targets: Section = section.get("targets", {})
        self._runs: Section = section.get("runs", {})

    def times(self, name: str, base: str, figure: str = "logins_per_second") -> float | None:
        """Return *figure* of the row *name* as a multiple of that of *base*."""
        if not self._runs.get(name) or not self._runs.get(base):
            return None
        pairs = zip(self._runs[name], self._runs[base], strict=True)
        return median(run[figure] / other[figure] for run, other in pairs)

    def told(self, name: str, base: str, figure: str = "logins_per_second") -> str:
        """Return the same as a cell of a table."""
        found = self.times(name, base, figure)
        return "" if found is None else f"{found:.2f}"

    def spread(self, name: str) -> str:
        """Return the lowest and the highest logins a second of the rounds."""
        speeds = [run["logins_per_second"] for run in self._runs[name]]
        return f"{min(speeds):.0f} - {max(speeds):.0f}"

    def fastest(self, *names: str) -> str | None:
        """Return which of *names* has the highest median."""
        measured = [name for name in names if self.targets.get(name)]
        return max(measured, key=lambda name: self.targets[name]["logins_per_second"], default=None)
