"""Directives ``otp-options`` and ``otp-option``: the options in the code, as documentation.

The key, the default and the allowed values come from ``flask_otp_auth.settings.OPTIONS``. The text
of an ``otp-option`` says what the option means. The build fails if an option has no text, or if
there is text for an option that does not exist.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from flask_otp_auth.settings import OPTIONS, Option, options

_log = logging.getLogger(__name__)
_KEYS = {option.key: option for option in OPTIONS}


def default_of(option: Option) -> str:
    """Return the default as somebody would write it in Python."""
    if isinstance(option.default, str):
        return f'"{option.default}"'
    if isinstance(option.default, tuple):
        return "(" + ", ".join(f'"{item}"' for item in option.default) + ")"
    return repr(option.default)


class OptionsTable(SphinxDirective):
    """A table of all options with their defaults, each one a link to its text."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(options.__file__)
        lines = [
            ".. list-table::",
            "   :header-rows: 1",
            "   :class: otp-options",
            "",
            "   * - Key",
            "     - Default",
        ]
        for option in OPTIONS:
            lines += [f"   * - :confval:`{option.key}`", f"     - ``{default_of(option)}``"]
        return self.parse_text_to_nodes("\n".join(lines))


class OptionText(SphinxDirective):
    """What one option means; its default and its allowed values are added from the code."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        key = self.arguments[0]
        option = _KEYS.get(key)
        if option is None:
            raise self.error(f"{key} is not an option of flask_otp_auth.settings.OPTIONS")
        documented(self.env).setdefault(key, self.env.docname)
        lines = [
            f".. confval:: {key}",
            "",
            f"   *Default:* ``{default_of(option)}``. *Allowed:* {option.allowed}.",
            "",
            *(f"   {line}" for line in self.content),
        ]
        content = StringList(lines, source=self.get_source_info()[0])
        return self.parse_content_of(content)

    def parse_content_of(self, content: StringList) -> list[nodes.Node]:
        """Parse lines as if they stood in the page."""
        holder = nodes.Element()
        self.state.nested_parse(content, self.content_offset, holder)
        return holder.children


def documented(env: BuildEnvironment) -> dict[str, str]:
    """Return the page that each documented option is on."""
    if not hasattr(env, "otp_options"):
        env.otp_options = {}  # type: ignore[attr-defined]
    return env.otp_options  # type: ignore[attr-defined,no-any-return]


def forget(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the options of a page that is read again."""
    found = documented(env)
    for key in [key for key, page in found.items() if page == docname]:
        del found[key]


def check(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of options without a text."""
    for key in _KEYS.keys() - documented(env).keys():
        _log.warning("%s has no otp-option directive: say what it means", key)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("otp-options", OptionsTable)
    app.add_directive("otp-option", OptionText)
    app.connect("env-purge-doc", forget)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": False}
