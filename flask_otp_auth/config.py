"""Every option in one table, read once from ``app.config`` into one frozen, validated Settings."""

from __future__ import annotations

import difflib
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .exceptions import ConfigurationError, SecurityWarning
from .types import Method

PREFIX = "OTP_AUTH_"
METHODS: tuple[Method, ...] = ("sms", "email")
KEY_BYTES = 32  # RFC 2104, section 3: a shorter key than the digest weakens the HMAC
_TTL_INDEX_MAX = 2**31 - 1
_NAMESPACE_MAX = 200


class _NotAllowedError(ValueError):
    """The value of one option is not allowed; the text says why."""


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table of options.

    :param name: the key in ``app.config`` after ``OTP_AUTH_``.
    :param default: the value where the key is absent.
    :param allowed: the allowed values in words, for the error.
    :param read: returns the value as Settings holds it, or raises ``_NotAllowedError``.
    """

    name: str
    default: Any
    allowed: str
    read: Callable[[Any], Any]

    @property
    def key(self) -> str:
        """The whole key in ``app.config``."""
        return PREFIX + self.name


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int:
            raise _NotAllowedError(f"is a {type(value).__name__}")
        if not low <= value <= high:
            raise _NotAllowedError(f"is {value}")
        return value

    return read


def _seconds(value: Any) -> float:
    if type(value) not in (int, float):
        raise _NotAllowedError(f"is a {type(value).__name__}")
    if not (math.isfinite(value) and value > 0):
        raise _NotAllowedError(f"is {value}")
    return float(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise _NotAllowedError(f"is a {type(value).__name__}")
    return value


def _collection(value: Any) -> str:
    if not isinstance(value, str):
        raise _NotAllowedError(f"is a {type(value).__name__}")
    if (
        not re.fullmatch(r"[^$\0.]+(\.[^$\0.]+)*", value)
        or value.startswith("system.")
        or len(value.encode(errors="replace")) > _NAMESPACE_MAX
    ):
        raise _NotAllowedError(f"is {value!r}")
    return value


def _url_prefix(value: Any) -> str:
    if not isinstance(value, str):
        raise _NotAllowedError(f"is a {type(value).__name__}")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", value):
        raise _NotAllowedError(f"is {value!r}")
    return value.rstrip("/")


def _methods(value: Any) -> tuple[Method, ...]:
    if not isinstance(value, list | tuple | set | frozenset):
        raise _NotAllowedError(f"is a {type(value).__name__}")
    if not value or not all(item in METHODS for item in value):
        raise _NotAllowedError(f"is {value!r}")
    return tuple(method for method in METHODS if method in value)


def _key_material(value: Any) -> tuple[bytes, ...] | None:
    if value is None:
        return None
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        raise _NotAllowedError("is an empty list")
    return tuple(_key_bytes(item) for item in values)


def _key_bytes(value: Any) -> bytes:
    if not isinstance(value, str | bytes):
        raise _NotAllowedError(f"has a {type(value).__name__} in it")
    key = value.encode() if isinstance(value, str) else value
    if len(key) < KEY_BYTES:
        raise _NotAllowedError(f"has a key of {len(key)} bytes")
    return key


def _region(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _NotAllowedError(f"is a {type(value).__name__}")
    try:
        import phonenumbers
    except ImportError:
        raise _NotAllowedError(
            "needs the phonenumbers package: pip install 'flask-otp-auth[phone]'"
        ) from None
    if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise _NotAllowedError(f"is {value!r}")
    return value.upper()


OPTIONS: tuple[Option, ...] = (
    Option("CODE_LENGTH", 6, "an integer from 4 to 8", _integer(4, 8)),
    Option("CODE_TTL", 300, "an integer of seconds from 1 to 3600", _integer(1, 3600)),
    Option("MAX_ATTEMPTS", 3, "an integer from 1 to 10", _integer(1, 10)),
    Option(
        "KEEP_SESSIONS",
        86400,
        f"an integer of seconds above OTP_AUTH_CODE_TTL and up to {_TTL_INDEX_MAX}",
        _integer(1, _TTL_INDEX_MAX),
    ),
    Option("COLLECTION", "otp_sessions", "the name of a MongoDB collection", _collection),
    Option("REGISTER_ROUTES", True, "True or False", _flag),
    Option("URL_PREFIX", "/otp", "a path such as '/otp'", _url_prefix),
    Option("METHODS", METHODS, "a list with 'sms', 'email' or both", _methods),
    Option(
        "SECRET_KEY",
        None,
        f"a str or bytes of at least {KEY_BYTES} bytes, or a list of them, newest first",
        _key_material,
    ),
    Option("DEFAULT_REGION", None, "None or an ISO 3166-1 country code such as 'SE'", _region),
    Option("REFRESH_TOKEN", False, "True or False", _flag),
    Option("DB_TIMEOUT", 3, "a number of seconds above 0", _seconds),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The validated options of one application; times are in seconds.

    Each attribute is the option of the same name in lower case; ``secret_keys`` is the key
    material, newest first, whether given or taken from ``SECRET_KEY``.
    """

    code_length: int
    code_ttl: int
    max_attempts: int
    keep_sessions: int
    collection: str
    register_routes: bool
    url_prefix: str
    methods: tuple[Method, ...]
    default_region: str | None
    refresh_token: bool
    db_timeout: float
    secret_keys: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Read and check every option.

        :param config: ``app.config``; it is not written to.
        :raises ConfigurationError: an option is unknown or not allowed; the error names its key.
        """
        _refuse_unknown(config)
        values = {option.name.lower(): _read(option, config) for option in OPTIONS}
        values["secret_keys"] = values.pop("secret_key") or _app_secrets(config)
        settings = cls(**values)
        settings._check_together()
        settings._warn()
        return settings

    def _check_together(self) -> None:
        if self.keep_sessions <= self.code_ttl:
            raise ConfigurationError(
                "OTP_AUTH_KEEP_SESSIONS",
                f"is {self.keep_sessions}; it must be above OTP_AUTH_CODE_TTL ({self.code_ttl})",
            )

    def _warn(self) -> None:
        if self.code_length < 6:
            warn(f"OTP_AUTH_CODE_LENGTH is {self.code_length}: use 6 digits or more")
        if not 30 <= self.code_ttl <= 600:
            warn(
                f"OTP_AUTH_CODE_TTL is {self.code_ttl}: below 30 seconds people miss the code, "
                "above 600 it lies about for longer than NIST SP 800-63B allows"
            )


def warn(message: str) -> None:
    """Give a SecurityWarning that points at the host's call of ``init_app``."""
    warnings.warn(message, SecurityWarning, stacklevel=5)


def _refuse_unknown(config: Mapping[str, Any]) -> None:
    known = [option.key for option in OPTIONS]
    for key in config:
        if key.startswith(PREFIX) and key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
            raise ConfigurationError(key, f"is not an option of Flask-OTP-Auth{hint}")


def _read(option: Option, config: Mapping[str, Any]) -> Any:
    try:
        return option.read(config.get(option.key, option.default))
    except _NotAllowedError as fault:
        raise ConfigurationError(option.key, f"{fault}; allowed is {option.allowed}") from None


def _app_secrets(config: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the key material that an application has for its own signatures, newest first."""
    newest = config.get("SECRET_KEY")
    if not newest:
        raise ConfigurationError(
            "SECRET_KEY",
            "is not set: set it, or OTP_AUTH_SECRET_KEY, to a random value of at least "
            f"{KEY_BYTES} bytes (python -c 'import secrets; print(secrets.token_hex())')",
        )
    older = config.get("SECRET_KEY_FALLBACKS") or []
    keys = []
    for key, value in [("SECRET_KEY", newest)] + [("SECRET_KEY_FALLBACKS", old) for old in older]:
        if not isinstance(value, str | bytes):
            raise ConfigurationError(key, f"has a {type(value).__name__}; it must be str or bytes")
        keys.append(value.encode() if isinstance(value, str) else value)
    if len(keys[0]) < KEY_BYTES:
        warn(
            f"SECRET_KEY has {len(keys[0])} bytes: who reads the database can guess it and with "
            f"it the codes; use {KEY_BYTES} random bytes or more"
        )
    return tuple(keys)


def require_jwt_key(config: Mapping[str, Any]) -> None:
    """Check the key of Flask-JWT-Extended now, since it only looks when a token is made.

    :raises ConfigurationError: there is no key for ``JWT_ALGORITHM``.
    """
    symmetric = str(config.get("JWT_ALGORITHM", "HS256")).startswith("HS")
    if not symmetric:
        if not config.get("JWT_PRIVATE_KEY"):
            raise ConfigurationError(
                "JWT_PRIVATE_KEY",
                f"is not set, and JWT_ALGORITHM {config['JWT_ALGORITHM']} signs with it",
            )
        return
    name = "JWT_SECRET_KEY" if config.get("JWT_SECRET_KEY") else "SECRET_KEY"
    key = cast("str | bytes | None", config.get(name))
    if not key:
        raise ConfigurationError(
            "JWT_SECRET_KEY",
            "is not set and neither is SECRET_KEY, so no token can be signed: set one, or "
            "register a verify_success_handler before init_app",
        )
    length = len(key.encode() if isinstance(key, str) else key)
    if length < KEY_BYTES:
        warn(
            f"{name} has {length} bytes: who holds one token can search for it; "
            f"use {KEY_BYTES} random bytes or more (RFC 7518, section 3.2)"
        )
