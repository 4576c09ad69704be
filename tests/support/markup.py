"""A page as a test looks at it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class Markup(HTMLParser):
    """What a test looks at in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts = ""
        self._in_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts += data

    @property
    def data(self) -> dict[str, Any]:
        [found] = [attrs["data-otp-login"] for _, attrs in self.tags if "data-otp-login" in attrs]
        return dict(json.loads(found or ""))
