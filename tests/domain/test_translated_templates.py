"""The built-in templates in other languages say the same as the English ones."""

import re

import pytest

from app.domain.default_templates import DEFAULT_TEMPLATES, default_templates
from app.domain.translated_templates import WORDS

PLACEHOLDER = re.compile(r"\{(\w+)\}")


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("kind", DEFAULT_TEMPLATES)
def test_a_translation_tells_everything_that_english_tells(language, kind):
    english, translated = DEFAULT_TEMPLATES[kind], default_templates(language)[kind]
    for name in ("title", "message"):
        told = [set(PLACEHOLDER.findall(getattr(template, name))) for template in (english, translated)]
        assert told[0] == told[1]
    assert (translated.priority, translated.tags) == (english.priority, english.tags)
    assert translated.message != english.message


@pytest.mark.parametrize("language", WORDS)
def test_the_title_of_lateness_is_translated(language):
    assert "Overdue" not in default_templates(language)["overdueBackup"].title


@pytest.mark.parametrize("language", ["en-GB", "hi-Latn", "hi"])
def test_languages_without_a_translation_have_the_english_templates(language):
    assert default_templates(language) == DEFAULT_TEMPLATES
