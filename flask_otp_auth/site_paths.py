"""Which addresses the login page may redirect to: paths of the same site, and nothing else."""

from __future__ import annotations

import re

_LENGTH_MAX = 2048
# One slash without a second: "//example.com" is another site, and so are "/\example.com" and
# "/<tab>/example.com", since browsers treat a backslash as a slash, and remove tabs and line
# breaks (WHATWG URL Standard, section 4.4).
_SITE_PATH = re.compile(r"/(?!/)[^\\\x00-\x20\x7f-\x9f\ud800-\udfff]*\Z")


def is_site_path(value: object) -> bool:
    """Return whether *value* is a path of the same site, which may have a query and a fragment."""
    return (
        isinstance(value, str) and len(value) <= _LENGTH_MAX and _SITE_PATH.match(value) is not None
    )
