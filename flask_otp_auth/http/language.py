"""The language of the person who asks: of Flask-Babel where the app has it, else of the request."""

from __future__ import annotations

from flask import current_app, has_request_context, request

from ..sending.texts import DEFAULT_LANGUAGE, LANGUAGES


def preferred_language() -> str | None:
    """Return the language that a message to the client of this request should be in.

    Flask-Babel may give any language, since the app may have templates in it; without it the
    request's ``Accept-Language`` chooses among those that the package speaks.

    :returns: a BCP 47 tag such as ``"sv"`` or ``"pt-BR"``, or ``None`` where nothing says.
    """
    if "babel" in current_app.extensions:
        return _language_of_babel()
    if not has_request_context():
        return None
    # Werkzeug's best_match() would give "fr-CH, de;q=0.5" German.
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
        return None  # a selector that looks at the request cannot be asked outside of one
    return None if locale is None else str(locale).replace("_", "-")
