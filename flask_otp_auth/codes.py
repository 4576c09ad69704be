"""One-time codes: drawing them, reading what was typed, and the keyed digests that are stored."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence


def draw(length: int) -> str:
    """Draw a code from the whole space of *length* digits, leading zeros included."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def draw_session_id() -> str:
    """Draw a session id: 128 random bits as 32 lower-case hexadecimal digits."""
    return secrets.token_hex(16)


def normalise(typed: str) -> str:
    """Take the spaces and hyphens out that people type to group digits; nothing else."""
    return typed.replace(" ", "").replace("-", "")


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Derive the 32-byte key for one *purpose*, so that no key is used for two things.

    The expand step of HKDF (RFC 5869, section 2.3) for one block; *secret* is the key material.
    """
    return hmac.digest(secret, purpose.encode() + b"\x01", "sha256")


def _message(*parts: str) -> bytes:
    # Each part behind its length, so that no two lists of parts give the same bytes.
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


class CodeDigester:
    """Digests of codes under the secrets of an application.

    A code has so few digits that only the key keeps its digest secret: who reads the database
    without the key learns nothing (OWASP ASVS 5.0, 6.5.2 asks for at least this much).

    :param secrets_: key material, newest first; new digests use the first, old ones still match.
    """

    def __init__(self, secrets_: Sequence[bytes]) -> None:
        self._keys = [derive_key(secret, "flask-otp-auth code digest") for secret in secrets_]

    def digest(self, session_id: str, code: str) -> bytes:
        """Return the 32-byte HMAC-SHA256 of *code* in its session, to be stored."""
        return hmac.digest(self._keys[0], _message(session_id, code), "sha256")

    def candidates(self, session_id: str, code: str) -> list[bytes]:
        """Return the digests that *code* may be stored as, one for each key in use."""
        message = _message(session_id, code)
        return [hmac.digest(key, message, "sha256") for key in self._keys]
