"""What both Django peers share: settings, the database, and the code's way out."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse

SECRET = "a secret of the benchmark, 32 bytes or more"
CODE_TTL = 300

sent = threading.local()


class HandOver:
    """Puts the code that was sent during a request into the header of its answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer *request*."""
        sent.code = None
        response = self.get_response(request)
        if sent.code is not None:
            response["X-Bench-Code"] = sent.code
        return response


def configure(apps: list[str], middleware: list[str], **more: Any) -> None:
    """Set Django up: no logs, no admin, no translation, one database."""
    sqlite = os.environ.get("BENCH_DATABASE") == "sqlite"
    settings.configure(
        SECRET_KEY=SECRET,
        ALLOWED_HOSTS=["127.0.0.1", ""],
        USE_TZ=True,
        USE_I18N=False,
        LOGGING_CONFIG=None,
        INSTALLED_APPS=[
            "django.contrib.auth" if sqlite else "configs.Auth",
            "django.contrib.contenttypes" if sqlite else "configs.ContentTypes",
            "people",
            *apps,
        ],
        AUTH_USER_MODEL="people.User",
        MIDDLEWARE=["base.HandOver", *middleware],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField" if sqlite else OBJECT_ID,
        MIGRATION_MODULES=_NoMigrations(),
        DATABASES={"default": _sqlite() if sqlite else _mongodb()},
        **more,
    )
    django.setup()
    logging.getLogger("django.request").setLevel(logging.ERROR)


OBJECT_ID = "django_mongodb_backend.fields.ObjectIdAutoField"


def _mongodb() -> dict[str, Any]:
    uri = urlsplit(os.environ["BENCH_MONGO_URI"])
    return {
        "ENGINE": "django_mongodb_backend",
        "HOST": f"{uri.scheme}://{uri.netloc}",
        "NAME": uri.path.lstrip("/"),
    }


def _sqlite() -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": database_file(),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def database_file() -> Path:
    """Return the file of the SQLite database."""
    return Path(os.environ["BENCH_WORK"]) / f"{os.environ['BENCH_DJANGO']}.sqlite3"


class _NoMigrations:
    """Tells Django that no app has migrations: the tables are made from the models."""

    def __contains__(self, app: str) -> bool:
        return True

    def __getitem__(self, app: str) -> None:
        return None
