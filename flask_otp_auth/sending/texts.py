"""The texts of the messages, in each supported language.

The texts of an SMS use only the GSM 03.38 alphabet, so that it fits into a single message.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts around the code of a message, in one language.

    :param language: the primary language subtag (BCP 47).
    :param subject: the subject of an email.
    :param intro: the words before the code.
    :param expiry: says for how many minutes the code is valid.
    :param warning: asks the recipient not to share the code.
    :param ignore: tells recipients who did not ask for a code that they can ignore the message.
    """

    language: str
    subject: str
    intro: str
    expiry: str
    warning: str
    ignore: str


# {time} stands for the singular or the plural of _MINUTES.
_CATALOGUE = {
    "en": Texts(
        "en",
        subject="Your login code for {app}",
        intro="Your code for {app} is",
        expiry="It expires in {time}.",
        warning="Never share it with anyone.",
        ignore="If you did not ask for a code, you can ignore this message.",
    ),
    "sv": Texts(
        "sv",
        subject="Din inloggningskod för {app}",
        intro="Din kod för {app} är",
        expiry="Den gäller i {time}.",
        warning="Dela den aldrig med någon.",
        ignore="Om du inte har bett om någon kod kan du bortse från det här meddelandet.",
    ),
    "de": Texts(
        "de",
        subject="Ihr Anmeldecode für {app}",
        intro="Ihr Code für {app} lautet",
        expiry="Er gilt {time}.",
        warning="Geben Sie ihn niemals weiter.",
        ignore="Wenn Sie keinen Code angefordert haben, können Sie diese Nachricht ignorieren.",
    ),
    "fr": Texts(
        "fr",
        subject="Votre code de connexion à {app}",
        intro="Votre code pour {app} est",
        expiry="Il expire dans {time}.",
        warning="Ne le partagez jamais.",
        ignore="Si vous n'avez pas demandé de code, vous pouvez ignorer ce message.",
    ),
    "es": Texts(
        "es",
        subject="Tu clave de acceso a {app}",
        intro="Tu clave para {app} es",
        expiry="Caduca en {time}.",
        warning="No la compartas con nadie.",
        ignore="Si no has pedido ninguna clave, puedes ignorar este mensaje.",
    ),
}
_MINUTES = {
    "en": ("1 minute", "{} minutes"),
    "sv": ("1 minut", "{} minuter"),
    "de": ("1 Minute", "{} Minuten"),
    "fr": ("1 minute", "{} minutes"),
    "es": ("1 minuto", "{} minutos"),
}
LANGUAGES = tuple(_CATALOGUE)


def texts_in(locale: str, app_name: str, minutes: int) -> Texts:
    """Return the texts in a language, or in English if the language is not supported.

    :param locale: a BCP 47 or POSIX name, such as ``sv``, ``de-AT`` or ``pt_BR``.
    :param app_name: the name of the application.
    :param minutes: the minutes for which the code is still valid, at least 1.
    """
    language = locale.replace("_", "-").partition("-")[0].lower()
    raw = _CATALOGUE.get(language, _CATALOGUE[DEFAULT_LANGUAGE])
    one, many = _MINUTES[raw.language]
    time = one if minutes == 1 else many.format(minutes)
    return Texts(
        raw.language,
        subject=raw.subject.format(app=app_name),
        intro=raw.intro.format(app=app_name),
        expiry=raw.expiry.format(time=time),
        warning=raw.warning,
        ignore=raw.ignore,
    )
