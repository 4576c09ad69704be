"""Draw ``architecture.svg`` from the imports of the package: run this file after a change of them.

    python docs/draw_architecture.py

A floor is a folder of the package, or a module at its top that uses folders; all other modules at
the top are what every floor may use. A floor stands above all that it imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "flask_otp_auth"
PICTURE = DOCS / "architecture.svg"
SHARED = "used by all layers"

WIDTH, MARGIN, LINE, HEAD, GAP = 890, 16, 21, 34, 26
LONGEST = 94  # characters of a line of text


class Room(NamedTuple):
    """A module: its name, and the first line of its docstring."""

    name: str
    says: str


class Floor(NamedTuple):
    """What stands on one level: a folder or a module, its rooms, and the floors that it imports."""

    name: str
    rooms: list[Room]
    uses: set[str]


def modules() -> dict[str, ast.Module]:
    """Return every module of the package by its dotted name in it."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name] = ast.parse(path.read_text())
    return found


def imports(name: str, tree: ast.Module, known: Iterable[str]) -> set[str]:
    """Return the modules of the package that a module imports when it is imported.

    What a function imports when it is called, since it needs an extra, is not counted.
    """
    known = set(known)
    found = set()
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = name.split(".")[: -node.level] + (node.module.split(".") if node.module else [])
        for alias in node.names:
            imported = [*base, alias.name]
            for candidate in (imported, [*imported, "__init__"], base, [*base, "__init__"]):
                if ".".join(candidate) in known:
                    found.add(".".join(candidate))
                    break
    return found - {name}


def floor_of(name: str, shared: set[str]) -> str:
    """Return the floor that a module is on."""
    folder, dot, _ = name.partition(".")
    if dot:
        return f"{folder}/"
    return SHARED if name in shared else f"{name}.py"


def shared_modules(uses: dict[str, set[str]]) -> set[str]:
    """Return the modules at the top that use no folder, directly or through another."""

    def reaches_folder(name: str, seen: frozenset[str] = frozenset()) -> bool:
        later = uses[name] - seen
        return any("." in other or reaches_folder(other, seen | {name}) for other in later)

    return {name for name in uses if "." not in name and not reaches_folder(name)}


def floors() -> list[Floor]:
    """Return the floors of the package from the top down."""
    trees = modules()
    del trees["__init__"]
    uses = {name: imports(name, tree, trees) for name, tree in trees.items()}
    shared = shared_modules(uses)
    found: dict[str, Floor] = {}
    for name, tree in trees.items():
        floor = found.setdefault(floor_of(name, shared), Floor(floor_of(name, shared), [], set()))
        room = (name.partition(".")[2] or name).replace(".", "/")
        if not room.endswith("__init__"):
            floor.rooms.append(Room(f"{room}.py", first_line(tree)))
        floor.uses.update(floor_of(other, shared) for other in uses[name])
    for floor in found.values():
        floor.uses.discard(floor.name)
    # Of those at one height, the one that uses most comes last, next to what it uses.
    return sorted(
        found.values(),
        key=lambda floor: (-height(floor.name, found), len(floor.uses), floor.name),
    )


def height(name: str, found: dict[str, Floor], above: tuple[str, ...] = ()) -> int:
    """Return how many floors are below one.

    :raises ValueError: two floors import each other.
    """
    if name in above:
        raise ValueError(f"floors import each other: {' -> '.join([*above, name])}")
    below = found[name].uses
    return 1 + max((height(other, found, (*above, name)) for other in below), default=-1)


def first_line(tree: ast.Module) -> str:
    """Return the first line of a module's docstring, short enough for a line of the picture."""
    text = (ast.get_docstring(tree) or "").partition("\n")[0].replace("``", "")
    return text if len(text) <= LONGEST else text[: LONGEST - 3].rsplit(" ", 1)[0] + " ..."


def draw(house: list[Floor]) -> str:
    """Return the picture as SVG: a box for each floor, and an arrow to what it uses next."""
    shapes, top = [], MARGIN
    for number, floor in enumerate(house):
        tall = HEAD + LINE * len(floor.rooms) + 8
        is_single = floor.rooms and floor.name == floor.rooms[0].name
        if is_single:
            tall = HEAD + 8
        shapes.append(
            f'<rect x="{MARGIN}" y="{top}" width="{WIDTH - 2 * MARGIN}" height="{tall}" rx="6" '
            f'fill="#eef1f6" stroke="#8b95a7"/>'
        )
        title = f'<text x="{MARGIN + 14}" y="{top + 23}" font-weight="600">{floor.name}</text>'
        shapes.append(title)
        if is_single:
            shapes.append(line(top + 23, "", floor.rooms[0].says))
        else:
            shapes += [
                line(top + HEAD + LINE * row + 12, room.name, room.says)
                for row, room in enumerate(floor.rooms)
            ]
        top += tall + GAP
        if number + 1 < len(house) and house[number + 1].name in floor.uses:
            shapes.append(
                f'<path d="M{WIDTH // 2} {top - GAP + 2}v{GAP - 5}" stroke="#1b56b3" '
                'stroke-width="1.6" marker-end="url(#tip)"/>'
            )
    inside = "\n  ".join(shapes)
    tall = top - GAP + MARGIN
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tall}" role="img"
  aria-labelledby="title" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
  font-size="12.5" fill="#1c2330">
  <title id="title">The modules of Flask-OTP-Auth, each layer above those that it uses</title>
  <defs>
    <marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"
      orient="auto"><path d="M0 0 10 5 0 10z" fill="#1b56b3"/></marker>
  </defs>
  <rect width="{WIDTH}" height="{tall}" rx="10" fill="#ffffff"/>
  {inside}
</svg>
"""


def line(y: int, name: str, says: str) -> str:
    """Return one line of a floor: the name of a room, and what lives there."""
    return (
        f'<text x="{MARGIN + 14}" y="{y}">{escape(name)}</text>'
        f'<text x="{MARGIN + 190}" y="{y}" fill="#4a5568">{escape(says)}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(floors()))
