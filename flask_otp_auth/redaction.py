"""What may reach a log: no code, token, full session id or full identifier."""

from __future__ import annotations

import re
import traceback

from .identifiers import mask

_DIGITS = re.compile(r"[0-9](?:[ ()\-]?[0-9])*")
_SESSION_ID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24}\b")
_JWT = re.compile(r"\beyJ[\w-]*\.[\w-]*\.[\w-]*")
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_SHORTEST_PHONE = 7
_SHORTEST_CODE = 4


def short(session_id: str) -> str:
    """Return enough of a session id to find it by, and too little to use it."""
    return f"{session_id[:8]}..."


ANY_CODE = "any"


def redact(text: str, code: str | None = None, identifier: str | None = None) -> str:
    """Take out of *text* what looks like, or is, a secret of a sign-in.

    :param code: the code that is known to be around; ``ANY_CODE`` for all that could be one.
    :param identifier: the normalised identifier that is known to be around.
    """
    if identifier:
        text = text.replace(identifier, mask(identifier))
    text = _JWT.sub("[token]", text)
    text = _SESSION_ID.sub(r"\1...", text)
    text = _EMAIL.sub(lambda found: mask(found[0]), text)

    def number(found: re.Match[str]) -> str:
        digits = re.sub(r"[^0-9]", "", found[0])
        if (code == ANY_CODE and len(digits) >= _SHORTEST_CODE) or (code and code in digits):
            return "[code]"
        return found[0] if len(digits) < _SHORTEST_PHONE else f"*****{digits[-2:]}"

    return _DIGITS.sub(number, text)


def describe(error: BaseException, code: str | None = None, identifier: str | None = None) -> str:
    """Return the traceback of a host function's error, with its messages redacted."""
    described = traceback.TracebackException.from_exception(error, capture_locals=False)
    lines: list[str] = []
    links: list[traceback.TracebackException] = []
    link: traceback.TracebackException | None = described
    while link is not None:
        links.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    for link in reversed(links):
        lines.extend(link.stack.format())
        lines.extend(redact(line, code, identifier) for line in link.format_exception_only())
    return "".join(lines).rstrip()
