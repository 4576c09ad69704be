"""Flask-OTP-Auth: sign in with a one-time code sent by SMS or email."""

from typing import TYPE_CHECKING

from .lazy import lazy_names

if TYPE_CHECKING:
    from .exceptions import ConfigurationError as ConfigurationError
    from .exceptions import OtpAuthError as OtpAuthError
    from .exceptions import RequestError as RequestError
    from .exceptions import SecurityWarning as SecurityWarning
    from .extension import FlaskOtpAuth as FlaskOtpAuth
    from .types import ConfirmResult as ConfirmResult
    from .types import InitiateResult as InitiateResult
    from .types import Login as Login
    from .types import Session as Session
    from .types import VerifyResult as VerifyResult
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "ConfigurationError": "exceptions",
            "OtpAuthError": "exceptions",
            "RequestError": "exceptions",
            "SecurityWarning": "exceptions",
            "FlaskOtpAuth": "extension",
            "ConfirmResult": "types",
            "InitiateResult": "types",
            "Login": "types",
            "Session": "types",
            "VerifyResult": "types",
        },
    )
