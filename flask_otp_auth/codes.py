"""One-time codes: generating them, reading what was typed, and the keyed digests to store."""

from __future__ import annotations

import hmac
import secrets
import unicodedata
from collections.abc import Sequence

from .subjects import Purpose

MIN_LENGTH, MAX_LENGTH = 4, 8
_WHITE_CONTROLS = "\t\n\v\f\r\x85"  # the controls with the property White_Space of Unicode
_UNSEEN = ("Zs", "Zl", "Zp", "Pd", "Cf")


def draw(length: int) -> str:
    """Generate a code of *length* digits. All are equally likely, also those with leading zeros."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def draw_session_id() -> str:
    """Generate a session id: 128 random bits as 32 lower-case hexadecimal digits."""
    return secrets.token_hex(16)


def normalise(typed: str) -> str:
    """Remove what nobody sees or means, and turn the digits of every script into ASCII digits.

    White space, dashes and invisible format characters group digits, or come along when text is
    copied: the categories Z*, Pd and Cf of Unicode, and the controls that are white space.

    :param typed: what somebody typed or pasted.
    :returns: *typed* without those characters; all others but decimal digits stay as they are.
    """
    if typed.isascii() and typed.removeprefix("+").isalnum():  # as nearly everybody types it
        return typed
    return "".join(map(ascii_digit, filter(_is_meant, typed)))


def read(typed: str) -> str | None:
    """Return the code that somebody typed, or ``None`` if it cannot be a code of any length.

    :param typed: what somebody typed or pasted.
    :returns: 4 to 8 ASCII digits, or ``None``.
    """
    code = normalise(typed)
    fits = MIN_LENGTH <= len(code) <= MAX_LENGTH and code.isascii() and code.isdigit()
    return code if fits else None


def _is_meant(character: str) -> bool:
    return character not in _WHITE_CONTROLS and unicodedata.category(character) not in _UNSEEN


def ascii_digit(character: str) -> str:
    """Return the ASCII digit for a decimal digit of any script; other characters stay."""
    return str(unicodedata.decimal(character, character))


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Derive a 32-byte key for one *purpose*, so that no key is used for two purposes.

    This is the expand step of HKDF (RFC 5869, section 2.3) for a single block.

    :param secret: the key material.
    :param purpose: a text that no other derived key uses, the ``info`` of HKDF.
    """
    return hmac.digest(secret, purpose.encode() + b"\x01", "sha256")


def _message(*parts: str) -> bytes:
    # The length precedes each part, so that no two lists of parts give the same bytes.
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


class CodeDigester:
    """Computes the digests of codes under the keys of an application.

    A code has so few digits that only a key protects its digest: without the key, the database
    does not reveal a code. (OWASP ASVS 5.0, 6.5.2, requires a hash for lookup secrets only.)

    :param secrets_: the key material, newest first. New digests use the first key; digests under
        the others still match.
    """

    def __init__(self, secrets_: Sequence[bytes]) -> None:
        self._keys = [derive_key(secret, "flask-otp-auth code digest") for secret in secrets_]
        self._of_bindings = [derive_key(secret, "flask-otp-auth purposes") for secret in secrets_]

    def digest(self, session_id: str, code: str, binding: str | None = None) -> bytes:
        """Return the digest to store for *code* in its session: a 32-byte HMAC-SHA256.

        :param binding: that of the session, or ``None`` for a login.
        """
        return _hmac(self._keys[0], session_id, code, *_given(binding))

    def candidates(
        self, session_id: str, code: str, bindings: Sequence[str] | None = None
    ) -> list[bytes]:
        """Return the digests under which *code* may be stored.

        :param bindings: what the session may be bound to, or ``None`` for a login.
        """
        given = [()] if bindings is None else [(binding,) for binding in bindings]
        return [_hmac(key, session_id, code, *bound) for key in self._keys for bound in given]

    def bindings(self, session_id: str, purpose: Purpose) -> list[str]:
        """Return what a session may be bound to for a purpose, the newest key first.

        It is an HMAC in hexadecimal digits, since the subject is the id of a user.
        """
        parts = (session_id, purpose.name, *_given(purpose.subject))
        return [_hmac(key, *parts).hex() for key in self._of_bindings]


def _hmac(key: bytes, *parts: str) -> bytes:
    return hmac.digest(key, _message(*parts), "sha256")


def _given(part: str | None) -> tuple[str, ...]:
    return () if part is None else (part,)
