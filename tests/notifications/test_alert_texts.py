"""The texts of alarms in every language."""

import pytest

from app.core.languages import DEFAULT_LANGUAGE, LANGUAGES
from app.insight.anomalies import ALL_FIGURES
from app.notifications.default_templates import (
    EVENTS,
    HEALTH_PROBLEMS,
    alarm_template,
    figure_line,
    full_line,
    health_words,
    more_line,
    overdue_line,
)

OTHERS = [code for code in LANGUAGES if code != DEFAULT_LANGUAGE]


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("event", EVENTS)
def test_alarms_are_translated(event: str, language: str):
    own, english = alarm_template(event, language), alarm_template(event, DEFAULT_LANGUAGE)
    assert own.title != english.title
    assert own.message != english.message
    assert (own.priority, own.tags) == (english.priority, english.tags)


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("line", [overdue_line, full_line, more_line])
def test_lines_of_lists_are_translated(line, language: str):
    assert line(language) != line(DEFAULT_LANGUAGE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_figure_that_can_be_unusual_has_a_name_in_every_language(language: str):
    lines = {figure_line(figure, "41,230", "210", language) for figure in ALL_FIGURES}
    assert len(lines) == len(ALL_FIGURES)
    assert all("41,230" in line and "210" in line for line in lines)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_problem_of_duplistatus_has_a_text(language: str):
    sentences = {health_words(kind, language) for kind in HEALTH_PROBLEMS}
    assert len(sentences) == len(HEALTH_PROBLEMS)
