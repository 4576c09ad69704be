"""Having ``jwt_required`` refuse tokens that were logged out, beside the application's check."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from flask import Flask, current_app

from .. import flow, tokens
from ..compat import own_loader
from ..state import EXTENSION, AppState
from ..tokens import Claims

BlocklistLoader = Callable[[dict[str, Any], dict[str, Any]], bool]

# The claims that we accept while the loader of the application looks at them.
_accepted: ContextVar[Claims | None] = ContextVar("otp_auth_accepted", default=None)


class _Both:
    """A ``token_in_blocklist_loader`` that asks us, and then that of the application."""

    def __init__(self, host: BlocklistLoader) -> None:
        self.host = host

    def __call__(self, header: dict[str, Any], claims: dict[str, Any]) -> bool:
        return is_logged_out(header, claims) or self.host_refuses(header, claims)

    def host_refuses(self, header: dict[str, Any], claims: dict[str, Any]) -> bool:
        """Ask only the loader of the application, which need not ask us again."""
        mark = _accepted.set(claims)
        try:
            return bool(self.host(header, claims))
        finally:
            _accepted.reset(mark)


def refuse_logged_out(app: Flask) -> None:
    """Make ``jwt_required`` refuse tokens that were logged out."""

    def install() -> None:
        manager = tokens.manager_of(app)
        host = own_loader(manager, "token_in_blocklist")
        if host is None:
            manager.token_in_blocklist_loader(is_logged_out)
        elif host is not is_logged_out and not isinstance(host, _Both):
            manager.token_in_blocklist_loader(_Both(host))

    install()
    # An application may create its JWTManager, or register its loader, after init_app.
    app.before_request_funcs.setdefault(None, []).insert(0, install)


def is_logged_out(_header: Claims, claims: Claims) -> bool:
    """Return whether a token was logged out, as the ``token_in_blocklist_loader``.

    It uses the current application, since several may share a JWTManager.
    """
    if claims is _accepted.get():
        return False
    state: AppState | None = current_app.extensions.get(EXTENSION)
    return state is not None and flow.is_logged_out(state, claims)


def host_refuses(header: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Return whether the application's own ``token_in_blocklist_loader`` refuses a token."""
    loader = own_loader(tokens.manager(), "token_in_blocklist")
    return isinstance(loader, _Both) and loader.host_refuses(header, claims)
