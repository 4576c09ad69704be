"""The language of a client: from Flask-Babel if the application uses it, else from the request."""

from __future__ import annotations

import logging

from flask import current_app, has_request_context, request

from .redaction import describe
from .texts import DEFAULT_LANGUAGE, Catalogue

_log = logging.getLogger("flask_otp_auth")


def preferred_language(catalogue: Catalogue) -> str | None:
    """Return the language for messages to the client of the current request.

    With Flask-Babel it can be any language, since the application may have its own templates.
    Without it, the ``Accept-Language`` of the request chooses from the languages of *catalogue*.

    :param catalogue: the texts of the application.
    :returns: a BCP 47 tag such as ``"sv"`` or ``"pt-BR"``, or ``None`` if it is not known.
    """
    if "babel" in current_app.extensions:
        return _language_of_babel()
    if not has_request_context():
        return None
    # Werkzeug's best_match() would choose German for "fr-CH, de;q=0.5".
    for tag, quality in request.accept_languages:
        if quality > 0 and (language := catalogue.match(tag)) is not None:
            return language
    return DEFAULT_LANGUAGE


def _language_of_babel() -> str | None:
    """Return the locale of the application, or ``None`` if it names none: no login fails by it."""
    from flask_babel import get_locale

    try:
        locale = get_locale()
    except Exception as error:
        if has_request_context():  # outside, a selector that uses the request is expected to fail
            _log.warning("Flask-Babel has no locale, so English is used: %s", describe(error))
        return None
    return None if locale is None else str(locale).replace("_", "-")
