"""The language of a client: from Flask-Babel if the application uses it, else from the request."""

from __future__ import annotations

from flask import current_app, has_request_context, request

from ..sending.texts import DEFAULT_LANGUAGE, LANGUAGES


def preferred_language() -> str | None:
    """Return the language for messages to the client of the current request.

    With Flask-Babel it can be any language, since the application may have its own templates.
    Without it, the ``Accept-Language`` of the request chooses from the languages of this package.

    :returns: a BCP 47 tag such as ``"sv"`` or ``"pt-BR"``, or ``None`` if it is not known.
    """
    if "babel" in current_app.extensions:
        return _language_of_babel()
    if not has_request_context():
        return None
    # Werkzeug's best_match() would choose German for "fr-CH, de;q=0.5".
    for tag, quality in request.accept_languages:
        language = tag.partition("-")[0].lower()
        if quality > 0 and language in LANGUAGES:
            return language
    return DEFAULT_LANGUAGE


def _language_of_babel() -> str | None:
    from flask_babel import get_locale

    try:
        locale = get_locale()
    except RuntimeError:
        if has_request_context():
            raise
        return None  # a locale selector that uses the request fails outside of one
    return None if locale is None else str(locale).replace("_", "-")
