"""Alarms have words in every language that templates have, with the same gaps."""

import pytest

from app.domain.alarm_words import EVENTS, WORDS, alarm_template, list_words
from app.domain.default_templates import DEFAULT_LANGUAGE
from app.domain.templates import unknown_placeholders
from app.services.messages import alarm_language
from app.services.wording import LANGUAGES


def gaps(text: str) -> set[str]:
    return set(unknown_placeholders(text, "success")) | {
        name for name in ("server_alias", "backup_name", "server_name") if f"{{{name}}}" in text
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_of_templates_has_every_alarm_with_the_gaps_of_the_english_one(language: str):
    code = alarm_language(language)
    assert WORDS[code].keys() == {*EVENTS, "list"}
    for event in EVENTS:
        own, english = alarm_template(event, code), alarm_template(event, DEFAULT_LANGUAGE)
        assert gaps(own.title + own.message) == gaps(english.title + english.message)
    assert [gaps(line) for line in list_words(code)] == [gaps(line) for line in list_words(DEFAULT_LANGUAGE)]


@pytest.mark.parametrize("language", sorted(WORDS.keys() - {DEFAULT_LANGUAGE}))
def test_every_language_has_words_of_its_own(language: str):
    own, english = WORDS[language], WORDS[DEFAULT_LANGUAGE]
    assert [event for event in own if set(own[event]) & set(english[event])] == []
