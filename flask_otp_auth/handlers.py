"""The handlers of an application: registering them, checking their signatures, calling them."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
from collections.abc import Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar, cast

from flask import Flask, current_app

from . import events
from .exceptions import HandlerSignatureError, MissingHandlerError, Refused
from .types import (
    AuthResult,
    GetUserHandler,
    Method,
    Payload,
    SendCodeHandler,
    VerifySuccessHandler,
)

_asks_before_send: ContextVar[bool] = ContextVar("otp_auth_asks_before_send", default=False)

_PARAMETERS = {
    "send_code_handler": "code, identifier, method, payload",
    "get_user_handler": "identifier, method, payload",
    "verify_success_handler": "user, identifier, method, payload",
}

SendCode = TypeVar("SendCode", bound=SendCodeHandler)
GetUser = TypeVar("GetUser", bound=GetUserHandler)
VerifySuccess = TypeVar("VerifySuccess", bound=VerifySuccessHandler)

# The argument of @otp.get_user_handler(), whose brackets are refused with a sentence.
_NO_FUNCTION: Any = None


class Handlers:
    """The functions that were registered with the decorators of FlaskOtpAuth.

    :param functions: the functions by the names of their decorators.
    """

    def __init__(self, functions: MutableMapping[str, Callable[..., Any]] | None = None) -> None:
        self.functions = {} if functions is None else functions

    def keep(self, decorator: str, function: Callable[..., Any]) -> None:
        """Keep a function by the name of its decorator, in the place of an earlier one.

        :raises HandlerSignatureError: it cannot be called with the arguments of this handler.
        """
        check_signature(decorator, function, _PARAMETERS[decorator])
        self.functions[decorator] = function

    @property
    def _sender(self) -> Callable[..., Any] | None:
        return self.functions.get("send_code_handler")

    @property
    def makes_own_tokens(self) -> bool:
        """Whether a ``verify_success_handler`` is registered."""
        return "verify_success_handler" in self.functions

    def missing(self) -> list[str]:
        """Return the names of the decorators whose required function is not registered."""
        required = ("send_code_handler", "get_user_handler")
        return [decorator for decorator in required if decorator not in self.functions]

    @property
    def sender_check(self) -> Callable[[], object] | None:
        """The ``check`` function of the sender, or of the object whose method it is, if any.

        It raises an exception if no message could be sent at present; it does not send any.
        """
        for holder in (self._sender, getattr(self._sender, "__self__", None)):
            check = getattr(holder, "check", None)
            if callable(check):
                return cast("Callable[[], object]", check)
        return None

    def require_providers(self, app: Flask) -> None:
        """Make sure that the sender, if it needs providers, has one for each method of *app*.

        :raises ConfigurationError: a method has none.
        """
        require = getattr(getattr(self._sender, "__self__", None), "require_providers", None)
        if callable(require):
            require(app)

    def require(self) -> None:
        """Make sure that the two required functions are registered.

        :raises MissingHandlerError: one is missing; the message is logged as well.
        """
        for decorator in self.missing():
            missing = MissingHandlerError(decorator)
            raise events.failed(missing, f"configuration: {missing}")

    def send_code(
        self, code: str, identifier: str, method: Method, payload: Payload | None
    ) -> bool:
        """Pass a code to the sender, and return whether the sender returned a true value."""
        return bool(_call(self._sender, code, identifier, method, payload))

    def get_user(self, identifier: str, method: Method, payload: Payload | None) -> Any:
        """Return the application's user for an identifier, or ``None`` if there is none."""
        user = _call(self.functions.get("get_user_handler"), identifier, method, payload)
        return None if user is False else user

    def has_user(self, identifier: str, method: Method, payload: Payload | None) -> bool:
        """Return whether the application has a user to send a code to."""
        token = _asks_before_send.set(True)
        try:
            return self.get_user(identifier, method, payload) is not None
        except Refused:
            return False
        finally:
            _asks_before_send.reset(token)

    def verify_success(
        self, user: Any, identifier: str, method: Method, payload: Payload | None
    ) -> AuthResult:
        """Have the ``verify_success_handler`` complete a sign-in.

        It need not return a token, since the application may keep track of logins in another way.

        :raises TypeError: it returned no mapping, or a token that is not a non-empty str.
        """
        handler = self.functions.get("verify_success_handler")
        answer = _call(handler, user, identifier, method, payload)
        if not isinstance(answer, Mapping) or not answer:
            raise TypeError(
                "verify_success_handler must return {'user': ..., 'token': ...}, "
                f"not {'an empty' if isinstance(answer, Mapping) else 'a'} {type(answer).__name__}"
            )
        token = answer.get("token")
        if token is not None and (not isinstance(token, str) or not token):
            raise TypeError(
                "verify_success_handler must return a non-empty str as 'token', or None"
            )
        return AuthResult(user=answer.get("user"), token=token)


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
        self._handlers.keep("send_code_handler", function)
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
        self._handlers.keep("get_user_handler", function)
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
        self._handlers.keep("verify_success_handler", function)
        return function

    @property
    def is_asking_before_send(self) -> bool:
        """Whether the ``get_user_handler`` is being called before a code is sent.

        Nobody has shown then that the identifier is theirs, so a handler that signs people up must
        not do so. This only happens with ``OTP_AUTH_SEND_TO_UNKNOWN = False``.
        """
        return _asks_before_send.get()


def check_signature(decorator: str, function: object, parameters: str) -> None:
    """Refuse a function that cannot be called as a handler.

    :param decorator: the decorator that it was given to, for the error.
    :param parameters: the names of the positional arguments, separated by ``", "``.
    :raises HandlerSignatureError: *function* is not callable, does not accept these arguments, has
        them in another order, is a generator, or is ``async`` although Flask cannot run it.
    """
    if function is None:
        raise HandlerSignatureError(
            decorator,
            f"needs a function ({parameters}): write @otp.{decorator} above it, without brackets",
        )
    name = getattr(function, "__qualname__", repr(type(function)))
    if not callable(function):
        raise HandlerSignatureError(decorator, f"needs a function ({parameters}), got {name}")
    names = parameters.split(", ")
    try:
        signature = inspect.signature(function)
        signature.bind(*names)
    except TypeError:
        raise HandlerSignatureError(
            decorator, f"calls its function as ({parameters}); {name} does not accept these"
        ) from None
    except ValueError:  # some builtins have no signature that could be checked
        signature = inspect.Signature()
    if not _is_in_order(signature, names):
        raise HandlerSignatureError(
            decorator,
            f"calls its function as ({parameters}), by position; {name} has these names in "
            "another order",
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise HandlerSignatureError(
            decorator, f"needs a function that returns; {name} is a generator and would never run"
        )
    if _is_async(function) and importlib.util.find_spec("asgiref") is None:
        raise HandlerSignatureError(
            decorator, f"got the async function {name}, which needs: pip install 'flask[async]'"
        )


def _is_in_order(signature: inspect.Signature, names: list[str]) -> bool:
    """Return whether each parameter that has one of *names* is in the position of that name."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = [each.name for each in signature.parameters.values() if each.kind in positional]
    return all(
        name not in names or names.index(name) == position for position, name in enumerate(own)
    )


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def _call(function: Callable[..., Any] | None, *args: Any) -> Any:
    if function is None:  # require() makes sure that there is one
        raise RuntimeError("no handler is registered")
    call = current_app.ensure_sync(function)
    try:
        # Flask returns a function that is not async as it is.
        answer = call(*args) if call is function else _beside_loop(lambda: call(*args))
        # A coroutine is a true value: taken as the answer, it would mean that the code was sent.
        return _beside_loop(lambda: _finish(answer)) if inspect.isawaitable(answer) else answer
    except asyncio.CancelledError as error:
        # It is no Exception, so nobody would withdraw the code or tell the client.
        raise RuntimeError("the handler was cancelled") from error


def _beside_loop(run: Callable[[], Any]) -> Any:
    """Call *run*, which starts an event loop, in another thread if this one has a running loop.

    In an async view there is one, and a thread cannot run a second loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    # In the same context, so that current_app, request and g are those of the view.
    context = copy_context()
    with ThreadPoolExecutor(1, "flask_otp_auth_async") as thread:
        return thread.submit(context.run, run).result()


def _finish(awaitable: Any) -> Any:
    async def wait() -> Any:
        return await awaitable

    return current_app.async_to_sync(wait)()
