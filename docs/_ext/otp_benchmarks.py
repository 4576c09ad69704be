"""Directive ``benchmark-table``: columns of the table of results, so that no figure is copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

RESULTS = Path(__file__).parents[2] / "tests" / "benchmarks" / "results" / "README.md"
_COLUMNS = ("app", "logins/s", "of the floor", "of Node as shipped")


def rows(markdown: str, heading: str) -> list[dict[str, str]]:
    """Return the rows of the first table under a heading; of two equal columns the first counts."""
    section = markdown.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    names, _, *cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(reversed(list(zip(names, row, strict=True)))) for row in cells]


class BenchmarkTable(SphinxDirective):
    """The table of throughput, from ``tests/benchmarks/results``."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RESULTS))
        lines = [".. list-table::", "   :header-rows: 1", ""]
        found = rows(RESULTS.read_text(), "Throughput beside all peers")
        for row in [dict.fromkeys(_COLUMNS, ""), *found]:
            cells = [row[name] if row in found else name for name in _COLUMNS]
            lines += [f"   {'*' if first else ' '} - {cell}" for first, cell in _marked(cells)]
        return self.parse_text_to_nodes("\n".join(lines))


def _marked(cells: list[str]) -> list[tuple[bool, str]]:
    return [(number == 0, cell) for number, cell in enumerate(cells)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("benchmark-table", BenchmarkTable)
    return {"parallel_read_safe": True}
