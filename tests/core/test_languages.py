"""Catalogues outside a request: which language has which text."""

import pytest

from app.core.languages import DEFAULT_LANGUAGE, LANGUAGES, catalog

STATUS = "status of a run"


def test_english_has_the_texts_of_the_sources():
    assert catalog(DEFAULT_LANGUAGE).pgettext(STATUS, "Error") == "Error"


def test_an_unknown_language_is_english():
    assert catalog("tlh").gettext("Resolved:\n\n{problems}") == "Resolved:\n\n{problems}"


@pytest.mark.parametrize(
    ("language", "text"), [("de", "Fehler"), ("hi", "\u0924\u094d\u0930\u0941\u091f\u093f"), ("hi-Latn", "Truti")]
)
def test_languages_have_their_own_texts(language, text):
    assert catalog(language).pgettext(STATUS, "Error") == text


def test_a_variant_inherits_missing_texts_from_its_base():
    text = "Resolved:\n\n{problems}"
    assert catalog("hi-Latn").gettext(text) == catalog("hi").gettext(text) != text


@pytest.mark.parametrize("language", [code for code, language in LANGUAGES.items() if code != DEFAULT_LANGUAGE])
def test_every_language_has_a_catalogue(language):
    assert catalog(language).pgettext(STATUS, "Success") != "Success"
