"""Which addresses the login page may lead to: paths of the same site, and nothing else."""

from __future__ import annotations

import re

_LENGTH_MAX = 2048
# One slash, and no second one: "//example.com" is another site, and so are "/\example.com" and
# "/<tab>/example.com", since browsers take a backslash for a slash and leave control characters
# out (WHATWG URL Standard, section 4.4).
_SITE_PATH = re.compile(r"/(?!/)[^\\\x00-\x20\x7f-\x9f\ud800-\udfff]*\Z")


def is_site_path(value: object) -> bool:
    """Whether *value* is a path, with query and fragment or not, that stays on its own site."""
    return (
        isinstance(value, str) and len(value) <= _LENGTH_MAX and _SITE_PATH.match(value) is not None
    )
