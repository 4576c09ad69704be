"""Findings about how the application is served."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from ..state import AppState
from .finding import Finding, failed, passed, warned

# Environment variables of platforms that put a proxy in front of the application. That of AWS is
# set by Elastic Container Service, App Runner and Lambda.
_PROXIED = {
    "DYNO": "Heroku",
    "KUBERNETES_SERVICE_HOST": "Kubernetes",
    "FLY_APP_NAME": "Fly.io",
    "RENDER": "Render",
    "RAILWAY_ENVIRONMENT": "Railway",
    "K_SERVICE": "Cloud Run",
    "WEBSITE_SITE_NAME": "Azure App Service",
    "AWS_EXECUTION_ENV": "AWS",
}
_DEEPEST = 50


def modes(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that debug mode and testing mode are off."""
    # The command line of Flask replaces app.debug by FLASK_DEBUG.
    debug = app.debug or bool(state.given.get("DEBUG"))
    for name, is_on in (("debug", debug), ("testing", app.testing)):
        if is_on:
            yield failed(
                f"{name} mode",
                "it is on",
                f"Remove {name.upper()} from the configuration, and FLASK_{name.upper()} from the "
                "environment.",
            )
        else:
            yield passed(f"{name} mode", "it is off")


def https(app: Flask, _: AppState) -> Iterator[Finding]:
    """Check that codes and tokens are sent over HTTPS only."""
    scheme = app.config.get("PREFERRED_URL_SCHEME")
    if scheme != "https":
        yield warned(
            "HTTPS",
            f"PREFERRED_URL_SCHEME is {scheme!r}: codes and tokens must not be sent over HTTP",
            'Serve the site over HTTPS only, and set PREFERRED_URL_SCHEME to "https".',
        )
    else:
        yield passed("HTTPS", "PREFERRED_URL_SCHEME is https")


def proxy(app: Flask, _: AppState) -> Iterator[Finding]:
    """Check that clients can be told apart behind a proxy."""
    fix = _proxy_fix(app)
    behind = [name for variable, name in _PROXIED.items() if os.environ.get(variable)]
    advice = (
        "Set app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1), with the number of your "
        "proxies, and make sure that none of them passes on an X-Forwarded-For of the client."
    )
    if fix is not None and fix.x_for:
        yield passed("proxy", f"ProxyFix trusts X-Forwarded-For (x_for={fix.x_for})")
    elif fix is not None or behind:
        where = "ProxyFix has x_for=0" if fix is not None else f"{behind[0]} has a proxy"
        yield failed(
            "proxy",
            f"{where}, so all clients seem to have the proxy's address and share one limit",
            advice,
        )
    elif app.config.get("PREFERRED_URL_SCHEME") == "https":
        yield warned(
            "proxy",
            "there is no ProxyFix, but HTTPS usually ends at a proxy: then all clients seem to "
            "have its address and share one limit",
            f"{advice} If there is no proxy in front of the application, ignore this.",
        )
    else:
        yield passed("proxy", "there is no sign of one")


def _proxy_fix(app: Flask) -> ProxyFix | None:
    """Return the ProxyFix among the middlewares around *app*, or ``None``."""
    layer: object = app.wsgi_app
    for _ in range(_DEEPEST):
        if isinstance(layer, ProxyFix):
            return layer
        inner = getattr(layer, "app", None) or getattr(layer, "wsgi_app", None)
        if inner is None or inner is layer or isinstance(inner, Flask):
            return None
        layer = inner
    return None


POINTS: tuple[Callable[[Flask, AppState], Iterator[Finding]], ...] = (modes, https, proxy)
