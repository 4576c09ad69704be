"""Every error and warning of the package, with the answer each one gives over HTTP.

The errors form this tree; a number is the HTTP status. An error is also of Werkzeug's class for
its status, so that ``app.errorhandler(429)`` gets what a view of the application raises::

    OtpAuthError
        ConfigurationError              (also a ValueError)
            HandlerSignatureError       (also a TypeError)
            MissingHandlerError         500
        RequestError                    (also a werkzeug HTTPException)
            InvalidRequest              400
                InvalidIdentifier       400
            SessionAlreadyVerified      400
            InvalidRefreshToken         401
            CsrfMismatch                401
            SessionExpired              403
            Refused                     403
            SessionNotFound             404
            PayloadTooLarge             413
            UnsupportedMediaType        415
            TooManyRequests             429
            IdentifierLocked            429
            TooManyResends              429
            InternalError               500
                SendFailed              500
                AuthenticationFailed    500
            ServiceUnavailable          503
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug import exceptions as http

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Fields = Mapping[str, Sequence[str]]


class SecurityWarning(UserWarning):
    """A setting that works, but makes guessing or misuse easier than the default."""


class OtpAuthError(Exception):
    """Base of every error that this package raises."""

    @cached_property
    def id(self) -> str:
        """A UUID that appears both in the answer to the client and in the log."""
        return str(uuid.uuid4())


class ConfigurationError(OtpAuthError, ValueError):
    """An option is missing, unknown or not allowed.

    :param key: the key in ``app.config``, or the name of the argument, that has to change.
    :param fault: what is wrong with it and which values are allowed, without any secret.
    """

    def __init__(self, key: str, fault: str) -> None:
        super().__init__(f"{key} {fault}")
        #: The name of the option.
        self.key = key


class HandlerSignatureError(ConfigurationError, TypeError):
    """A function given to a handler decorator cannot be called as a handler."""


class RequestError(http.HTTPException, OtpAuthError):
    """A request that is refused or fails: an error object over HTTP, this exception in Python.

    :param detail: the text for the client; each class has a default.
    :param retry_after: seconds after which the same request may succeed, if waiting helps.
    :param fields: messages for each member of the body, without the submitted values.
    """

    #: HTTP status.
    code: int = 500
    #: The ``error.code`` of the answer.
    error_code: str
    #: The ``data.status`` of the answer, for the outcomes that are data and no error object.
    data_status: ClassVar[str | None] = None
    #: The text for the client.
    detail: str = ""

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after: float | None = None,
        fields: Fields | None = None,
    ) -> None:
        if detail is not None:
            self.detail = detail
        super().__init__(self.detail)
        #: Whole seconds, rounded up, or ``None`` if waiting does not help.
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))
        #: Messages for each member of the body.
        self.fields = fields

    def __str__(self) -> str:
        return self.detail

    def get_headers(
        self,
        environ: WSGIEnvironment | None = None,
        scope: dict[str, Any] | None = None,
    ) -> list[tuple[str, str]]:
        """Add ``Retry-After`` to the headers that Werkzeug gives the answer."""
        headers = list(super().get_headers(environ, scope))
        # Some classes of Werkzeug add it themselves.
        if self.retry_after is not None and "Retry-After" not in dict(headers):
            headers.append(("Retry-After", str(self.retry_after)))
        return headers


class InvalidRequest(RequestError, http.BadRequest):
    """The body is not a JSON object, or one of its members is missing, unknown or not allowed."""

    code = 400
    error_code = "badRequest"
    detail = "The request is not valid"


class InvalidIdentifier(InvalidRequest):
    """The phone number or email address does not have an accepted form."""

    error_code = "invalidIdentifier"


class SessionAlreadyVerified(RequestError, http.BadRequest):
    """The session has already been verified with its correct code."""

    code = 400
    error_code = "alreadyVerified"
    detail = "Session already verified"


class InvalidRefreshToken(RequestError, http.Unauthorized):
    """The refresh token is missing, forged, expired or already used, or its login has ended."""

    code = 401
    error_code = "invalidRefreshToken"
    detail = "The refresh token is not valid"


class CsrfMismatch(RequestError, http.Unauthorized):
    """A logout came with the cookies of a login, but without its CSRF token."""

    code = 401
    error_code = "unauthorized"
    detail = "The CSRF token is missing or does not match"


class SessionNotFound(RequestError, http.NotFound):
    """There is no such session, or it is no longer pending."""

    code = 404
    error_code = "notFound"
    data_status = "not_found"
    detail = "Session not found or expired"


class SessionExpired(RequestError, http.Forbidden):
    """The codes of the session have expired."""

    code = 403
    error_code = "expired"
    data_status = "expired"
    detail = "Verification code has expired"


class Refused(RequestError, http.Forbidden):
    """Raised by a ``get_user_handler`` for a user who must not sign in, such as a blocked one.

    After a correct code the person reads the text. Where the handler is asked before a code is
    sent (``OTP_AUTH_SEND_TO_UNKNOWN = False``), it has the same effect as returning ``None``.

    :param text: what the person reads; it must not contain anything secret.
    """

    code = 403
    error_code = "refused"

    def __init__(self, text: str) -> None:
        super().__init__(text)


class PayloadTooLarge(RequestError, http.RequestEntityTooLarge):
    """The body is larger than any valid request."""

    code = 413
    error_code = "payloadTooLarge"
    detail = "The request body is too large"


class UnsupportedMediaType(RequestError, http.UnsupportedMediaType):
    """The body is not declared as JSON in UTF-8."""

    code = 415
    error_code = "unsupportedMediaType"
    detail = "Content-Type must be application/json in UTF-8"


class TooManyRequests(RequestError, http.TooManyRequests):  # type: ignore[misc]  # a number
    """A limit on codes has been reached.

    :param scope: whose limit it is: ``"client"`` or ``"identifier"``.
    """

    code = 429
    error_code = "tooManyRequests"
    detail = "Too many requests"

    def __init__(self, *, retry_after: float | None, scope: str) -> None:
        super().__init__(retry_after=retry_after)
        #: Whose limit it is: ``"client"`` or ``"identifier"``.
        self.scope = scope


class IdentifierLocked(RequestError, http.TooManyRequests):  # type: ignore[misc]  # a number
    """There were too many consecutive wrong codes: a new code has to wait, or needs an unlock."""

    code = 429
    error_code = "identifierLocked"
    detail = "Too many failed attempts"


class TooManyResends(RequestError, http.TooManyRequests):  # type: ignore[misc]  # a number
    """The session has used all of its resends; a new session can be started."""

    code = 429
    error_code = "tooManyResends"
    detail = "No more codes can be sent for this session"


class InternalError(RequestError, http.InternalServerError):
    """Something failed in the application; the log has the reason under the same ``id``."""

    code = 500
    error_code = "internalServerError"
    detail = "Internal server error"


class SendFailed(InternalError):
    """The sender failed or did not return a true value, so its code cannot be used.

    A new session ends. After a failed resend, the earlier codes of the session keep working.
    """

    detail = "Failed to send verification code"


class AuthenticationFailed(InternalError):
    """A handler failed after a correct code; the session has ended nevertheless."""

    detail = "Failed to complete authentication"


class ServiceUnavailable(RequestError, http.ServiceUnavailable):  # type: ignore[misc]  # a number
    """MongoDB, or the storage of the limits, did not answer within ``OTP_AUTH_DB_TIMEOUT``."""

    code = 503
    error_code = "serviceUnavailable"
    detail = "Service temporarily unavailable"


class MissingHandlerError(ConfigurationError, InternalError):
    """A request came before ``send_code_handler`` and ``get_user_handler`` were registered."""

    def __init__(self, decorator: str) -> None:
        InternalError.__init__(self)
        self.key = decorator
        self._fault = (
            f"no function is registered with @otp.{decorator}; "
            "register one before the first request"
        )

    def __str__(self) -> str:
        return self._fault
