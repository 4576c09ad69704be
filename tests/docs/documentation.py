"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# docs/changes.rst and docs/contributing.rst include the files of the root that stand here.
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.rst",
    ROOT / "tests" / "README.md",
    ROOT / "docs" / "package.md",
    *sorted((ROOT / "docs").glob("*.rst")),
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DIRECTIVE = re.compile(
    r"(?:^ *\.\. not-run: (?P<why>.+)\n\n)?"
    r"^(?P<indent> *)\.\. code-block:: (?P<language>[\w+]+)\n+"
    r"(?P<code>(?:(?P=indent) +.*\n|\n)+)",
    re.MULTILINE,
)
# A whole file of Python, and not a part of one.
_WHOLE_FILE = re.compile(r"^\.\. literalinclude:: (\S+\.py)\n\n", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One code block of a page."""

    page: Path
    line: int
    language: str
    code: str
    #: Why it can only be compiled, from a comment ``.. not-run: WHY`` above it.
    not_run: str = ""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page, in their order."""
    text = page.read_text() + "\n"
    found = []
    if page.suffix == ".md":
        matches = [(match.start(), match[1], match[2], "") for match in _FENCE.finditer(text)]
    else:
        matches = [
            (m.start("indent"), m["language"], m["code"], m["why"] or "")
            for m in _DIRECTIVE.finditer(text)
        ]
        files = [(m.start(), page.parent / m[1]) for m in _WHOLE_FILE.finditer(text)]
        matches += [(start, "python", file.read_text(), "") for start, file in files]
        matches.sort()
    for start, language, code, why in matches:
        line = text.count("\n", 0, start) + 1
        found.append(Block(page, line, language, textwrap.dedent(code).strip("\n") + "\n", why))
    return found


def all_blocks(language: str) -> list[Block]:
    """Return the blocks of a language on all pages."""
    return [block for page in PAGES for block in blocks(page) if block.language == language]
