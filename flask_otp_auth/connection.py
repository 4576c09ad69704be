"""The PyMongo of an app that brings none: made from ``MONGO_URI``, and closed with the app."""

from __future__ import annotations

import weakref
from typing import Any

import pymongo
from flask import Flask
from flask_pymongo import PyMongo

from .exceptions import ConfigurationError

_CLOSE_TIMEOUT = 1  # seconds; the sessions of the driver lapse by themselves


def connect(app: Flask) -> PyMongo:
    """Return a PyMongo for ``MONGO_URI``; nothing is sent before its first use.

    :raises ConfigurationError: ``MONGO_URI`` is missing or not accepted.
    """
    if not app.config.get("MONGO_URI"):
        raise ConfigurationError(
            "MONGO_URI",
            "is not set: set it to mongodb://host:port/DATABASE, "
            "or give init_app the PyMongo of the app",
        )
    provider = app.json
    try:
        mongo = PyMongo(app)
    except Exception as error:
        raise ConfigurationError(
            "MONGO_URI", f"is not accepted by PyMongo ({type(error).__name__})"
        ) from None
    # PyMongo replaces the JSON provider of the whole app, which a host that did not ask for
    # PyMongo does not expect of its own views.
    app.json = provider
    return mongo


def close_with(app: Flask, mongo: PyMongo) -> weakref.finalize[[Any], Flask]:
    """Have the connections of *mongo* closed when *app* is gone, or when the process ends.

    :returns: a function that closes them now.
    """
    return weakref.finalize(app, _close, mongo.cx)


def _close(client: Any) -> None:
    with pymongo.timeout(_CLOSE_TIMEOUT):
        client.close()
