"""Who a client is to Flask-Limiter: an address, a network, or a device that is trusted."""

from __future__ import annotations

import hmac
from ipaddress import IPv4Address, IPv6Network, ip_network

from flask import current_app, request
from werkzeug.exceptions import HTTPException

from .. import flow
from ..addresses import ip_of
from ..codes import derive_key
from ..exceptions import OtpAuthError
from ..state import EXTENSION, AppState
from ..types import AccountId
from . import schemas
from .body import read_body
from .cookies import device_tokens

#: The key of clients without an address, since to Flask-Limiter an empty key has no limit.
NO_ADDRESS = "no address"
_COUNTED_AS = "flask_otp_auth.client"
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1


def client_key() -> str:
    """Return the key under which Flask-Limiter counts the client of the current request.

    It is an HMAC, so that the storage of the Limiter holds no address. Use it as the ``key_func``
    of a Limiter of your own to count clients on your other routes in the same way.

    :returns: 32 hexadecimal digits.
    """
    # Each rule asks again. Not in g, which several requests share within one application context.
    key: str | None = request.environ.get(_COUNTED_AS)
    if key is None:
        state: AppState | None = current_app.extensions.get(EXTENSION)
        known = None if state is None else _trusted_device(state)
        client = client_bucket(request.remote_addr or "") if known is None else f"device {known}"
        secret = b"" if state is None else state.settings.secret_keys[-1]
        key = _digest(secret, client)
        request.environ[_COUNTED_AS] = key
    return key


def client_bucket(address: str) -> str:
    """Return what a client address is counted as.

    IPv6 addresses are counted by their /64 network: a client can choose the other 64 bits freely
    (RFC 4291, section 2.5.1). IPv4-mapped, NAT64 (RFC 6052) and 6to4 addresses (RFC 3056) are
    counted as the IPv4 address in them. Clients without an address are counted together.

    :param address: the ``remote_addr`` of a request; without ``ProxyFix``, that of the proxy.
    """
    if not address:
        return NO_ADDRESS
    parsed = ip_of(address)
    if parsed is None:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed in _NAT64:
        return str(IPv4Address(int(parsed) & 0xFFFFFFFF))
    inner = parsed.ipv4_mapped or parsed.sixtofour
    return str(inner or ip_network((parsed, 64), strict=False))


def _digest(secret: bytes, client: str) -> str:
    # The oldest key, so that adding a new one does not lose any count.
    key = derive_key(secret, "flask-otp-auth clients")
    return hmac.digest(key, client.encode("utf-8", "backslashreplace"), "sha256")[:16].hex()


def _trusted_device(state: AppState) -> AccountId | None:
    """Return the trusted device that asks for a code of its own account, or ``None``.

    Whatever else is wrong with the request is for its view to say.
    """
    if state.devices is None:
        return None
    try:
        if request.endpoint == "otp_auth.initiate":
            schema = schemas.initiate_request(state.settings.methods, trusts_devices=True)
            body = schemas.load(schema, read_body(request))
            tokens = device_tokens(body.get("device_token"))
            return flow.trusted_device(state, body["identifier"], body["method"], tokens)
        if request.endpoint == "otp_auth.resend":
            body = schemas.load(schemas.resend_request, read_body(request))
            return flow.device_of_session(state, body["session_id"])
    except (OtpAuthError, HTTPException):
        return None
    return None
