"""PythonApi: what an application calls in Python, with the limits and locks of the endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from flask import Flask, current_app, has_request_context, request
from werkzeug.exceptions import HTTPException

from . import flow
from .exceptions import InvalidRequest, OtpAuthError
from .http import schemas
from .http.blocklist import is_logged_out
from .language import preferred_language
from .state import EXTENSION, AppState
from .subjects import UserId, read_purpose
from .texts.outcomes import sentence
from .types import (
    ConfirmResult,
    InitiateResult,
    Login,
    Method,
    Payload,
    Session,
    VerifyResult,
)


class PythonApi:
    """The calls of :class:`~flask_otp_auth.FlaskOtpAuth` that need an application context."""

    def initiate(
        self,
        identifier: str,
        method: Method,
        payload: Payload | None = None,
        *,
        device_token: str | None = None,
        purpose: str | None = None,
        subject: UserId | None = None,
    ) -> InitiateResult:
        """Start a session and have its code sent, as ``POST /otp/initiate`` does.

        With a *purpose* the code is for something else than a login. Only :meth:`confirm` with the
        same purpose and subject accepts it.

        :param identifier: a phone number or email address, in any accepted form.
        :param method: ``"sms"`` or ``"email"``.
        :param payload: a JSON object for the handlers, at most 2 KiB.
        :param device_token: with ``OTP_AUTH_TRUSTED_DEVICES``, the ``VerifyResult.device_token`` of
            an earlier sign-in on the same device. Any other value has no effect.
        :param purpose: what the code is for: 1 to 32 of ``a-z``, ``0-9`` and ``-``, a letter first,
            and not ``login``; ``None`` for a login.
        :param subject: whose action that is, such as the id of the user who is signed in: a str,
            int, UUID or ObjectId, at most 128 characters as a string.
        :returns: the new session.
        :raises InvalidRequest: an argument has another form, or there is a subject without a
            purpose.
        :raises RequestError: the endpoint would answer with an error object.
        """
        state = self._state()
        body = {"identifier": identifier, "method": method, "payload": payload}
        return flow.initiate(
            state,
            **_checked_initiate(state, body),
            device_tokens=[device_token],
            locale=preferred_language(state.settings.texts),
            client=_client(),
            purpose=read_purpose(purpose, subject),
        )

    def resend(self, session_id: str) -> InitiateResult:
        """Send another code for a pending session, as ``POST /otp/resend`` does.

        The earlier codes stay valid. The session gets no additional attempts and no more time.

        :param session_id: the id that :meth:`initiate` returned.
        :returns: the session, with the remaining seconds as ``ttl``.
        :raises SessionNotFound: there is no such session, or it is no longer pending.
        :raises SessionExpired: the session has expired.
        :raises RequestError: the endpoint would answer with an error object.
        """
        checked = schemas.load(schemas.resend_request, {"sessionId": session_id})
        return flow.resend(self._state(), checked["session_id"], _client())

    def unlock(self, identifier: str, method: Method) -> bool:
        """Clear the failures, the lock and the send counts of an account and its trusted devices.

        :param identifier: any identifier of the account.
        :param method: ``"sms"`` or ``"email"``.
        :returns: whether there was anything to clear.
        :raises InvalidIdentifier: *identifier* does not have an accepted form.
        :raises InvalidRequest: *method* is not one of ``OTP_AUTH_METHODS``.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        return flow.unlock(*self._checked(identifier, method))

    def forget_devices(self, identifier: str, method: Method) -> int:
        """Forget all trusted devices of an account, so that each has to sign in again to be one.

        :param identifier: any identifier of the account.
        :param method: ``"sms"`` or ``"email"``.
        :returns: how many devices there were.
        :raises InvalidIdentifier: *identifier* does not have an accepted form.
        :raises InvalidRequest: *method* is not one of ``OTP_AUTH_METHODS``.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        return flow.forget_devices(*self._checked(identifier, method))

    def verify(self, session_id: str, code: str) -> VerifyResult:
        """Check a code that somebody typed, as ``POST /otp/verify`` does.

        :param session_id: the id that :meth:`initiate` returned.
        :param code: the code as it was typed or pasted, at most 64 characters; white space,
            dashes and invisible characters are ignored, and digits of any script count.
        :returns: the outcome; a wrong code is not an error.
        :raises RequestError: the endpoint would answer with an error object.
        """
        body = {"sessionId": session_id, "code": code}
        checked = schemas.load(schemas.verify_request, body)
        return flow.verify(self._state(), checked["session_id"], checked["code"])

    def confirm(
        self, session_id: str, code: str, *, purpose: str, subject: UserId | None = None
    ) -> ConfirmResult:
        """Check a code that is for something else than a login.

        No handler is called, and nobody is signed in. For a session of a login, of another purpose
        or of another subject the result is ``"not_found"``, and its attempts do not change.

        :param session_id: the id that :meth:`initiate` returned.
        :param code: the code as it was typed or pasted.
        :param purpose: the purpose that was given to :meth:`initiate`.
        :param subject: the subject that was given to :meth:`initiate`.
        :returns: the outcome; a wrong code is not an error.
        :raises InvalidRequest: an argument does not have the required form.
        :raises SessionAlreadyVerified: the code has been confirmed before.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        bound = read_purpose(purpose, subject)
        if bound is None:
            raise InvalidRequest(fields={"purpose": ["Missing data for required field."]})
        body = {"sessionId": session_id, "code": code}
        checked = schemas.load(schemas.verify_request, body)
        return flow.confirm(self._state(), checked["session_id"], checked["code"], bound)

    def message(
        self,
        outcome: VerifyResult | ConfirmResult | OtpAuthError | HTTPException,
        language: str | None = None,
    ) -> str:
        """Return what to say to a person about a result or an error, in the words of the page.

        :param outcome: a result of :meth:`verify` or :meth:`confirm`, or an error that one of the
            methods or :meth:`limit_client` has raised.
        :param language: a BCP 47 tag; without it, the language of the current request.
        :returns: a sentence, in plain text. For :exc:`~flask_otp_auth.exceptions.Refused` it is the
            text of the application.
        """
        catalogue = self._state().settings.texts
        return sentence(catalogue.texts(language or preferred_language(catalogue)), outcome)

    def get_session(self, session_id: str) -> Session | None:
        """Return the present state of a session, without anything that helps to guess its code.

        :param session_id: the id that :meth:`initiate` returned.
        :returns: the session, or ``None`` if there is no such session.
        :raises InvalidRequest: *session_id* is not a string.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        if not isinstance(session_id, str):
            raise InvalidRequest(fields={"sessionId": ["Not a valid string."]})
        return flow.find_session(self._state(), session_id)

    def is_logged_out(self, jwt_payload: Mapping[str, Any]) -> bool:
        """Return whether a token has been revoked by a logout or by the end of its login.

        ``jwt_required`` asks this by itself, also beside a ``token_in_blocklist_loader`` of the
        application.

        :param jwt_payload: the claims of a token whose signature has been verified.
        :returns: ``True`` if the token must not be accepted.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        self._state()
        return is_logged_out({}, jwt_payload)

    def logins(self, user_id: UserId) -> list[Login]:
        """Return the logins of a user that can be refreshed, the newest first.

        :param user_id: the subject of the user's tokens, a str, int, UUID or ObjectId.
        :raises InvalidRequest: *user_id* is no id.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        return flow.logins_of(self._state(), user_id)

    def end_logins(self, user_id: UserId, keep: Mapping[str, Any] | None = None) -> int:
        """End all logins of a user, and refuse every token that was made for them before.

        A login after this call is not affected. The order is that of the clock of the database, in
        milliseconds. Tokens that the application made itself have only whole seconds, so those of
        the present second are refused as well.

        :param user_id: the subject of the user's tokens, a str, int, UUID or ObjectId.
        :param keep: the claims of a token of this user, such as ``get_jwt()``, whose login goes on.
            If it has no login that can be refreshed, the token itself goes on.
        :returns: how many logins have ended that could be refreshed.
        :raises InvalidRequest: *user_id* is no id.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        return flow.end_logins(self._state(), user_id, keep)

    def export(self, identifier: str, method: Method) -> dict[str, Any]:
        """Return everything that is stored about an identifier, ready for JSON.

        :param identifier: a phone number or email address, in any accepted form.
        :param method: ``"sms"`` or ``"email"``.
        :returns: ``identifier`` (normalised), ``method``, ``sessions`` with the newest first, and
            ``accounts``: the counts of its account and of its trusted devices. There are no
            digests, and times are in ISO 8601.
        :raises InvalidIdentifier: *identifier* does not have an accepted form.
        :raises InvalidRequest: *method* is not one of ``OTP_AUTH_METHODS``.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        return flow.export(*self._checked(identifier, method))

    def erase(self, identifier: str, method: Method) -> int:
        """Delete the sessions of an identifier.

        The counts of its account stay until they lapse, under an HMAC, so that erasing is no way to
        more guesses.

        :param identifier: a phone number or email address, in any accepted form.
        :param method: ``"sms"`` or ``"email"``.
        :returns: how many sessions were deleted.
        :raises InvalidIdentifier: *identifier* does not have an accepted form.
        :raises InvalidRequest: *method* is not one of ``OTP_AUTH_METHODS``.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        return flow.erase(*self._checked(identifier, method))

    def _checked(self, identifier: str, method: Method) -> tuple[AppState, str, Method]:
        """Return the state, and what names a person, in the form that a request has."""
        state = self._state()
        body = _checked_initiate(state, {"identifier": identifier, "method": method})
        return state, body["identifier"], method

    def _state(self) -> AppState:
        return self._state_of(current_app)

    def _state_of(self, app: Flask) -> AppState:
        state = app.extensions.get(EXTENSION)
        if state is None or state.owner is not self:
            raise RuntimeError(
                "This FlaskOtpAuth has not been initialised on the current app; "
                "call init_app(app) first."
            )
        return cast(AppState, state)


def _checked_initiate(state: AppState, body: dict[str, Any]) -> dict[str, Any]:
    return schemas.load(
        schemas.initiate_request(state.settings.methods, trusts_devices=False), body
    )


def _client() -> str | None:
    """Return the address of the client of the current request, if there is one."""
    return request.remote_addr if has_request_context() else None
