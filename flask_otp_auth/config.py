"""The table of all options, and Settings: their values, read from ``app.config`` and validated."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limits import RateLimitItem

from . import delivery_options as delivery
from . import option_values as read
from .exceptions import ConfigurationError
from .keys import KEY_BYTES, app_secrets
from .option_values import METHODS
from .security_warnings import warn
from .test_identifiers import FixedCode
from .test_identifiers import read as read_fixed_codes
from .types import Method

PREFIX = "OTP_AUTH_"
_TTL_INDEX_MAX = 2**31 - 1
_DEVICE_LIFETIME_MAX = 10 * 366 * 86400
DAY = 86400  # seconds


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table of options.

    :param name: the key in ``app.config`` without ``OTP_AUTH_``.
    :param default: the value if the key is missing.
    :param allowed: the allowed values in words, for error messages.
    :param read: takes the value and returns it as Settings holds it, or raises
        ``NotAllowedError``.
    """

    name: str
    default: Any
    allowed: str
    read: Callable[[Any], Any]

    @property
    def key(self) -> str:
        """The full key in ``app.config``."""
        return PREFIX + self.name


OPTIONS: tuple[Option, ...] = (
    Option("CODE_LENGTH", 6, "an integer from 4 to 8", read.integer(4, 8)),
    Option("CODE_TTL", 300, "an integer of seconds from 1 to 3600", read.integer(1, 3600)),
    Option("MAX_ATTEMPTS", 3, "an integer from 1 to 10", read.integer(1, 10)),
    Option(
        "KEEP_SESSIONS",
        86400,
        f"an integer of seconds above OTP_AUTH_CODE_TTL and up to {_TTL_INDEX_MAX}",
        read.integer(1, _TTL_INDEX_MAX),
    ),
    Option("COLLECTION", "otp_sessions", "the name of a MongoDB collection", read.collection_name),
    Option("REGISTER_ROUTES", True, "True or False", read.flag),
    Option("URL_PREFIX", "/otp", "a path such as '/otp'", read.url_prefix),
    Option("METHODS", METHODS, "a list with 'sms', 'email' or both", read.methods),
    Option(
        "SECRET_KEY",
        None,
        f"a str or bytes of at least {KEY_BYTES} bytes, or a list of them, newest first",
        read.key_material,
    ),
    Option(
        "CLIENT_LIMITS",
        "10 per 15 minutes; 100 per day",
        "None or text such as '10 per 15 minutes; 100 per day'",
        read.limits,
    ),
    Option(
        "IDENTIFIER_LIMITS",
        "1 per 30 seconds; 5 per 15 minutes; 20 per day",
        "None or text such as '1 per 30 seconds; 20 per day', with at most 1000 codes per rule",
        read.account_limits,
    ),
    Option(
        "LOCKOUT_THRESHOLD",
        6,
        "None or an integer of failures, OTP_AUTH_MAX_ATTEMPTS or more",
        read.or_none(read.integer(1, 10_000)),
    ),
    Option(
        "DISABLE_AFTER",
        100,
        "None or an integer of failures above OTP_AUTH_LOCKOUT_THRESHOLD",
        read.or_none(read.integer(1, 1_000_000)),
    ),
    Option(
        "TRUSTED_DEVICES",
        None,
        f"None or an integer of seconds from 1 to {_DEVICE_LIFETIME_MAX}",
        read.or_none(read.integer(1, _DEVICE_LIFETIME_MAX)),
    ),
    Option(
        "PHONE_REGIONS",
        None,
        "None or a list of ISO 3166-1 country codes such as ['SE', 'NO']",
        read.regions,
    ),
    Option("MAX_RESENDS", 2, "an integer from 0 to 100", read.integer(0, 100)),
    Option("SEND_TO_UNKNOWN", True, "True or False", read.flag),
    Option("SEND_IN_BACKGROUND", False, "True or False", read.flag),
    Option("DEFAULT_REGION", None, "None or an ISO 3166-1 country code such as 'SE'", read.region),
    Option("REFRESH_TOKEN", False, "True or False", read.flag),
    Option("OPENAPI", False, "True or False", read.flag),
    Option("LOGIN_PAGE", False, "True or False", read.flag),
    Option("LOGIN_REDIRECT", "/", "a path of the same site such as '/'", read.site_path),
    Option(
        "REFRESH_LIFETIME",
        30 * DAY,
        f"an integer of seconds from 60 to {365 * DAY}",
        read.integer(60, 365 * DAY),
    ),
    Option(
        "REFRESH_IDLE",
        14 * DAY,
        f"an integer of seconds from 60 to {365 * DAY}",
        read.integer(60, 365 * DAY),
    ),
    Option("DB_TIMEOUT", 3, "a number of seconds above 0", read.seconds),
    Option(
        "TEST_IDENTIFIERS",
        {},
        "a dict of identifier -> {'code': digits, 'until': date}",
        read.mapping,
    ),
    Option("SMS_URLS", None, "None or a list of Apprise URLs", delivery.provider_urls("sms")),
    Option("EMAIL_URLS", None, "None or a list of Apprise URLs", delivery.provider_urls("email")),
    Option("APP_NAME", None, "None or one line of 1 to 60 characters", delivery.app_name),
    Option("ORIGIN", None, "None or an origin such as 'https://example.com'", delivery.origin),
    Option("SEND_TIMEOUT", 10, "a number of seconds above 0", read.seconds),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The validated options of one application; times are in seconds.

    Each attribute has the name of its option in lower case. The exception is ``secret_keys``, the
    key material, newest first, from ``OTP_AUTH_SECRET_KEY`` or else from ``SECRET_KEY``.
    """

    code_length: int
    code_ttl: int
    max_attempts: int
    keep_sessions: int
    collection: str
    register_routes: bool
    url_prefix: str
    methods: tuple[Method, ...]
    client_limits: tuple[RateLimitItem, ...]
    identifier_limits: tuple[RateLimitItem, ...]
    lockout_threshold: int | None
    disable_after: int | None
    trusted_devices: int | None
    phone_regions: frozenset[str] | None
    max_resends: int
    send_to_unknown: bool
    send_in_background: bool
    default_region: str | None
    refresh_token: bool
    openapi: bool
    login_page: bool
    login_redirect: str
    refresh_lifetime: int
    refresh_idle: int
    db_timeout: float
    app_name: str | None
    origin: str | None
    send_timeout: float
    secret_keys: tuple[bytes, ...] = field(repr=False)
    test_identifiers: Mapping[str, FixedCode] = field(repr=False)
    sms_urls: tuple[str, ...] = field(repr=False)
    email_urls: tuple[str, ...] = field(repr=False)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Read and validate all options.

        :param config: ``app.config``; it is not changed.
        :raises ConfigurationError: an option is missing, unknown or not allowed; the error names
            its key.
        """
        _refuse_unknown(config)
        values = {option.name.lower(): _read(option, config) for option in OPTIONS}
        _follow_max_attempts(values, config)
        values["secret_keys"] = values.pop("secret_key") or app_secrets(config)
        values["test_identifiers"] = _fixed_codes(values)
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
        threshold = self.lockout_threshold
        if threshold is not None and threshold < self.max_attempts:
            raise ConfigurationError(
                "OTP_AUTH_LOCKOUT_THRESHOLD",
                f"is {threshold}; it must be OTP_AUTH_MAX_ATTEMPTS ({self.max_attempts}) or more",
            )
        if self.disable_after is not None and self.disable_after <= (threshold or 0):
            raise ConfigurationError(
                "OTP_AUTH_DISABLE_AFTER",
                f"is {self.disable_after}; it must be above OTP_AUTH_LOCKOUT_THRESHOLD "
                f"({threshold})",
            )

    def _warn(self) -> None:
        if self.code_length < 6:
            warn(f"OTP_AUTH_CODE_LENGTH is {self.code_length}: use 6 digits or more")
        if not 30 <= self.code_ttl <= 600:
            warn(
                f"OTP_AUTH_CODE_TTL is {self.code_ttl}: less than 30 seconds is too short for many "
                "people, and more than 600 is longer than NIST SP 800-63B allows"
            )
        if self.refresh_token and self.refresh_lifetime > 30 * DAY:
            warn(
                f"OTP_AUTH_REFRESH_LIFETIME is {self.refresh_lifetime}: NIST SP 800-63B-4 "
                f"recommends a new login after at most {30 * DAY} seconds (30 days)"
            )


def _refuse_unknown(config: Mapping[str, Any]) -> None:
    known = [option.key for option in OPTIONS]
    for key in config:
        if key.startswith(PREFIX) and key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; they are {', '.join(known)}"
            raise ConfigurationError(key, f"is not an option of Flask-OTP-Auth{hint}")


def _read(option: Option, config: Mapping[str, Any]) -> Any:
    try:
        return option.read(config.get(option.key, option.default))
    except read.NotAllowedError as fault:
        raise ConfigurationError(option.key, f"{fault}; allowed is {option.allowed}") from None


def _follow_max_attempts(values: dict[str, Any], config: Mapping[str, Any]) -> None:
    """Raise the default lockout bounds where ``OTP_AUTH_MAX_ATTEMPTS`` would exceed them."""
    if "OTP_AUTH_LOCKOUT_THRESHOLD" not in config:
        values["lockout_threshold"] = max(values["lockout_threshold"], values["max_attempts"])
    if "OTP_AUTH_DISABLE_AFTER" not in config and values["lockout_threshold"] is not None:
        values["disable_after"] = max(values["disable_after"], values["lockout_threshold"] + 1)


def _fixed_codes(values: Mapping[str, Any]) -> Mapping[str, FixedCode]:
    try:
        return read_fixed_codes(
            values["test_identifiers"], values["code_length"], values["default_region"]
        )
    except ValueError as error:
        raise ConfigurationError(
            "OTP_AUTH_TEST_IDENTIFIERS",
            f"{error}; an entry is identifier -> {{'code': digits, 'until': date}}",
        ) from None
