"""Settings: the table of all options, and at the same time the object that holds their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from limits import RateLimitItem

from ..texts import Catalogue
from ..types import METHODS, Method
from . import readers as read
from .fixed_codes import FixedCode
from .keys import KEY_BYTES

PREFIX = "OTP_AUTH_"
DAY = 86400  # seconds
_TTL_INDEX_MAX = 2**31 - 1
_DEVICE_LIFETIME_MAX = 10 * 366 * DAY
_YES_OR_NO = "True or False"


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table.

    :param default: the value if the key is missing.
    :param allowed: the allowed values in words, for error messages and the docs.
    :param read: takes the value and returns it as Settings holds it, or raises
        ``NotAllowedError``.
    :param meaning: the sentence that explains it.
    :param key: the key in ``app.config``.
    :param attribute: the attribute of Settings.
    """

    default: Any
    allowed: str
    read: Callable[[Any], Any]
    meaning: str
    key: str = ""
    attribute: str = ""


def _option(
    default: Any,
    allowed: str,
    read: Callable[[Any], Any],
    meaning: str,
    *,
    key: str = "",
    is_secret: bool = False,
) -> Any:
    row = Option(default, allowed, read, meaning, key and PREFIX + key)
    return field(repr=not is_secret, metadata={"option": row})


@dataclass(frozen=True, slots=True)
class Settings:
    """The validated options of one application; times are in seconds.

    Each attribute has the name of its option in lower case. The exception is ``secret_keys``, the
    key material, newest first, from ``OTP_AUTH_SECRET_KEY`` or else from ``SECRET_KEY``.
    """

    code_length: int = _option(
        6,
        "an integer from 4 to 8",
        read.integer(4, 8),
        "The number of digits in a code; fewer than 6 cause a warning.",
    )
    code_ttl: int = _option(
        300,
        "an integer of seconds from 1 to 3600",
        read.integer(1, 3600),
        "How long a code is valid, in seconds; less than 30 or more than 600 causes a warning.",
    )
    max_attempts: int = _option(
        3,
        "an integer from 1 to 10",
        read.integer(1, 10),
        "The number of wrong codes that locks a session.",
    )
    keep_sessions: int = _option(
        DAY,
        f"an integer of seconds above OTP_AUTH_CODE_TTL and up to {_TTL_INDEX_MAX}",
        read.integer(1, _TTL_INDEX_MAX),
        "How long MongoDB keeps a session after its start, in seconds, whatever its status.",
    )
    collection: str = _option(
        "otp_sessions",
        "the name of a MongoDB collection",
        read.collection_name,
        "The collection of the sessions; the names of the other collections begin with it.",
    )
    max_resends: int = _option(
        2,
        "an integer from 0 to 100",
        read.integer(0, 100),
        "How many more codes can be sent for a session after the first; 0 turns resending off.",
    )
    register_routes: bool = _option(
        True, _YES_OR_NO, read.flag, "Whether the endpoints are added to the application."
    )
    url_prefix: str = _option(
        "/otp", "a path such as '/otp'", read.url_prefix, "The path below which the endpoints are."
    )
    methods: tuple[Method, ...] = _option(
        METHODS,
        "a list with 'sms', 'email' or both",
        read.methods,
        "The methods on offer; a request for any other method is answered with a 400.",
    )
    openapi: bool = _option(
        False,
        _YES_OR_NO,
        read.flag,
        "Whether GET /otp/openapi.json serves the description of the endpoints.",
    )
    refresh_token: bool = _option(
        False,
        _YES_OR_NO,
        read.flag,
        "Whether a login also gets a refresh token, which POST /otp/refresh exchanges for new "
        "tokens.",
    )
    keep_signed_in: bool = _option(
        True,
        _YES_OR_NO,
        read.flag,
        "Whether a login with refresh tokens in cookies outlives the browser; with False it ends "
        "when the browser is closed.",
    )
    refresh_lifetime: int = _option(
        30 * DAY,
        f"an integer of seconds from 60 to {365 * DAY}",
        read.integer(60, 365 * DAY),
        "How long a login lasts after its code at most, in seconds, however often it is "
        "refreshed; more than 30 days cause a warning.",
    )
    refresh_idle: int = _option(
        14 * DAY,
        f"an integer of seconds from 60 to {365 * DAY}",
        read.integer(60, 365 * DAY),
        "How long a login lasts after its last refresh, in seconds.",
    )
    login_page: bool = _option(
        False,
        _YES_OR_NO,
        read.flag,
        "Whether there is a page to sign in on at GET /otp/login, which needs 'cookies' in "
        "JWT_TOKEN_LOCATION.",
    )
    login_redirect: str = _option(
        "/",
        "a path of the same site such as '/'",
        read.site_path,
        "The path, below the root of the application, to which the login page leads without a "
        "valid next.",
    )
    secret_keys: tuple[bytes, ...] = _option(
        None,
        f"a str or bytes of at least {KEY_BYTES} bytes, or a list of them, newest first",
        read.or_none(read.key_material),
        "The key that protects codes, accounts and device tokens; None means that it is derived "
        "from SECRET_KEY and SECRET_KEY_FALLBACKS.",
        key="SECRET_KEY",
        is_secret=True,
    )
    client_limits: tuple[RateLimitItem, ...] = _option(
        "10 per 15 minutes; 100 per day",
        "None or text such as '10 per 15 minutes; 100 per day'",
        read.limits,
        "How many codes one client address may ask for, in the notation of Flask-Limiter; None "
        "means any number.",
    )
    identifier_limits: tuple[RateLimitItem, ...] = _option(
        "1 per 30 seconds; 5 per 15 minutes; 20 per day",
        "None or text such as '1 per 30 seconds; 20 per day', with at most 1000 codes per rule",
        read.account_limits,
        "How many codes are sent to one account, whoever asks for them and from wherever; None "
        "means any number.",
    )
    lockout_threshold: int | None = _option(
        6,
        "None or an integer of failures, OTP_AUTH_MAX_ATTEMPTS or more",
        read.or_none(read.integer(1, 10_000)),
        "The number of consecutive wrong codes from which on an account has to wait for a new "
        "code; None means that it never has to wait.",
    )
    disable_after: int | None = _option(
        100,
        "None or an integer of failures above OTP_AUTH_LOCKOUT_THRESHOLD",
        read.or_none(read.integer(1, 1_000_000)),
        "The number of consecutive wrong codes after which an account gets no new code until it "
        "is unlocked; None means never.",
    )
    trusted_devices: int | None = _option(
        None,
        f"None or an integer of seconds from 1 to {_DEVICE_LIFETIME_MAX}",
        read.or_none(read.integer(1, _DEVICE_LIFETIME_MAX)),
        "How long a device that has signed in stays trusted, in seconds; None means that there "
        "are no trusted devices.",
    )
    phone_regions: frozenset[str] | None = _option(
        None,
        "None or a list of ISO 3166-1 country codes such as ['SE', 'NO']",
        read.or_none(read.regions),
        "The countries to which an SMS may be sent; None means all countries.",
    )
    test_identifiers: Mapping[str, FixedCode] = _option(
        {},
        "a dict of identifier -> {'code': digits, 'until': date}",
        read.mapping,
        "Identifiers whose code is fixed, for app-store reviewers and end-to-end tests.",
        is_secret=True,
    )
    send_to_unknown: bool = _option(
        True,
        _YES_OR_NO,
        read.flag,
        "Whether a code is sent to people whom get_user_handler does not know.",
    )
    send_in_background: bool = _option(
        False,
        _YES_OR_NO,
        read.flag,
        "Whether the answer is given without waiting for the sender.",
    )
    default_region: str | None = _option(
        None,
        "None or an ISO 3166-1 country code such as 'SE'",
        read.or_none(read.region),
        "The country of phone numbers that are given without a country code.",
    )
    sms_urls: tuple[str, ...] = _option(
        None,
        "None or a list of Apprise URLs",
        read.provider_urls,
        "The providers for SMS, as Apprise URLs, which are tried in order until one accepts the "
        "message.",
        is_secret=True,
    )
    email_urls: tuple[str, ...] = _option(
        None,
        "None or a list of Apprise URLs",
        read.provider_urls,
        "The providers for email, as Apprise URLs, which are tried in order until one accepts "
        "the message.",
        is_secret=True,
    )
    app_name: str | None = _option(
        None,
        "None or one line of 1 to 60 characters",
        read.or_none(read.app_name),
        "What the messages call the application; None means the name of the Flask application.",
    )
    origin: str | None = _option(
        None,
        "None or an origin such as 'https://example.com'",
        read.or_none(read.origin),
        "The origin of the page on which people type the code, with which an SMS ends.",
    )
    texts: Catalogue = _option(  # noqa: RUF009 -- it is frozen
        {},
        "a dict of language tag -> {key: text}",
        read.texts,
        "The words of the login page and the messages that the application changes, and "
        "languages that it adds.",
    )
    send_timeout: float = _option(
        10,
        "a number of seconds above 0",
        read.seconds,
        "How long all providers of one message may take together, in seconds.",
    )
    db_timeout: float = _option(
        3,
        "a number of seconds above 0",
        read.seconds,
        "How long the database calls of one step may take together, in seconds, before the "
        "answer is a 503.",
    )


def _rows() -> tuple[Option, ...]:
    rows = []
    for attribute in fields(Settings):
        row: Option = attribute.metadata["option"]
        key = row.key or PREFIX + attribute.name.upper()
        rows.append(Option(row.default, row.allowed, row.read, row.meaning, key, attribute.name))
    return tuple(rows)


#: All options, in the order of the docs.
OPTIONS = _rows()
