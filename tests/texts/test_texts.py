"""The words that people read: complete in every language, and the application's own if it likes."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from flask import Flask

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.exceptions import ConfigurationError
from flask_otp_auth.texts import LANGUAGES, Catalogue

ARABIC = {"title": "تسجيل الدخول", "message_intro": "رمز الدخول إلى {app} هو"}


def test_every_language_has_every_text_with_the_same_places_to_fill() -> None:
    def places(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    from flask_otp_auth.texts import _of_package

    english = _of_package("en")
    for language in LANGUAGES:
        words = _of_package(language)
        assert list(words) == list(english), language
        for key, text in words.items():
            assert text.strip(), (language, key)
            assert places(text) == places(english[key]), (language, key)


def test_german_addresses_people_as_sie_everywhere() -> None:
    """A page that says "du" beside a message that says "Sie" looks like somebody else's."""
    familiar = re.compile(r"\b(du|dir|dich|dein\w*|gib|prüfe|fordere|wende)\b", re.IGNORECASE)
    words = Catalogue().texts("de").words
    assert "Ihr " in words["message_intro"]
    assert [text for text in words.values() if familiar.search(text)] == []


@pytest.mark.parametrize(
    ("tag", "title"),
    [
        ("pt-BR", "Entrar"),
        ("pt_BR", "Entrar"),
        ("PT-br", "Entrar"),
        ("pt-BR-x-own", "Entrar"),
        ("pt-PT", "Iniciar sessão"),
        ("pt", "Iniciar sessão"),
        ("de-AT", "Servus"),
        ("de", "Anmelden"),
        ("xx", "Sign in"),
        ("", "Sign in"),
        (None, "Sign in"),
        ("-", "Sign in"),
    ],
)
def test_exact_language_wins_then_its_language_then_english(tag: str | None, title: str) -> None:
    catalogue = Catalogue.read(
        {
            "pt-BR": {"title": "Entrar"},
            "pt": {"title": "Iniciar sessão", "code": "Código!"},
            "de-AT": {"title": "Servus"},
        }
    )
    assert catalogue.texts(tag).words["title"] == title


def test_long_tag_of_a_stranger_keeps_no_worker_busy() -> None:
    start = time.process_time()
    assert Catalogue().match("sv-" + "-".join("a" * 30_000)) == "sv"
    assert time.process_time() - start < 0.5


def test_word_that_a_language_lacks_is_said_in_its_parent_language_and_then_in_english() -> None:
    catalogue = Catalogue.read({"de-AT": {"title": "Servus"}, "ar": ARABIC})
    german, arabic = catalogue.texts("de-AT"), catalogue.texts("ar")

    assert (german.language, german.words["send"]) == ("de-AT", "Code senden")
    assert (arabic.words["title"], arabic.words["send"]) == (ARABIC["title"], "Send code")


@pytest.mark.parametrize("tag", ["ar", "ar-EG", "he", "fa", "ur-PK"])
def test_language_from_right_to_left_says_so(tag: str) -> None:
    assert Catalogue.read({tag: {"title": "x"}}).texts(tag).dir == "rtl"
    assert Catalogue().texts(tag).dir == "ltr"  # what is shown is English


def test_changes_of_one_application_are_not_those_of_another() -> None:
    Catalogue.read({"en": {"title": "Come in"}})
    assert Catalogue().texts("en").words["title"] == "Sign in"


def test_value_that_is_put_into_a_text_brings_in_no_other() -> None:
    texts = Catalogue().texts("en")
    said = texts.say("message_asked_from", when="{client}", client="{when}")
    assert said == "It was asked for on {client} from the address {when}."


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"de": {"titel": "Hallo"}}, ["'titel'", "de", "title"]),
        ({"de": {"@": "Hallo"}}, ["'@'", "title"]),
        ({"de": {3: "Hallo"}}, ["3"]),
        ({"de": {"title": None}}, ["de", "title"]),
        ({"de": {"title": " "}}, ["de", "title"]),
        ({"de": {"title": "{app}"}}, ["{app}", "nothing"]),
        ({"de": {"good_for": "{count}"}}, ["{count}", "{time}"]),
        ({"de": "Hallo"}, ["str", "de"]),
        ({"title": "Hallo"}, ["title"]),
        ({"": {"title": "Hallo"}}, ["''"]),
        ({None: {"title": "Hallo"}}, ["None"]),
        ({"d e": {"title": "Hallo"}}, ["'d e'"]),
        ({"pt-BR": {}, "pt_br": {}}, ["pt-br", "twice"]),
        (["de"], ["list"]),
        ("de", ["str"]),
    ],
    ids=repr,
)
def test_text_that_would_never_be_shown_is_refused_at_the_start(
    value: Any, says: list[str]
) -> None:
    app = Flask("app")
    app.config.update(SECRET_KEY="k" * 32, OTP_AUTH_TEXTS=value)
    with pytest.raises(ConfigurationError) as caught:
        FlaskOtpAuth(app)
    assert caught.value.key == "OTP_AUTH_TEXTS"
    for part in says:
        assert part in str(caught.value)
