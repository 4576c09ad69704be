"""DeviceTokens: tokens that prove that a device has signed in to an account before."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from itsdangerous import BadSignature, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode

from .codes import derive_key
from .types import AccountId

#: No token is longer, in characters.
TOKEN_MAX = 256
# Checked in place of what cannot be a token, so that the check takes as long as for a real one.
_NO_TOKEN = f"{'0' * 32}.AAAAAA.{'A' * 43}"


class DeviceTokens:
    """Issues and reads the tokens of trusted devices.

    A token is a random device id and a time, signed with a key for the account. So it identifies
    nobody, and is useless for other accounts. The idea is from OWASP, *Slow Down Online Guessing
    Attacks with Device Cookies*: nobody else can lock the owner out of a device that has been used
    to sign in.

    :param secrets_: the key material, newest first. New tokens are signed with the first key;
        tokens signed with the others are still accepted.
    :param lifetime: seconds for which a token is valid.
    """

    def __init__(self, secrets_: Sequence[bytes], lifetime: int) -> None:
        # itsdangerous wants the newest last.
        self._keys = [derive_key(secret, "flask-otp-auth devices") for secret in reversed(secrets_)]
        self.lifetime = lifetime

    def issue(self, device: AccountId) -> str:
        """Return a new token for a device of an account."""
        return self._signer(device).sign(device.device or "").decode()

    def read(self, account: AccountId, tokens: Sequence[object]) -> list[AccountId]:
        """Return the devices of an account that *tokens* identify, whether or not it has them.

        :param account: the account.
        :param tokens: the values that the client sent, whatever they are. There may be several,
            since a browser sends two cookies of one name if a subdomain has set one of them.
        """
        signer = self._signer(account)
        devices = []
        for token in tokens or [None]:
            if not (isinstance(token, str) and token.isascii() and len(token) <= TOKEN_MAX):
                token = _NO_TOKEN
            try:
                found = signer.unsign(token, max_age=self.lifetime)
            except BadSignature:
                continue
            if _is_canonical(token):
                devices.append(AccountId(account.account, found.decode()))
        return list(dict.fromkeys(devices))

    def _signer(self, account: AccountId) -> TimestampSigner:
        return TimestampSigner(
            self._keys, salt=account.account, key_derivation="hmac", digest_method=sha256
        )


def _is_canonical(token: str) -> bool:
    """Whether the signature is spelled as it was issued; base64 is decoded leniently."""
    signature = token.rpartition(".")[2]
    return base64_encode(base64_decode(signature)).decode() == signature
