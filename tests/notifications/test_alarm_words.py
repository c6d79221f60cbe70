"""Alarms have words in every language that templates have, with the same gaps."""

import pytest

from app.insight.anomalies import ALL_FIGURES
from app.notifications.alarm_words import (
    EVENTS,
    FIGURE_WORDS,
    FULL_WORDS,
    HEALTH_KINDS,
    HEALTH_WORDS,
    WORDS,
    alarm_template,
    figure_line,
    health_words,
    list_words,
)
from app.notifications.default_templates import DEFAULT_LANGUAGE
from app.notifications.messages import alarm_language
from app.notifications.templates import unknown_placeholders
from app.notifications.wording import LANGUAGES


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


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_figure_that_can_be_unusual_has_a_name_in_every_language(language: str):
    lines = {figure_line(figure, "41,230", "210", alarm_language(language)) for figure in ALL_FIGURES}
    assert len(lines) == len(ALL_FIGURES)
    assert all("41,230" in line and "210" in line for line in lines)


@pytest.mark.parametrize("language", sorted(FIGURE_WORDS.keys() - {DEFAULT_LANGUAGE}))
def test_names_of_figures_are_words_of_the_language(language: str):
    (line, names), (english_line, english_names) = FIGURE_WORDS[language], FIGURE_WORDS[DEFAULT_LANGUAGE]
    assert line != english_line
    assert not set(names) & set(english_names)


@pytest.mark.parametrize("language", LANGUAGES)
def test_lines_about_full_destinations_have_the_gaps_of_the_english_one(language: str):
    for own, english in zip(FULL_WORDS[alarm_language(language)], FULL_WORDS[DEFAULT_LANGUAGE], strict=True):
        assert gaps(own) == gaps(english)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_trouble_with_duplistatus_itself_has_a_sentence(language: str):
    sentences = {health_words(kind, alarm_language(language)) for kind in HEALTH_KINDS}
    assert len(sentences) == len(HEALTH_KINDS)


@pytest.mark.parametrize("language", sorted(HEALTH_WORDS.keys() - {DEFAULT_LANGUAGE}))
def test_these_sentences_are_translated(language: str):
    assert not set(HEALTH_WORDS[language]) & set(HEALTH_WORDS[DEFAULT_LANGUAGE])
