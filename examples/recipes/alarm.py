"""An alarm when something unusual happens: many refusals, many locks, or many codes to one prefix.

It listens to the signals. Each process counts for itself, so an alarm of four processes comes when
one of them has seen enough; a metric that all of them feed is better where you have one. Run it
with ``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` set::

    flask --app examples/recipes/alarm.py run
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.signals import code_sent, identifier_locked, rate_limited

Alarm = Callable[[str, int], None]


class Alarms:
    """Counts events, and raises an alarm when a bound is reached within a time window.

    :param raise_alarm: a function that receives what happened and how often.
    :param bounds: how often an event may happen, by the first word of its name.
    :param window: the length of the time window in seconds.
    """

    def __init__(self, raise_alarm: Alarm, bounds: Mapping[str, int], window: float) -> None:
        self._raise_alarm = raise_alarm
        self._bounds = bounds
        self._window = window
        self._times: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def count(self, what: str) -> None:
        """Count one event."""
        bound, now = self._bounds[what.partition(" ")[0]], time.time()
        with self._lock:
            # There are many prefixes, so forget the old names before they fill the memory.
            if len(self._times) > 10_000:
                self._times.clear()
            times = self._times.setdefault(what, deque(maxlen=bound))
            times.append(now)
            is_reached = len(times) == bound and now - times[0] <= self._window
            if is_reached:
                times.clear()
        if is_reached:
            self._raise_alarm(what, bound)

    def connect(self, app: Flask) -> None:
        """Listen to the signals of *app*."""

        def sent(app: Flask, *, identifier: str | None, method: str, **_: Any) -> None:
            if method == "sms" and identifier:
                self.count(f"sent to {identifier[:4]}")  # masked, but it has the country code

        def refused(app: Flask, *, reason: str, bound: str | None = None, **_: Any) -> None:
            self.count(f"refused by {reason} {bound or ''}".rstrip())

        def locked(app: Flask, *, reason: str, **_: Any) -> None:
            self.count(f"locked {reason}")

        # weak=False, since nothing else refers to these functions.
        code_sent.connect(sent, app, weak=False)
        rate_limited.connect(refused, app, weak=False)
        identifier_locked.connect(locked, app, weak=False)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build an application with alarms."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(BOUNDS={"sent": 200, "refused": 100, "locked": 20}, WINDOW=600)
    app.config.from_mapping(config)

    def raise_alarm(what: str, count: int) -> None:
        app.logger.critical("alarm: %s, %s times", what, count)  # call whoever is on duty here

    Alarms(raise_alarm, app.config["BOUNDS"], app.config["WINDOW"]).connect(app)
    otp = FlaskOtpAuth(app)

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> dict[str, str]:
        return {"id": identifier}

    return app
