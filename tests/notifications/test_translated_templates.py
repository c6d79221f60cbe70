"""The built-in templates in other languages say the same as the English ones."""

import re

import pytest

from app.core.languages import DEFAULT_LANGUAGE, LANGUAGES
from app.notifications.default_templates import DEFAULT_TEMPLATES, default_templates

PLACEHOLDER = re.compile(r"\{(\w+)\}")
OTHERS = [code for code in LANGUAGES if code != DEFAULT_LANGUAGE]


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("kind", DEFAULT_TEMPLATES)
def test_a_translation_tells_everything_that_english_tells(language, kind):
    english, translated = DEFAULT_TEMPLATES[kind], default_templates(language)[kind]
    for name in ("title", "message"):
        told = [set(PLACEHOLDER.findall(getattr(template, name))) for template in (english, translated)]
        assert told[0] == told[1]
    assert (translated.priority, translated.tags) == (english.priority, english.tags)
    assert translated.message != english.message


@pytest.mark.parametrize("language", OTHERS)
def test_the_title_of_lateness_is_translated(language):
    assert "Overdue" not in default_templates(language)["overdueBackup"].title


@pytest.mark.parametrize("language", ["en-GB", "tlh"])
def test_languages_without_a_translation_have_the_english_templates(language):
    assert default_templates(language) == DEFAULT_TEMPLATES


def test_the_old_code_of_hindi_has_the_templates_of_the_new_one():
    assert default_templates("hi-Latn") == default_templates("hi") != DEFAULT_TEMPLATES
