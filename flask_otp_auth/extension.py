"""FlaskOtpAuth: ``init_app``, which puts the layers together for one application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bson import Decimal128, ObjectId
from flask import Flask
from flask_limiter import Limiter
from flask_pymongo import PyMongo

from . import cli, findings, openapi, tokens
from .api import PythonApi
from .exceptions import ConfigurationError
from .findings.options import options_in
from .handlers import HandlerDecorators, Handlers
from .http import views
from .http.blocklist import refuse_logged_out
from .http.client_limits import limiter_for
from .http.json_text import json_form
from .http.limited_views import LimitedViews, View
from .settings import Settings, read_settings
from .settings.keys import require_jwt_key
from .state import EXTENSION, AppState, build_state
from .store.database import close_with, connect, database_of

# So that the floor of HTTP needs no type of the database.
for _type in (ObjectId, Decimal128):
    json_form.register(_type, str)


class FlaskOtpAuth(HandlerDecorators, PythonApi):
    """Sign in with a one-time code sent by SMS or email.

    An instance keeps the handlers. Everything that depends on configuration is kept on the
    application, so one instance can serve several applications.

    :param app: an application to initialise at once; otherwise call :meth:`init_app` later.
    :param mongo: see :meth:`init_app`.
    :param limiter: see :meth:`init_app`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        mongo: PyMongo | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self._handlers = Handlers()
        self._limited_views = LimitedViews()
        if app is not None:
            self.init_app(app, mongo=mongo, limiter=limiter)

    def init_app(
        self, app: Flask, *, mongo: PyMongo | None = None, limiter: Limiter | None = None
    ) -> None:
        """Check the options of *app*, and register the endpoints and the ``flask otp`` commands.

        The database is not used before the first request.

        :param app: the application.
        :param mongo: the initialised PyMongo of *app*. Without it, one is created from
            ``MONGO_URI``, and the JSON provider of *app* is left as it is.
        :param limiter: the Limiter for the rules of ``OTP_AUTH_CLIENT_LIMITS``; it may be
            initialised later. Without it, the Limiter of *app* is used if there is exactly one.
            Otherwise one is created that counts in the same MongoDB database, or in
            ``RATELIMIT_STORAGE_URI``.
        :raises ConfigurationError: an option is missing, unknown or not allowed; the error names
            its key.
        :raises RuntimeError: *app* has been initialised before.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError(
                "Flask-OTP-Auth has been initialised on this app before; "
                "use that FlaskOtpAuth, or call init_app only once."
            )
        settings = read_settings(app.config)
        if settings.sms_urls or settings.email_urls:
            from .delivery.providers import require_usable_urls

            require_usable_urls(settings)
        if not self._handlers.makes_own_tokens:
            require_jwt_key(app.config)
        close = None
        if mongo is None:
            mongo = connect(app)
            close = close_with(app, mongo)
        try:
            state = self._new_state(app, settings, mongo, limiter, close)
        except ConfigurationError:
            if close is not None:
                close()
            raise
        if state.limiter is not None:
            self._limited_views.attach(state.limiter)
        refuse_logged_out(app)
        app.extensions[EXTENSION] = state
        cli.register(app)
        # Not by app.before_request, which refuses an application that has served a request.
        before_request = findings.announce_at_start(app, state)
        before_requests = app.before_request_funcs.setdefault(None, [])
        before_requests += [before_request, self._limited_views.require_effect(app)]

    def _new_state(
        self,
        app: Flask,
        settings: Settings,
        mongo: PyMongo,
        limiter: Limiter | None,
        close: Callable[[], object] | None,
    ) -> AppState:
        """Return the state of *app*, with its Limiter, JWTManager and endpoints made."""
        database = database_of(mongo)
        given = options_in(app)
        state = build_state(
            settings, self, self._handlers, mongo, database, close=close, given=given
        )
        tokens.ensure_manager(app)
        state = replace(state, limiter=limiter_for(app, limiter, state))
        if settings.register_routes:
            views.register(app, state)
            if settings.openapi:
                openapi.serve(app, settings.url_prefix)
        return state

    def limit_client(self, view: View) -> View:
        """Decorate a view of the application that calls :meth:`initiate` or :meth:`resend`.

        The rules of ``OTP_AUTH_CLIENT_LIMITS`` apply to it, and it is counted together with the
        endpoints. A client over a limit gets the application's answer to a 429
        (``flask_limiter.RateLimitExceeded``), with ``Retry-After``::

            @app.post("/sign-in")
            @otp.limit_client
            def sign_in(): ...

        Below the decorator of the route, as here: above it, the first request is refused with a
        ConfigurationError, since the route would not have the limits.

        :param view: a plain or an ``async`` view function.
        :returns: the view with the limits, which can be registered as a route.
        """
        return self._limited_views.add(view)

    def close(self, app: Flask) -> None:
        """Wait until no code is being sent in the background, and close the connections of *app*.

        Call this in tests and scripts that create many applications. Otherwise there is no need
        to, since the connections are closed when the process ends. A PyMongo that was given to
        :meth:`init_app` stays open. Without one, *app* cannot be used for sign-ins afterwards.

        :param app: an application that this instance has been initialised on.
        :raises RuntimeError: this instance has not been initialised on *app*.
        """
        state = self._state_of(app)
        if state.background is not None:
            state.background.drain()
        if state.close is not None:
            state.close()
