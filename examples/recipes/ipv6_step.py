"""A second, wider limit for networks: one customer of a provider may hold a whole IPv6 /48.

The limits of clients count an IPv6 address by its /64, which is what one household gets. Whoever
rents a server often gets a /48, which has 65,536 of those. This adds a step for them. Run it with
``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` set::

    flask --app examples/recipes/ipv6_step.py run
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from flask_otp_auth import FlaskOtpAuth

View = Callable[..., Any]
VIEWS_THAT_SEND = ("otp_auth.initiate", "otp_auth.resend")


def network() -> str:
    """Return the /48 network of an IPv6 client or the /24 network of an IPv4 client."""
    address = request.remote_addr or "no address"
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    length = 48 if parsed.version == 6 else 24
    return str(ipaddress.ip_network((parsed, length), strict=False))


def limit_networks(app: Flask, limiter: Limiter, rules: str) -> None:
    """Limit the codes that may be asked for from one network.

    :param rules: limits in the notation of Flask-Limiter, well above ``OTP_AUTH_CLIENT_LIMITS``,
        since a whole school or office may share a network.
    """
    step = limiter.shared_limit(
        rules, scope="networks that ask for codes", key_func=network, override_defaults=False
    )
    for name in VIEWS_THAT_SEND:
        view: View = app.view_functions[name]
        app.view_functions[name] = step(view)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build an application with the step."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(CODES_OF_A_NETWORK="100 per hour")
    app.config.from_mapping(config)
    limiter = Limiter(
        get_remote_address, app=app, storage_uri=app.config["MONGO_URI"], strategy="moving-window"
    )
    otp = FlaskOtpAuth(app, limiter=limiter)
    limit_networks(app, limiter, app.config["CODES_OF_A_NETWORK"])

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        app.logger.info("send a code by %s here", method)
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, str]:
        return {"id": identifier}

    return app
