"""The trend of a destination, and when it will be full."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import trial

from app.insight.forecasts import (
    WARNING_DAYS,
    free_bytes,
    full_at,
    growth_a_day,
    is_space_again,
    next_warning,
    weekly_points,
)

NOW = datetime(2031, 5, 4, tzinfo=UTC)
WEEKLY = [(7 * week, 100 * week) for week in range(8)]


def test_a_steady_growth_is_found():
    assert growth_a_day(WEEKLY) == pytest.approx(100 / 7)


def test_versions_deleted_once_do_not_change_the_trend():
    assert growth_a_day([*WEEKLY[:5], (35, 30), *WEEKLY[6:]]) == pytest.approx(100 / 7)


def test_a_forecast_needs_a_month():
    assert growth_a_day(WEEKLY[:3]) is None
    assert growth_a_day([]) is None


def test_the_last_day_of_each_week_counts():
    assert weekly_points([(7, 1), (9, 2), (13, 3), (14, 4)]) == [(13, 3), (14, 4)]


@pytest.mark.parametrize(
    ("stored", "entered", "reported", "left"),
    [
        (40, None, None, None),  # unknown
        (40, None, 7, 7),
        (40, 100, 7, 60),  # the entered value takes precedence
        (40, 30, 7, 0),
    ],
)
def test_the_space_left(stored, entered, reported, left):
    assert free_bytes(stored, entered, reported) == left


@pytest.mark.parametrize(
    ("left", "growth", "days"),
    [
        (700, 100.0, 7),
        (0, None, 0),
        (700, 0.0, None),
        (700, -5.0, None),
        (700, None, None),
        (None, 5.0, None),
        (1_000_000, 1.0, None),  # too far in the future
    ],
)
def test_when_it_will_be_full(left, growth, days):
    assert full_at(left, growth, NOW) == (None if days is None else NOW + timedelta(days=days))


def test_without_a_run_there_is_no_forecast():
    assert full_at(5, 5.0, None) is None


@pytest.mark.parametrize(
    ("days", "notified", "due"),
    [
        (None, None, None),
        (30, None, None),
        (29.99, None, 30),
        (29.99, 30, None),
        (7, 30, None),
        (6.99, 30, 7),
        (6.99, None, 7),
        (0, 7, None),
        (-3, None, 7),
        (20, 7, None),
    ],
)
def test_each_number_of_days_is_due_once(days, notified, due):
    assert next_warning(None if days is None else NOW + timedelta(days=days), NOW, notified) == due


@pytest.mark.parametrize(
    ("days", "left", "is_again"),
    [
        (45, 500, False),
        (45.1, 500, True),
        (None, None, True),
        (None, 500, True),
        (None, 0, False),
        (900, 10, False),  # a hundredth of the stored bytes
        (900, 11, True),
    ],
)
def test_notifications_may_be_repeated_after_space_was_freed(days, left, is_again):
    at = None if days is None else NOW + timedelta(days=days)
    assert is_space_again(at, NOW, left, 1000) is is_again


@trial()
@given(st.lists(st.floats(-5, 45), max_size=60))
def test_below_the_safe_number_of_days_each_message_is_sent_at_most_once(forecasts):
    notified, sent = None, []
    for days in forecasts:
        at = NOW + timedelta(days=days)
        if is_space_again(at, NOW, 500, 1000):
            notified = None
        if (due := next_warning(at, NOW, notified)) is not None:
            notified = due
            sent.append(due)
    assert len(sent) == len(set(sent)) <= len(WARNING_DAYS)
    assert sent == sorted(sent, reverse=True)
