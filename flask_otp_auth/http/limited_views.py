"""``otp.limit_client``: the limits on clients, on views of the application that send codes."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper, wraps
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary, WeakSet

from flask import Flask, Response, after_this_request, current_app
from flask_limiter import Limiter, RateLimitExceeded
from limits import RateLimitItem

from .. import compat, events
from ..exceptions import ConfigurationError, ServiceUnavailable
from ..findings.limits import LIMITED
from ..state import state_of
from ..store.database import RETRY_AFTER
from .client_limits import (
    exceeded_rule,
    is_ours,
    limited,
    require_initialised,
    storage_failed,
    wait_of,
)

View = TypeVar("View", bound=Callable[..., Any])


class LimitedViews:
    """The views of applications that are under the limits on clients.

    A view may be decorated before or after ``init_app``, and belong to several applications.
    """

    def __init__(self) -> None:
        self._views: list[_LimitedView] = []
        self._limiters: WeakSet[Limiter] = WeakSet()

    def add(self, view: View) -> View:
        """Return *view* with the limits of whichever application it is called in."""
        limited_view = _LimitedView(view)
        self._views.append(limited_view)
        for limiter in self._limiters:
            limited_view.attach(limiter)

        @wraps(view)
        def checked(*args: Any, **values: Any) -> Any:
            return limited_view(*args, **values)

        setattr(checked, LIMITED, True)
        return cast(View, checked)

    def attach(self, limiter: Limiter) -> None:
        """Have *limiter* know the views, so that ``flask limiter limits`` lists them."""
        self._limiters.add(limiter)
        for view in self._views:
            view.attach(limiter)

    def require_effect(self, app: Flask) -> Callable[[], None]:
        """Return what has to run before each request, and looks at the views before the first.

        It raises a ConfigurationError if a decorator stands above that of the route, which then
        has the view without limits.
        """
        is_pending = [True]

        def check() -> None:
            if not is_pending:
                return
            for limited_view in self._views:
                if limited_view.view in app.view_functions.values():
                    name = getattr(limited_view.view, "__qualname__", limited_view.view)
                    raise ConfigurationError(
                        "limit_client", f"does not limit {name}: put it below the route's decorator"
                    )
            is_pending.clear()

        return check


class _LimitedView:
    def __init__(self, view: Callable[..., Any]) -> None:
        self.view = view
        self._checks: WeakKeyDictionary[Limiter, Callable[[], object]] = WeakKeyDictionary()

    def attach(self, limiter: Limiter) -> None:
        if limiter in self._checks:
            return

        def check() -> None:
            """Be called if the rules admit the request."""

        # Flask-Limiter knows rules by the name of their view.
        update_wrapper(check, self.view, ("__module__", "__name__", "__qualname__"), ())
        self._checks[limiter] = limited(check, limiter)

    def __call__(self, *args: Any, **values: Any) -> Any:
        limiter = state_of(current_app).limiter
        try:
            if limiter is not None:
                self._check(limiter)
            return current_app.ensure_sync(self.view)(*args, **values)
        except RateLimitExceeded as error:
            if limiter is not None and (rule := exceeded_rule(limiter)) is not None:
                _complete(error, rule, wait_of(limiter))
            raise

    def _check(self, limiter: Limiter) -> None:
        """Have the rules admit the request, unless a decorator of Flask-Limiter does it.

        :raises RateLimitExceeded: a rule refuses the client.
        :raises ServiceUnavailable: the storage of *limiter* is away.
        """
        if current_app.config.get("RATELIMIT_ENABLED", True):
            require_initialised(current_app, limiter)
        inside = compat.is_limited(self.view, limiter)
        if inside or any(map(is_ours, limiter.current_limits)):
            return
        try:
            self._checks[limiter]()
        except RateLimitExceeded:
            raise
        except Exception as error:
            if not storage_failed(limiter, error):
                raise
            away = ServiceUnavailable(retry_after=RETRY_AFTER)
            raise events.failed(away, "client limits: their storage failed", error) from None


def _complete(error: RateLimitExceeded, rule: RateLimitItem, wait: int | None) -> None:
    """Report a refusal, and have the answer say the wait, whoever makes it."""
    events.client_refused(rule)
    error.retry_after = wait

    @after_this_request
    def tell(response: Response) -> Response:
        if wait is not None and response.status_code == error.code:
            response.headers.setdefault("Retry-After", str(wait))
        return response
