"""The decorators with which an application registers its handlers."""

from __future__ import annotations

from typing import Any, TypeVar

from .handlers import Handlers
from .types import GetUserHandler, SendCodeHandler, VerifySuccessHandler

SendCode = TypeVar("SendCode", bound=SendCodeHandler)
GetUser = TypeVar("GetUser", bound=GetUserHandler)
VerifySuccess = TypeVar("VerifySuccess", bound=VerifySuccessHandler)

# The argument of @otp.get_user_handler(), whose brackets are refused with a sentence.
_NO_FUNCTION: Any = None


class HandlerDecorators:
    """The part of :class:`~flask_otp_auth.FlaskOtpAuth` that keeps the handlers."""

    _handlers: Handlers

    def send_code_handler(self, function: SendCode = _NO_FUNCTION) -> SendCode:
        """Register the function that sends a code. Required.

        It is called as ``(code, identifier, method, payload)`` and returns ``True`` once the
        message is on its way. A false value or an exception means that the code was not sent.

        :param function: a plain or an ``async`` function.
        :returns: *function* itself.
        :raises HandlerSignatureError: it cannot be called with these arguments, or has parameters
            of these names in another order.
        """
        self._handlers.set_send_code(function)
        return function

    def get_user_handler(self, function: GetUser = _NO_FUNCTION) -> GetUser:
        """Register the function that finds the user of an identifier, or signs them up. Required.

        It is called as ``(identifier, method, payload)`` and returns the user, or ``None``. It is
        called after a correct code and, with ``OTP_AUTH_SEND_TO_UNKNOWN = False``, also before a
        code is sent, when :attr:`is_asking_before_send` is true. The payload comes from the client:
        do not grant any rights because of it. Raise :exc:`~flask_otp_auth.exceptions.Refused` for a
        user who must not sign in.

        :param function: a plain or an ``async`` function.
        :returns: *function* itself.
        :raises HandlerSignatureError: it cannot be called with these arguments, or has parameters
            of these names in another order.
        """
        self._handlers.set_get_user(function)
        return function

    def verify_success_handler(self, function: VerifySuccess = _NO_FUNCTION) -> VerifySuccess:
        """Register the function that completes a sign-in. Without it, JWTs are issued.

        It is called as ``(user, identifier, method, payload)`` and returns
        ``{"user": ..., "token": ...}``. If the application keeps track of logins in another way,
        ``token`` may be left out. If it has no key for JWTs, register the function before
        :meth:`init_app`.

        :param function: a plain or an ``async`` function.
        :returns: *function* itself.
        :raises HandlerSignatureError: it cannot be called with these arguments, or has parameters
            of these names in another order.
        """
        self._handlers.set_verify_success(function)
        return function

    @property
    def is_asking_before_send(self) -> bool:
        """Whether the ``get_user_handler`` is being called before a code is sent.

        Nobody has shown then that the identifier is theirs, so a handler that signs people up must
        not do so. This only happens with ``OTP_AUTH_SEND_TO_UNKNOWN = False``.
        """
        return self._handlers.is_asking_before_send
