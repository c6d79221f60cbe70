"""Texts for elapsed time, at the boundaries of every unit."""

from datetime import UTC, datetime, timedelta

import pytest

from app.notifications.messages import elapsed_text, relative_text

NOW = datetime(2026, 1, 6, 12, tzinfo=UTC)
DAY_S = 86_400


@pytest.mark.parametrize(
    ("passed_s", "text"),
    [
        (-0.001, "in the future"),
        (0, "just now"),
        (14.999, "just now"),
        (15, "0 minutes"),
        (59, "0 minutes"),
        (60, "1 minute"),
        (3599, "59 minutes"),
        (3600, "1 hour"),
        (DAY_S - 1, "23 hours"),
        (DAY_S, "1 day"),
        (7 * DAY_S - 1, "6 days"),
        (7 * DAY_S, "1 week"),
        (30 * DAY_S - 1, "4 weeks"),
        (30 * DAY_S, "1 month"),
        (365 * DAY_S - 1, "12 months"),
        (365 * DAY_S, "1 year"),
        (395 * DAY_S - 1, "1 year"),
        (395 * DAY_S, "1 year and 1 month"),
        (800 * DAY_S, "2 years and 2 months"),
    ],
)
def test_elapsed_text(passed_s: float, text: str) -> None:
    assert elapsed_text(NOW - timedelta(seconds=passed_s), NOW) == text


@pytest.mark.parametrize(
    ("passed_s", "text"),
    [
        (-800 * DAY_S, "in 2 years and 2 months"),
        (-DAY_S, "in 1 day"),
        (-60, "in 1 minute"),
        (-14.001, "in 15 seconds"),
        (-14, "just now"),
        (0, "just now"),
        (14.999, "just now"),
        (15, "15 seconds ago"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (7200, "2 hours ago"),
        (7 * DAY_S, "1 week ago"),
        (60 * DAY_S, "2 months ago"),
        (365 * DAY_S, "1 year ago"),
        (395 * DAY_S, "1 year and 1 month ago"),
    ],
)
def test_relative_text(passed_s: float, text: str) -> None:
    assert relative_text(NOW - timedelta(seconds=passed_s), NOW) == text


def test_unknown_time_has_no_text() -> None:
    assert (elapsed_text(None, NOW), relative_text(None, NOW)) == ("", "")
