"""The built-in templates in other languages have the same content as the English ones."""

import re

import pytest

from app.core.languages import DEFAULT_LANGUAGE, LANGUAGES
from app.notifications.default_templates import DEFAULT_TEMPLATES, default_templates

PLACEHOLDER = re.compile(r"\{(\w+)\}")
OTHERS = [code for code in LANGUAGES if code != DEFAULT_LANGUAGE]


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("kind", DEFAULT_TEMPLATES)
def test_a_translation_contains_everything_of_the_english_template(language, kind):
    english, translated = DEFAULT_TEMPLATES[kind], default_templates(language)[kind]
    for name in ("title", "message"):
        placeholders = [set(PLACEHOLDER.findall(getattr(template, name))) for template in (english, translated)]
        assert placeholders[0] == placeholders[1]
    assert (translated.priority, translated.tags) == (english.priority, english.tags)
    assert translated.message != english.message


@pytest.mark.parametrize("language", OTHERS)
def test_the_title_of_overdue_is_translated(language):
    assert "Overdue" not in default_templates(language)["overdueBackup"].title


@pytest.mark.parametrize("language", ["en-GB", "tlh"])
def test_languages_without_a_translation_have_the_english_templates(language):
    assert default_templates(language) == DEFAULT_TEMPLATES


def test_the_old_code_of_hindi_has_the_templates_of_the_new_one():
    assert default_templates("hi-Latn") == default_templates("hi") != DEFAULT_TEMPLATES
