"""Redacting what is logged: no code, token, full session id or full identifier may be in it."""

from __future__ import annotations

import html
import re
import traceback
from collections.abc import Iterator
from urllib.parse import quote

from .codes import ascii_digit
from .identifiers import mask

# Repeats are bounded or do not overlap, so that no text takes more than linear time.
_DIGITS = re.compile(r"[0-9](?:(?:[ ()+\-]|%2[089BD])?[0-9])*", re.IGNORECASE)
_SEPARATORS = re.compile(r"%2[089BD]|[^0-9]", re.IGNORECASE)
_BETWEEN = r"(?:%[0-9A-F]{2}|[^0-9]){0,3}"
_SESSION_ID = re.compile(r"([0-9a-f]{8})[0-9a-f]{24}", re.IGNORECASE)
_JWT = re.compile(r"eyJ[\w.-]+")
_AT = re.compile(r"@|%(?:25)*40")
_EMAIL = re.compile(r"[\w.+%-]{1,64}(?:@|%(?:25){0,3}40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_SHORTEST_PHONE = 7
_SHORTEST_CODE = 4
_LONGEST = 8192  # characters of one message
_LONGEST_SECRET = 512
_LONGEST_CHAIN = 20
_GROUP_MEMBERS = 10
_GROUP_LEVELS = 3
_CAUSED = "The error above is the cause of this one:"
_WHILE = "The error below was raised while the one above was being handled:"


def short(session_id: str) -> str:
    """Return the beginning of an id: enough to find it in a log, too little to use it."""
    return f"{session_id[:8]}..."


ANY_CODE = "any"


def redact(text: str, code: str | None = None, identifier: str | None = None) -> str:
    """Return *text* without anything that is, or looks like, a secret of a sign-in.

    Only the beginning of a very long text is examined and returned.

    :param code: the code that *text* may contain, or ``ANY_CODE`` for every number that could be
        one.
    :param identifier: the normalised identifier that *text* may contain, also in another spelling.
    """
    cut = len(text) - _LONGEST
    if cut > 0:
        text = text[:_LONGEST]
    if not text.isascii():  # a message in another script may have its digits too
        text = "".join(map(ascii_digit, text))
    if identifier:
        text = _known(identifier).sub(lambda _: mask(identifier), text)
    text = _JWT.sub("[token]", text)
    text = _SESSION_ID.sub(r"\1...", text)
    text = _EMAIL.sub(lambda found: mask(_AT.sub("@", found[0])), text)

    def number(found: re.Match[str]) -> str:
        digits = _SEPARATORS.sub("", found[0])
        if (code == ANY_CODE and len(digits) >= _SHORTEST_CODE) or (code and code in digits):
            return "[code]"
        return found[0] if len(digits) < _SHORTEST_PHONE else f"*****{digits[-2:]}"

    text = _DIGITS.sub(number, text)
    if code and code != ANY_CODE:
        text = _spaced(code).sub("[code]", text)
    if identifier and "@" not in identifier:  # a gateway may write it as it is dialled at home
        text = _spaced(identifier[-_SHORTEST_PHONE:]).sub(f"*****{identifier[-2:]}", text)
    if cut > 0:  # the text may end with half a secret, which no pattern matches
        text = f"{text[:-_LONGEST_SECRET]}... [and over {cut} characters more]"
    return text


def _known(identifier: str) -> re.Pattern[str]:
    """Return a pattern for a known identifier as a gateway or a mail server may write it."""
    local, at, domain = identifier.rpartition("@")
    if not at:
        return _spaced(identifier.lstrip("+"))
    # As Python and JavaScript encode it in a URL.
    encoded = [quote(local, safe) for safe in ("", "/", "!*'()")]
    ways = {local, html.escape(local), *encoded}
    ways |= {way.replace("%", sign) for way in encoded for sign in ("%25", "=")}
    either = "|".join(map(re.escape, sorted(ways, reverse=True)))
    return re.compile(f"(?:{either}).{{1,12}}?{re.escape(domain)}", re.IGNORECASE)


def _spaced(digits: str) -> re.Pattern[str]:
    """Return a pattern for known digits, also with a few characters between any two of them."""
    return re.compile(r"(?:\+|%2B)?" + _BETWEEN.join(digits), re.IGNORECASE)


def describe(error: BaseException, code: str | None = None, identifier: str | None = None) -> str:
    """Return the traceback of an error, with its messages redacted as by :func:`redact`.

    It includes the causes of the error and the members of an exception group. Every line after the
    first is indented, and characters that are not printable are escaped, so that a message with
    text from a client cannot be read as a line of the log.
    """
    described = traceback.TracebackException.from_exception(error, capture_locals=False)
    return "\n  ".join(visible(line) for line in _chain(described, code, identifier, _GROUP_LEVELS))


def visible(line: str) -> str:
    """Return *line* with its control and format characters escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in line
    )


def _chain(
    described: traceback.TracebackException,
    code: str | None,
    identifier: str | None,
    levels: int,
) -> Iterator[str]:
    """Yield the lines of an error and of the errors that led to it, the first of them first."""
    links = [(described, "")]
    while len(links) < _LONGEST_CHAIN:
        last = links[-1][0]
        if last.__cause__ is not None:
            links.append((last.__cause__, _CAUSED))
        elif last.__context__ is not None and not last.__suppress_context__:
            links.append((last.__context__, _WHILE))
        else:
            break
    for link, leads_to in reversed(links):
        if link.stack:
            yield "Traceback (most recent call last):"
        for part in link.stack.format():
            yield from part.splitlines()
        yield from redact("".join(link.format_exception_only()), code, identifier).splitlines()
        members = (link.exceptions or []) if levels else []
        for number, member in enumerate(members[:_GROUP_MEMBERS], 1):
            yield f"  member {number} of {len(members)}:"
            yield from (f"  {line}" for line in _chain(member, code, identifier, levels - 1))
        if leads_to:
            yield leads_to
