"""The table of what is measured; a row is an app with the settings it runs under."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

REDIS_URI = "{redis}"  # replaced when the server's port is known

CLIENT, IDENTIFIER = "OTP_AUTH_CLIENT_LIMITS", "OTP_AUTH_IDENTIFIER_LIMITS"
LOCKOUT, DISABLE = "OTP_AUTH_LOCKOUT_THRESHOLD", "OTP_AUTH_DISABLE_AFTER"
NO_CLIENT: dict[str, Any] = {CLIENT: None}
NO_IDENTIFIER: dict[str, Any] = {IDENTIFIER: None}
LIMITS_OFF = NO_CLIENT | NO_IDENTIFIER
LOCKOUT_OFF: dict[str, Any] = {LOCKOUT: None, DISABLE: None}
MEMORY: dict[str, Any] = {"RATELIMIT_STORAGE_URI": "memory://"}
REDIS: dict[str, Any] = {"RATELIMIT_STORAGE_URI": REDIS_URI}


@dataclass(frozen=True)
class Target:
    """One row.

    Args:
        name: What the command line calls it.
        title: What the table calls it.
        app: The folder under ``peers/``.
        dialect: How the load client speaks with it.
        runtime: ``python`` for gunicorn, ``node`` for Node.
        environment: The Python environment it runs in; its requirements lie in the app's folder.
        wsgi: What gunicorn loads.
        env: What the app is told.
        node_processes: Processes behind the port, for Node.
        sessions: The collection that grows by one document with every login, if there is one.
        index: A field of it that gets an index before the start.
        seeded: Whether the users must exist before they log in; the app has a ``seed`` then.
        sqlite: Whether its database is a file of SQLite and not mongod's.
        redis: Whether it needs a Redis server.
        returning: Whether its users have signed in an hour before.
    """

    name: str
    title: str
    app: str
    dialect: str
    runtime: str = "python"
    environment: str = "main"
    wsgi: str = "app:app"
    env: Mapping[str, str] = field(default_factory=dict)
    node_processes: int = 1
    sessions: str | None = "otp_sessions"
    index: str | None = None
    seeded: bool = False
    sqlite: bool = False
    redis: bool = False
    returning: bool = False


def _ours(
    name: str, title: str, *options: dict[str, Any], email: bool = False, returning: bool = False
) -> Target:
    """Return a row of this extension: *options* in place of its defaults.

    A row that leaves a limit on is about it, so the version must have it.
    """
    values = {key: value for group in options for key, value in group.items()}
    return Target(
        name,
        f"Flask-OTP-Auth, {title}",
        "ours",
        "otp-email" if email else "otp-sms",
        wsgi="app:create_app()",
        env={
            "BENCH_CONFIG": json.dumps(values),
            "BENCH_REQUIRES": json.dumps(
                [key for key in (CLIENT, IDENTIFIER) if key not in values]
            ),
        },
        redis=REDIS_URI in values.values(),
        returning=returning,
    )


def _flink(name: str, title: str, processes: int, *, index: bool = False) -> Target:
    return Target(
        name,
        f"Node plugin, {title}",
        "flink",
        "otp-sms",
        runtime="node",
        node_processes=processes,
        index="sessionId" if index else None,
    )


def _better_auth(name: str, title: str, processes: int) -> Target:
    return Target(
        name,
        f"better-auth, {title}",
        "better_auth",
        "better-auth",
        runtime="node",
        node_processes=processes,
        sessions="verification",
        seeded=True,
    )


def _django(module: str, title: str, sessions: str, database: str) -> Target:
    return Target(
        module if database == "mongodb" else f"{module}-{database}",
        title,
        "django_apps",
        module,
        environment="django_apps",
        wsgi=f"{module}_app:application",
        env={"BENCH_DJANGO": f"{module}_app", "BENCH_DATABASE": database},
        sessions=sessions,
        seeded=True,
        sqlite=database == "sqlite",
    )


def _limited_floor(name: str, title: str, uri: str) -> Target:
    """Return the floor whose verdict is journaled, with the default rules of clients on it."""
    return Target(
        f"floor-{name}",
        f"Floor, verdict journaled, Flask-Limiter in {title}",
        "floor",
        "otp-sms",
        env={"BENCH_JOURNAL": "1", "BENCH_LIMITS": uri},
        redis=uri == REDIS_URI,
    )


FLOORS = (
    Target("floor", "Floor", "floor", "otp-sms"),
    Target(
        "floor-journal",
        "Floor, verdict journaled",
        "floor",
        "otp-sms",
        env={"BENCH_JOURNAL": "1"},
    ),
)
PROTECTED_FLOORS = (
    Target(
        "floor-accounts",
        "Floor, verdict journaled, accounts protected",
        "floor",
        "otp-sms",
        env={"BENCH_JOURNAL": "1", "BENCH_ACCOUNTS": "1"},
    ),
)
LIMITED_FLOORS = (
    _limited_floor("mongodb", "MongoDB", "mongodb"),
    _limited_floor("redis", "Redis", REDIS_URI),
    _limited_floor("memory", "memory", "memory://"),
)

TARGETS = (
    *FLOORS,
    *PROTECTED_FLOORS,
    *LIMITED_FLOORS,
    _ours("ours-bare", "limits and lockout off", LIMITS_OFF, LOCKOUT_OFF),
    _ours("ours", "accounts protected, clients not limited", NO_CLIENT),
    _ours("ours-email", "the same, by e-mail", NO_CLIENT, email=True),
    _ours("ours-again", "the same, users who come back within the day", NO_CLIENT, returning=True),
    _ours("ours-mongodb", "all defaults, clients counted in MongoDB"),
    _ours("ours-redis", "all defaults, clients counted in Redis", REDIS),
    _ours("ours-memory", "all defaults, clients counted in memory", MEMORY),
    _flink("node", "as shipped, 1 process", 1),
    _flink("node-2", "as shipped, 2 processes", 2),
    _flink("node-index", "index added, 1 process", 1, index=True),
    _flink("node-index-2", "index added, 2 processes", 2, index=True),
    Target(
        "flask-security",
        "Flask-Security, unified sign-in",
        "flask_security",
        "flask-security",
        environment="flask_security",
        sessions=None,
        seeded=True,
    ),
    _django("drfpasswordless", "drfpasswordless", "drfpasswordless_callbacktoken", "mongodb"),
    _django(
        "drfpasswordless",
        "drfpasswordless on SQLite",
        "drfpasswordless_callbacktoken",
        "sqlite",
    ),
    _django("allauth", "django-allauth, login by code", "django_session", "mongodb"),
    _django("allauth", "django-allauth, login by code on SQLite", "django_session", "sqlite"),
    _better_auth("better-auth", "1 process", 1),
    _better_auth("better-auth-2", "2 processes", 2),
)

# What each safety costs: each row differs from "accounts" or "default" in what its title says.
VARIANTS = (
    *FLOORS,
    *PROTECTED_FLOORS,
    _ours("bare", "limits and lockout off", LIMITS_OFF, LOCKOUT_OFF),
    _ours("lockout", "lockout alone", LIMITS_OFF),
    _ours("accounts", "accounts protected", NO_CLIENT),
    _ours("by-email", "accounts protected, by e-mail", NO_CLIENT, email=True),
    _ours(
        "refresh", "accounts protected, refresh token", NO_CLIENT, {"OTP_AUTH_REFRESH_TOKEN": True}
    ),
    _ours("default", "all defaults, clients counted in MongoDB"),
    _ours("default-redis", "all defaults, clients counted in Redis", REDIS),
    _ours("default-memory", "all defaults, clients counted in memory", MEMORY),
)


def choose(names: str | None) -> list[Target]:
    """Return the rows called *names* (separated by commas; a trailing ``*`` is any ending)."""
    if names is None:
        return list(TARGETS)
    chosen = []
    for name in names.split(","):
        stem = name.removesuffix("*")
        found = [
            target
            for target in TARGETS
            if target.name == name or (stem != name and target.name.startswith(stem))
        ]
        if not found:
            raise SystemExit(f"no target {name!r}; there are {', '.join(t.name for t in TARGETS)}")
        chosen.extend(found)
    return chosen
