"""The directives ``otp-operation``, ``otp-headers`` and ``otp-errors``: the OpenAPI file as a page.

Everything they show comes from ``flask_otp_auth/openapi.json``. The content of an
``otp-operation`` adds what the description cannot say. The build fails if no page has an operation,
the headers or the errors, or if an ``otp-operation`` names an operation that does not exist.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from otp_openapi_text import Api
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from flask_otp_auth.openapi import SHIPPED

_log = logging.getLogger(__name__)
_HEADERS, _ERRORS = "the headers", "the errors"


class _FromFile(SphinxDirective):
    """A part of the description, shown on a page."""

    def parse(self, what: str, lines: list[str]) -> list[nodes.Node]:
        """Parse lines as a part of the page, and record that the page describes *what*."""
        self.env.note_dependency(str(SHIPPED))
        described(self.env).setdefault(what, self.env.docname)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


class Operation(_FromFile):
    """A section about one operation, with its request and all of its answers."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        api = Api.read(SHIPPED)
        if name not in api.operations:
            raise self.error(f"{SHIPPED.name} has no operation {name}")
        return self.parse(name, api.operation(name, list(self.content)))


class Headers(_FromFile):
    """The headers of the answers."""

    def run(self) -> list[nodes.Node]:
        return self.parse(_HEADERS, Api.read(SHIPPED).headers())


class Errors(_FromFile):
    """The form of errors, and the meaning of each error code."""

    def run(self) -> list[nodes.Node]:
        return self.parse(_ERRORS, Api.read(SHIPPED).errors())


def described(env: BuildEnvironment) -> dict[str, str]:
    """Return the page that describes each part of the description."""
    if not hasattr(env, "otp_openapi"):
        env.otp_openapi = {}  # type: ignore[attr-defined]
    return env.otp_openapi  # type: ignore[attr-defined,no-any-return]


def forget(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget what a page describes before it is read again."""
    found = described(env)
    for what in [what for what, page in found.items() if page == docname]:
        del found[what]


def check(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn about the parts that no page describes."""
    wanted = {*Api.read(SHIPPED).operations, _HEADERS, _ERRORS}
    for what in sorted(wanted - described(env).keys()):
        _log.warning("%s of %s: no page describes it", what, SHIPPED.name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("otp-operation", Operation)
    app.add_directive("otp-headers", Headers)
    app.add_directive("otp-errors", Errors)
    app.connect("env-purge-doc", forget)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": False}
