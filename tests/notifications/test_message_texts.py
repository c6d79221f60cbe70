"""The built-in texts of messages in every language are those of tests/data/message_texts.json.

Moving texts changes none of them. After an intended change, run `PYTHONPATH=. python` with this file.
"""

import json
from pathlib import Path

import pytest

from app.core.languages import LANGUAGES
from app.insight.anomalies import ALL_FIGURES
from app.notifications.default_templates import (
    EVENTS,
    HEALTH_PROBLEMS,
    alarm_template,
    default_templates,
    figure_line,
    full_line,
    full_now,
    health_words,
    more_line,
    overdue_line,
)
from app.notifications.messages import OUTCOMES, STATUSES, missed_text, outcome_word, status_word, tolerance_text
from app.schedules.overdue import TOLERANCES

TEXTS = Path(__file__).resolve().parents[1] / "data" / "message_texts.json"


def texts(language: str) -> dict[str, str]:
    """Return all built-in texts of messages in a language, by name."""
    templates = {**default_templates(language), **{event: alarm_template(event, language) for event in EVENTS}}
    return {
        **{f"title {name}": template.title for name, template in templates.items()},
        **{f"message {name}": template.message for name, template in templates.items()},
        **{f"health {kind}": health_words(kind, language) for kind in HEALTH_PROBLEMS},
        **{f"figure {figure}": figure_line(figure, "3", "2", language) for figure in ALL_FIGURES},
        **{f"status {status}": status_word(status, language) for status in sorted(STATUSES)},
        **{f"outcome {outcome}": outcome_word(outcome, language) for outcome in OUTCOMES},
        **{f"tolerance {tolerance}": tolerance_text(tolerance, language) for tolerance in TOLERANCES},
        **{f"missed {count}": missed_text(count, language) for count in (1, 2)},
        "overdue": overdue_line(language),
        "full": full_line(language),
        "now": full_now(language),
        "more": more_line(language),
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_equal_the_stored_ones(language: str):
    assert texts(language) == json.loads(TEXTS.read_text())[language]


if __name__ == "__main__":
    all_texts = {language: texts(language) for language in LANGUAGES}
    TEXTS.write_text(json.dumps(all_texts, ensure_ascii=False, indent=1) + "\n")
