"""What other libraries keep private: each test fails when a release takes it away."""

from __future__ import annotations

import ast
import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_jwt_extended import JWTManager
from flask_limiter import Limiter
from limits.storage.mongodb import MongoDBStorageBase

import flask_otp_auth
from flask_otp_auth import compat

PACKAGE = Path(flask_otp_auth.__file__).parent
# Documented in spite of their names: by Flask, Python and marshmallow.
DOCUMENTED = ("_get_current_object", "_replace", "_asdict", "_getframe", "_deserialize")
LOADERS = [
    *("unauthorized", "expired_token", "invalid_token", "revoked_token", "needs_fresh_token"),
    *("user_lookup_error", "user_identity", "user_lookup", "token_in_blocklist"),
]


def the_key() -> str:
    return "the key"


def limiter(**options: Any) -> Limiter:
    app = Flask("limited")
    app.config.update({name: options.pop(name) for name in list(options) if name.isupper()})
    return Limiter(the_key, app=app, storage_uri="memory://", **options)


def test_the_key_function_of_a_limiter_is_known() -> None:
    assert compat.key_function(limiter()) is the_key


def test_a_view_that_a_limiter_has_wrapped_is_known() -> None:
    one, other = limiter(), limiter()
    view = one.limit("1 per day")(the_key)

    assert compat.is_limited(view, one)
    assert not compat.is_limited(view, other)
    assert not compat.is_limited(the_key, one)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, False), ({"swallow_errors": True}, True), ({"RATELIMIT_SWALLOW_ERRORS": True}, True)],
)
def test_a_limiter_that_swallows_errors_is_known(options: dict[str, Any], expected: bool) -> None:
    assert compat.swallows_errors(limiter(**options)) is expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"in_memory_fallback_enabled": True}, True),
        ({"in_memory_fallback": ["1 per day"]}, True),
        ({"RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True}, True),
        ({"RATELIMIT_IN_MEMORY_FALLBACK": "1 per day"}, True),
    ],
)
def test_a_limiter_that_falls_back_to_memory_is_known_and_can_be_kept_from_it(
    options: dict[str, Any], expected: bool
) -> None:
    made = limiter(**options)
    assert compat.falls_back_to_memory(made) is expected
    compat.forbid_memory(made)
    assert compat.falls_back_to_memory(made) is False


@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_of_the_host_is_told_from_the_default(name: str) -> None:
    manager = JWTManager(Flask("host"))
    assert compat.own_loader(manager, name) is None

    def load(*args: Any) -> None: ...

    getattr(manager, f"{name}_loader")(load)
    assert compat.own_loader(manager, name) is load


@pytest.mark.parametrize("name", LOADERS)
def test_every_default_but_that_of_the_user_is_a_function(name: str) -> None:
    assert callable(compat.default_loader(name)) is (name != "user_lookup")


def test_a_storage_of_limits_asks_for_its_client() -> None:
    """Our own storage overrides these, to use the client of the application."""
    assert "_init_mongo_client" in MongoDBStorageBase.__abstractmethods__
    assert isinstance(inspect.getattr_static(MongoDBStorageBase, "storage"), property)
    assert callable(MongoDBStorageBase.__del__)


def test_the_providers_of_apprise_have_what_is_read_from_them() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        apprise = pytest.importorskip("apprise")
        from apprise.decorators.base import CustomNotifyPlugin
        from apprise.manager_plugins import NotificationManager

        manager = NotificationManager()
        manager.load_modules()
        mail = apprise.Apprise.instantiate("mailtos://user:secret@example.com?smtp=localhost")

    assert issubclass(CustomNotifyPlugin, apprise.NotifyBase)
    assert "mailtos" in manager
    assert manager["mailtos"].parse_url("mailtos://user:secret@example.com")["user"] == "user"
    for name in ("from_addr", "headers", "user", "password", "smtp_host", "port", "host"):
        assert hasattr(mail, name)
    for name in ("secure", "secure_mode", "verify_certificate"):
        assert hasattr(mail, name)
    assert mail.targets == [(False, "user@example.com")]


def private_names(path: Path) -> list[str]:
    """Return the private attributes of other objects that a module uses."""
    return [
        f"{path.name}:{node.lineno} {node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in DOCUMENTED
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]


def test_nothing_else_in_the_package_touches_what_others_keep_private() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if path.name != "compat.py"]

    assert len(modules) > 40
    assert [name for path in modules for name in private_names(path)] == []
    assert private_names(PACKAGE / "compat.py")
