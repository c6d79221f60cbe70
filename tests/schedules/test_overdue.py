"""Deadlines, and reminders."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.schedules.next_run import deadline
from app.schedules.overdue import (
    DEFAULT_FREQUENCY,
    DEFAULT_TOLERANCE,
    FREQUENCIES,
    TOLERANCES,
    is_overdue,
    should_alert_again,
)

NOON = datetime(2026, 1, 6, 12, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def test_tolerances_are_those_of_the_api() -> None:
    minutes = {key: tolerance // timedelta(minutes=1) for key, tolerance in TOLERANCES.items()}
    assert minutes == {
        "no_tolerance": 0,
        "5min": 5,
        "15min": 15,
        "30min": 30,
        "1h": 60,
        "2h": 120,
        "4h": 240,
        "6h": 360,
        "12h": 720,
        "1d": 1440,
    }


def test_defaults_are_two_hours_and_every_day() -> None:
    assert (DEFAULT_TOLERANCE in TOLERANCES, DEFAULT_TOLERANCE) == (True, "2h")
    assert (DEFAULT_FREQUENCY in FREQUENCIES, DEFAULT_FREQUENCY) == (True, "every_day")


@pytest.mark.parametrize(("late", "overdue"), [(-MILLISECOND, False), (timedelta(), False), (MILLISECOND, True)])
@pytest.mark.parametrize("tolerance", TOLERANCES.values(), ids=TOLERANCES)
def test_job_is_overdue_only_after_the_deadline(tolerance: timedelta, late: timedelta, overdue: bool) -> None:
    assert is_overdue(deadline(NOON, tolerance), NOON + tolerance + late) is overdue


@pytest.mark.parametrize("text", ["2026-03-28T23:00:00+00:00", "2026-10-24T23:00:00+00:00"])
def test_tolerance_is_exact_across_a_change_of_the_clocks(text: str) -> None:
    expected_at = datetime.fromisoformat(text)
    in_london = deadline(expected_at.astimezone(ZoneInfo("Europe/London")), TOLERANCES["4h"])
    assert in_london - expected_at == timedelta(hours=4)


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_first_alert_is_sent_at_once(frequency: str) -> None:
    assert should_alert_again(None, NOON, frequency, NOON)


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_run_since_the_last_alert_allows_a_new_one(frequency: str) -> None:
    assert should_alert_again(NOON, NOON + MILLISECOND, frequency, NOON + timedelta(minutes=5))


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_run_at_the_time_of_the_last_alert_does_not(frequency: str) -> None:
    assert not should_alert_again(NOON, NOON, frequency, NOON + timedelta(minutes=5))


@pytest.mark.parametrize(("frequency", "days"), [("every_day", 1), ("every_week", 7), ("every_month", 30)])
def test_alert_is_repeated_after_its_interval(frequency: str, days: int) -> None:
    due_at = NOON + timedelta(days=days)
    assert not should_alert_again(NOON, None, frequency, due_at - MILLISECOND)
    assert should_alert_again(NOON, None, frequency, due_at)


def test_alert_without_repeats_is_not_repeated() -> None:
    assert not should_alert_again(NOON, NOON - timedelta(days=2), "onetime", NOON + timedelta(days=4000))
