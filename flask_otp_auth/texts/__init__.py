"""All words of the login page and of the messages: one file a language, text by key."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

DEFAULT_LANGUAGE = "en"
#: The languages that come with the package.
LANGUAGES = tuple(
    sorted(
        file.name.removesuffix(".json")
        for file in resources.files(__name__).iterdir()
        if file.name.endswith(".json")
    )
)
_RIGHT_TO_LEFT = frozenset({"ar", "he", "fa", "ur"})
_MOST_PARTS = 8
_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True)
class Texts:
    """All words in one language.

    :param language: the BCP 47 tag of the language, for the attribute ``lang``.
    :param words: text by key; a text may hold placeholders such as ``{time}``.
    """

    language: str
    words: Mapping[str, str]

    @property
    def dir(self) -> str:
        """The direction of the script, for the attribute ``dir``: ``"ltr"`` or ``"rtl"``."""
        return "rtl" if self.language.partition("-")[0].lower() in _RIGHT_TO_LEFT else "ltr"

    def say(self, key: str, **values: object) -> str:
        """Return the text of *key* with *values* in the place of its placeholders.

        What is put in is not looked at again, so a value cannot bring in another one.
        """
        return _PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), self.words[key])

    def page(self) -> dict[str, str]:
        """Return the words of the login page, which are all but those of the messages."""
        return {key: text for key, text in self.words.items() if not key.startswith("message_")}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The texts of one application: those of the package and what ``OTP_AUTH_TEXTS`` changes.

    :param changes: by tag in lower case, the tag as it is written in HTML, and text by key.
    """

    changes: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)

    @classmethod
    def read(cls, value: Any) -> Catalogue:
        """Return the catalogue for a value of ``OTP_AUTH_TEXTS``.

        :raises ValueError: it has another form. The error names the language and the key.
        """
        return cls(_read(value))

    def match(self, tag: str) -> str | None:
        """Return the language of the catalogue for a BCP 47 tag: itself, or what it begins with.

        This is the *lookup* of RFC 4647: ``pt-BR`` is answered by ``pt-BR``, else by ``pt``.
        """
        for part in _parts(tag):
            if part in self.changes:
                return self.changes[part][0]
            if part in LANGUAGES:
                return part
        return None

    def texts(self, tag: str | None) -> Texts:
        """Return the texts in a language.

        Each one is that of the exact tag, else of its language, else in English.

        :param tag: a BCP 47 or POSIX name such as ``sv``, ``de-AT`` or ``pt_BR``, or ``None``.
        """
        language = self.match(tag or "") or DEFAULT_LANGUAGE
        words = dict(_of_package(DEFAULT_LANGUAGE))
        for part in reversed([*_parts(language)]):
            if part in LANGUAGES:
                words.update(_of_package(part))
            if part in self.changes:
                words.update(self.changes[part][1])
        return Texts(language, words)


def _parts(tag: str) -> Iterator[str]:
    """Yield a tag in lower case, and after it what is left without its last parts."""
    # A client may send one of any length, and the time grows with the square of its parts.
    parts = tag.replace("_", "-").lower().split("-", _MOST_PARTS)[:_MOST_PARTS]
    for length in range(len(parts), 0, -1):
        yield "-".join(parts[:length])


@functools.cache
def _of_package(language: str) -> Mapping[str, str]:
    file = resources.files(__package__).joinpath(f"{language}.json")
    words: dict[str, str] = json.loads(file.read_text("utf-8"))
    return words


def _read(changes: Any) -> dict[str, tuple[str, Mapping[str, str]]]:
    """Return the changes by tag in lower case, each with the tag as it is written in HTML."""
    if not isinstance(changes, Mapping):
        raise ValueError(f"is a {type(changes).__name__}")
    read: dict[str, tuple[str, Mapping[str, str]]] = {}
    for name, words in changes.items():
        tag = name.replace("_", "-") if isinstance(name, str) else ""
        if not _TAG.fullmatch(tag):
            raise ValueError(f"has {name!r}, which is no language tag such as 'ar' or 'pt-BR'")
        if tag.lower() in read:
            raise ValueError(f"has {tag} twice")
        if not isinstance(words, Mapping):
            raise ValueError(f"has a {type(words).__name__} for {tag}")
        for key, text in words.items():
            _check(tag, key, text)
        read[tag.lower()] = tag, dict(words)
    return read


def _check(tag: str, key: Any, text: Any) -> None:
    english = _of_package(DEFAULT_LANGUAGE)
    if key not in english:
        near = difflib.get_close_matches(str(key), english, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"they are {', '.join(english)}"
        raise ValueError(f"has the key {key!r} for {tag}, which is none of ours; {hint}")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"has no text for {tag}, {key}")
    allowed = set(_PLACEHOLDER.findall(english[key]))
    strange = set(_PLACEHOLDER.findall(text)) - allowed
    if strange:
        names = ", ".join(f"{{{name}}}" for name in sorted(allowed)) or "nothing"
        raise ValueError(
            f"has {{{min(strange)}}} for {tag}, {key}, where it can say {names} in braces"
        )
