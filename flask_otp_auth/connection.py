"""The PyMongo of an app that provides none: created from ``MONGO_URI``, closed with the app."""

from __future__ import annotations

import weakref
from typing import Any

import pymongo
from flask import Flask
from flask_pymongo import PyMongo

from .exceptions import ConfigurationError

_CLOSE_TIMEOUT = 1  # seconds; the server ends the sessions of the driver by itself later


def connect(app: Flask) -> PyMongo:
    """Return a PyMongo for ``MONGO_URI``, which connects on first use.

    :raises ConfigurationError: ``MONGO_URI`` is missing, or PyMongo does not accept it.
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
    # PyMongo replaces the JSON provider of the whole application. If the application does not use
    # PyMongo itself, its views do not expect that.
    app.json = provider
    return mongo


def close_with(app: Flask, mongo: PyMongo) -> weakref.finalize[[Any], Flask]:
    """Close the connections of *mongo* when *app* is garbage collected or the process ends.

    :returns: a function that closes them at once.
    """
    return weakref.finalize(app, _close, mongo.cx)


def _close(client: Any) -> None:
    with pymongo.timeout(_CLOSE_TIMEOUT):
        client.close()
