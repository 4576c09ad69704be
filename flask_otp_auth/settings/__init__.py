"""The options of an application, read from ``app.config`` and validated."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ..exceptions import ConfigurationError
from . import fixed_codes, readers
from .keys import app_secrets, check_token_location
from .options import DAY as DAY
from .options import OPTIONS as OPTIONS
from .options import PREFIX
from .options import Option as Option
from .options import Settings as Settings


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Read and validate all options.

    :param config: ``app.config``; it is not changed.
    :returns: the options of the application.
    :raises ConfigurationError: an option is missing, unknown or not allowed; the error names its
        key.
    """
    _refuse_unknown(config)
    check_token_location(config)
    values = {option.attribute: _read(option, config) for option in OPTIONS}
    _follow_max_attempts(values, config)
    values["secret_keys"] = values["secret_keys"] or app_secrets(config)
    values["test_identifiers"] = _fixed_codes(values)
    settings = Settings(**values)
    _check_together(settings)
    return settings


def _refuse_unknown(config: Mapping[str, Any]) -> None:
    known = [option.key for option in OPTIONS]
    for key in map(str, config):
        if key.startswith(PREFIX) and key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; they are {', '.join(known)}"
            raise ConfigurationError(key, f"is not an option of Flask-OTP-Auth{hint}")
        meant = PREFIX + key.removeprefix("OTP_")
        if key.startswith("OTP_") and meant in known:
            raise ConfigurationError(key, f"is not read; the name of the option is {meant}")


def _read(option: Option, config: Mapping[str, Any]) -> Any:
    try:
        return option.read(config.get(option.key, option.default))
    except readers.NotAllowedError as fault:
        raise ConfigurationError(option.key, f"{fault}; allowed is {option.allowed}") from None


def _follow_max_attempts(values: dict[str, Any], config: Mapping[str, Any]) -> None:
    """Raise the default lockout bounds where ``OTP_AUTH_MAX_ATTEMPTS`` would exceed them."""
    if "OTP_AUTH_LOCKOUT_THRESHOLD" not in config:
        values["lockout_threshold"] = max(values["lockout_threshold"], values["max_attempts"])
    if "OTP_AUTH_DISABLE_AFTER" not in config and values["lockout_threshold"] is not None:
        values["disable_after"] = max(values["disable_after"], values["lockout_threshold"] + 1)


def _fixed_codes(values: Mapping[str, Any]) -> Mapping[str, fixed_codes.FixedCode]:
    try:
        return fixed_codes.read(
            values["test_identifiers"], values["code_length"], values["default_region"]
        )
    except ValueError as error:
        raise ConfigurationError(
            "OTP_AUTH_TEST_IDENTIFIERS",
            f"{error}; an entry is identifier -> {{'code': digits, 'until': date}}",
        ) from None


def _check_together(settings: Settings) -> None:
    if settings.keep_sessions <= settings.code_ttl:
        raise ConfigurationError(
            "OTP_AUTH_KEEP_SESSIONS",
            f"is {settings.keep_sessions}; it must be above OTP_AUTH_CODE_TTL "
            f"({settings.code_ttl})",
        )
    threshold = settings.lockout_threshold
    if threshold is not None and threshold < settings.max_attempts:
        raise ConfigurationError(
            "OTP_AUTH_LOCKOUT_THRESHOLD",
            f"is {threshold}; it must be OTP_AUTH_MAX_ATTEMPTS ({settings.max_attempts}) or more",
        )
    if settings.disable_after is not None and settings.disable_after <= (threshold or 0):
        raise ConfigurationError(
            "OTP_AUTH_DISABLE_AFTER",
            f"is {settings.disable_after}; it must be above OTP_AUTH_LOCKOUT_THRESHOLD "
            f"({threshold})",
        )
