"""The two plots as SVG, written by hand: bars for throughput, lines for growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

Section = dict[str, Any]

FONT = 'font-family="system-ui, sans-serif" font-size="13"'
INK, FAINT = "#24292f", "#d0d7de"
# Told apart without colour vision too: they differ in lightness, and lines in their dashes.
OURS, FLOOR, NODE, OTHER = "#0a5ca8", "#8c959f", "#b45309", "#b9c0c8"


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" {FONT} fill="{INK}">'
    )
    ground = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", ground, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = FAINT) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" fill="none"/>'


def colour_of(name: str) -> str:
    """Return the colour of a row."""
    for start, colour in (("ours", OURS), ("floor", FLOOR), ("node", NODE)):
        if name.startswith(start):
            return colour
    return OTHER


def throughput(section: Section) -> str:
    """Return the bars of logins a second, in the order of the table."""
    found = {
        name: target for name, target in section["targets"].items() if "logins_per_second" in target
    }
    longest = max(len(target["title"]) for target in found.values())
    left, row, top = 20 + 7.2 * longest, 26, 44  # a character is 7 wide in most fonts
    width = round(left) + 520
    most = max(target["logins_per_second"] for target in found.values())
    scale = (width - left - 70) / most
    parts = [_text(16, 26, "Complete logins per second", more='font-weight="600"')]
    for index, (name, target) in enumerate(found.items()):
        y = top + index * row
        speed = target["logins_per_second"]
        parts += [
            _text(left - 10, y + 16, target["title"], "end"),
            f'<rect x="{left:.1f}" y="{y + 3}" width="{speed * scale:.1f}" height="{row - 8}" '
            f'rx="2" fill="{colour_of(name)}"/>',
            _text(left + speed * scale + 6, y + 16, f"{speed:.0f}"),
        ]
    return _svg(width, top + len(found) * row + 14, "Complete logins per second", parts)


class _Axes:
    """Logarithmic axes: sessions to the right, with a place for none, milliseconds upwards."""

    left, right, top, bottom = 76, 572, 44, 360

    def __init__(self, sizes: Sequence[int], low: float, high: float) -> None:
        self._sizes = list(sizes)
        self.low = math.floor(math.log10(low))
        self.high = math.ceil(math.log10(high))

    def x(self, size: int) -> float:
        step = (self.right - self.left - 40) / max(1, len(self._sizes) - 1)
        return self.left + 20 + self._sizes.index(size) * step

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.low) / max(1, self.high - self.low)
        return self.bottom - share * (self.bottom - self.top)

    def drawn(self) -> list[str]:
        parts = []
        for power in range(self.low, self.high + 1):
            y = self.y(10.0**power)
            parts += [
                _line(self.left, y, self.right, y),
                _text(self.left - 8, y + 4, f"{10.0**power:g} ms", "end"),
            ]
        for size in self._sizes:
            parts.append(_text(self.x(size), self.bottom + 20, f"{size:,}", "middle"))
        middle = (self.left + self.right) / 2
        parts.append(_text(middle, self.bottom + 42, "sessions in the collection", "middle"))
        return parts


DASHES = {"initiate": "5 4", "verify": "none"}


def growth(section: Section) -> str:
    """Return the lines of latency over sessions: whole for verify, dashed for initiate."""
    targets: Section = section["targets"]
    points = [point for target in targets.values() for point in target["points"]]
    values = [point[f"{step}_ms"] for point in points for step in DASHES]
    sizes = sorted({point["sessions"] for point in points})
    axes = _Axes(sizes, min(values), max(values))
    title = "Median latency of one login at a time"
    parts = [_text(16, 26, title, more='font-weight="600"'), *axes.drawn()]
    labels = []
    for name, target in targets.items():
        colour = "#5b2a02" if name.endswith("index") else colour_of(name)
        for step, dash in DASHES.items():
            path = [(axes.x(p["sessions"]), axes.y(p[f"{step}_ms"])) for p in target["points"]]
            places = "L".join(f"{x:.1f} {y:.1f}" for x, y in path)
            parts.append(
                f'<path d="M{places}" fill="none" stroke="{colour}" stroke-width="2" '
                f'stroke-dasharray="{dash}"/>'
            )
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in path]
            labels.append((path[-1][1], f"{target['title'].split(', ', 1)[0]}", name, step, colour))
    parts += _labels(axes, labels)
    return _svg(860, 420, title, parts)


def _labels(axes: _Axes, labels: list[tuple[float, str, str, str, str]]) -> list[str]:
    """Return the labels at the right ends of the lines, moved apart so that all can be read."""
    parts = []
    free = float("-inf")
    for y, title, name, step, colour in sorted(labels):
        at = max(y, free)
        free = at + 17
        text = f"{title}{' + index' if name.endswith('index') else ''}: {step}"
        parts.append(_text(axes.right + 28, at + 4, text, more=f'style="fill:{colour}"'))
    return parts
