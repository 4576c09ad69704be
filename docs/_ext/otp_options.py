"""Makes the options on the page *configuration* the targets of the role ``confval``.

The page is a plain definition list, so that it can be read without being built.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_PAGE, _PREFIX = "configuration", "OTP_AUTH_"


def name_options(app: Sphinx, doctree: nodes.document) -> None:
    """Register each term of the page that is an option."""
    if app.env.docname != _PAGE:
        return
    for term in doctree.findall(nodes.term):
        key = term.astext()
        if key.startswith(_PREFIX):
            term["ids"].append(f"confval-{key}")
            app.env.domains.standard_domain.note_object(
                "confval", key, f"confval-{key}", location=term
            )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the targets whenever a page is read."""
    app.connect("doctree-read", name_options)
    return {"parallel_read_safe": True}
