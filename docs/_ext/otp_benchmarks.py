"""Directives ``benchmark-table`` and ``benchmark-note``: results as measured, not copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "README.md"
RAW = RESULTS.with_name("results.json")
_PARTS = {
    "throughput": "logins per second",
    "stored": "logins with sessions stored",
    "growth": "latency as the collection grows",
    "profile": "the time of each part",
    "startup": "start-up",
}
_COLUMNS = ("app", "logins/s", "of the floor", "of Node as shipped")


def rows(markdown: str, heading: str) -> list[dict[str, str]]:
    """Return the rows of the first table under a heading; of two equal columns the first counts."""
    section = markdown.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    names, _, *cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(reversed(list(zip(names, row, strict=True)))) for row in cells]


class BenchmarkTable(SphinxDirective):
    """The table of throughput, from ``benchmarks/results``."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RESULTS))
        lines = [".. list-table::", "   :header-rows: 1", ""]
        found = rows(RESULTS.read_text(), "Throughput")
        for row in [dict.fromkeys(_COLUMNS, ""), *found]:
            cells = [row[name] if row in found else name for name in _COLUMNS]
            lines += [f"   {'*' if first else ' '} - {cell}" for first, cell in _marked(cells)]
        return self.parse_text_to_nodes("\n".join(lines))


class BenchmarkNote(SphinxDirective):
    """The commit that each of some parts was measured at, and the machine."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RAW))
        results = json.loads(RAW.read_text())
        by_commit: dict[str, list[str]] = {}
        for part in self.arguments[0].split():
            by_commit.setdefault(results["commits"][part], []).append(_PARTS[part])
        told = [(_listed(names), commit) for commit, names in by_commit.items()]
        names, commit = told[0]
        parts = [f"{names.capitalize()} were measured at commit ``{commit}``"]
        parts += [f"{names} at commit ``{commit}``" for names, commit in told[1:]]
        machine = dict(results["machine"])
        date, system = machine.pop("date"), machine.pop("system")
        versions = ", ".join(f"{name} {value}" for name, value in machine.items())
        return self.parse_text_to_nodes(
            f"{'; '.join(parts)}. The results were last updated on {date}, on {system}, with "
            f"{versions}."
        )


def _listed(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _marked(cells: list[str]) -> list[tuple[bool, str]]:
    return [(number == 0, cell) for number, cell in enumerate(cells)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("benchmark-table", BenchmarkTable)
    app.add_directive("benchmark-note", BenchmarkNote)
    return {"parallel_read_safe": True}
