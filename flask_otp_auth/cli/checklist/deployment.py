"""The points about how the app is served."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from ...state import AppState
from .point import Point, failed, passed, warned

# Each is set where the platform puts a proxy before the app: Heroku, Kubernetes, Fly, Render,
# Railway, Cloud Run, Azure App Service, AWS Elastic Container Service, App Runner and Lambda.
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
_DEBUG = "otp_auth_debug"


def remember_debug(app: Flask) -> None:
    """Keep what the host says of debug mode, since ``flask`` overrides it by ``FLASK_DEBUG``."""
    app.extensions[_DEBUG] = app.debug


def modes(app: Flask, _: AppState) -> Iterator[Point]:
    """See that there is no debugger, and no setting that is for tests."""
    for name, is_on in (("debug", app.debug or app.extensions[_DEBUG]), ("testing", app.testing)):
        if is_on:
            yield failed(
                f"{name} mode",
                "it is on",
                f"Take {name.upper()} out of the configuration and of the environment (FLASK_).",
            )
        else:
            yield passed(f"{name} mode", "it is off")


def https(app: Flask, _: AppState) -> Iterator[Point]:
    """See that codes and tokens go over HTTPS alone."""
    scheme = app.config.get("PREFERRED_URL_SCHEME")
    if scheme != "https":
        yield warned(
            "HTTPS",
            f"PREFERRED_URL_SCHEME is {scheme!r}: codes and tokens must not go over plain HTTP",
            'Serve HTTPS alone, and set PREFERRED_URL_SCHEME to "https".',
        )
    else:
        yield passed("HTTPS", "PREFERRED_URL_SCHEME is https")


def proxy(app: Flask, _: AppState) -> Iterator[Point]:
    """See that clients are told apart behind a proxy."""
    fix = _proxy_fix(app)
    behind = [name for variable, name in _PROXIED.items() if os.environ.get(variable)]
    what_to_do = (
        "Wrap the app: app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1), with the number "
        "of your proxies, and see that none of them passes a client's own X-Forwarded-For on."
    )
    if fix is not None and fix.x_for:
        yield passed("proxy", f"ProxyFix takes the address from {fix.x_for} X-Forwarded-For")
    elif fix is not None or behind:
        where = "ProxyFix has x_for=0" if fix is not None else f"the app is behind {behind[0]}"
        yield failed(
            "proxy",
            f"{where}, so all clients seem to have the proxy's address and share one limit",
            what_to_do,
        )
    elif app.config.get("PREFERRED_URL_SCHEME") == "https":
        yield warned(
            "proxy",
            "there is no ProxyFix, and HTTPS usually ends at a proxy: then all clients seem to "
            "have its address and share one limit",
            what_to_do + " Without a proxy in front of the app, nothing is wrong.",
        )
    else:
        yield passed("proxy", "nothing says that there is one")


def _proxy_fix(app: Flask) -> ProxyFix | None:
    """Return the ProxyFix among the middlewares around *app*, which keep each other as ``app``."""
    layer: object = app.wsgi_app
    for _ in range(_DEEPEST):
        if isinstance(layer, ProxyFix):
            return layer
        inner = getattr(layer, "app", None) or getattr(layer, "wsgi_app", None)
        if inner is None or inner is layer or isinstance(inner, Flask):
            return None
        layer = inner
    return None


POINTS: tuple[Callable[[Flask, AppState], Iterator[Point]], ...] = (modes, https, proxy)
