"""DeviceTokens: proofs that a device has signed in to an account before."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from hashlib import sha256

from itsdangerous import BadSignature, TimestampSigner

from .codes import derive_key

_ID_BYTES = 16
_TOKEN_MAX = 256
# Read in place of what is no token at all, so that reading takes as long as for a real one.
_NO_TOKEN = f"{'0' * 2 * _ID_BYTES}.AAAAAA.{'A' * 43}"


class DeviceTokens:
    """Makes and reads the tokens of trusted devices.

    A token is a random device id and a time, signed under a key of the account, so that it names
    nobody and is worth nothing for another account. The idea is OWASP's, *Slow Down Online Guessing
    Attacks with Device Cookies*: whoever has signed in from a device is not kept out by strangers.

    :param secrets_: key material, newest first; new tokens use the first, old ones are still read.
    :param lifetime: seconds that a token is good for.
    """

    def __init__(self, secrets_: Sequence[bytes], lifetime: int) -> None:
        # itsdangerous wants the newest last.
        self._keys = [derive_key(secret, "flask-otp-auth devices") for secret in reversed(secrets_)]
        self.lifetime = lifetime

    def issue(self, account: str, device: str | None = None) -> str:
        """Return a token for a device of an account.

        :param account: the key of the account.
        :param device: the id of a device that is known already; without it the device is a new one.
        """
        device = device or secrets.token_hex(_ID_BYTES)
        return self._signer(account).sign(device).decode()

    def read(self, account: str, tokens: Sequence[object]) -> str | None:
        """Return the id of the device that one of *tokens* proves, or ``None``.

        :param account: the key of the account that is asked about.
        :param tokens: what a client sent, which may be anything; a browser can send two cookies of
            one name, of which a subdomain may have set the first.
        """
        signer = self._signer(account)
        device = None
        for token in tokens or [None]:
            if not (isinstance(token, str) and token.isascii() and len(token) <= _TOKEN_MAX):
                token = _NO_TOKEN
            try:
                found = signer.unsign(token, max_age=self.lifetime)
            except BadSignature:
                continue
            device = device or found.decode()
        return device

    def _signer(self, account: str) -> TimestampSigner:
        return TimestampSigner(
            self._keys, salt=account, key_derivation="hmac", digest_method=sha256
        )
