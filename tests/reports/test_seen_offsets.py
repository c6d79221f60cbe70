"""The observed offsets of a server, stored as periods."""

from datetime import UTC, datetime, timedelta

from app.core.instants import to_milliseconds
from app.reports.versions import MOST_PERIODS, SeenOffset, add_offset, seen_offsets

START = datetime(2031, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def periods(*shown: tuple[float, int]) -> list[list[int]]:
    """Return the periods after the observations of these days."""
    found: list[list[int]] = []
    for day, minutes in shown:
        found = add_offset(found, START + day * DAY, minutes) or found
    return found


def days(found: list[list[int]]) -> list[tuple[float, float, int]]:
    start = to_milliseconds(START)
    return [((first - start) / 86_400_000, (last - start) / 86_400_000, minutes) for first, last, minutes in found]


def test_the_same_offset_makes_one_period():
    assert days(periods((0, 60), (1, 60), (5, 60))) == [(0, 5, 60)]


def test_another_offset_starts_a_period():
    assert days(periods((0, 60), (5, 60), (9, 120), (12, 120), (20, 60))) == [(0, 5, 60), (9, 12, 120), (20, 20, 60)]


def test_reports_close_to_each_other_change_nothing():
    known = periods((0, 60), (9, 60))
    for day, is_new in ((-2, True), (-1.9, False), (9, False), (10.9, False), (11, True)):
        assert (add_offset(known, START + day * DAY, 60) is not None) == is_new


def test_a_report_within_a_period_changes_nothing():
    assert add_offset(periods((0, 60), (9, 60)), START + 4 * DAY, 60) is None


def test_another_offset_within_a_period_splits_it():
    assert days(periods((0, 60), (9, 60), (4, 120))) == [(0, 0, 60), (4, 4, 120), (9, 9, 60)]


def test_reports_may_come_in_any_order():
    assert days(periods((9, 120), (0, 60), (12, 120), (5, 60))) == [(0, 5, 60), (9, 12, 120)]


def test_the_newest_periods_are_kept():
    found = periods(*((day, 60 * (day % 2)) for day in range(MOST_PERIODS + 3)))
    assert (len(found), days(found)[0][0]) == (MOST_PERIODS, 3)


def test_invalid_periods_are_skipped():
    broken = [None, "x", [1], [1, 2, "x"], [True, 2, 3]]
    assert seen_offsets([*broken, *periods((0, 60))]) == [SeenOffset(START, 60)]
    assert days(add_offset(broken, START, 60)) == [(0, 0, 60)]


def test_observations_are_both_ends_of_each_period():
    assert seen_offsets(periods((0, 60), (5, 60), (9, 120))) == [
        SeenOffset(START, 60),
        SeenOffset(START + 5 * DAY, 60),
        SeenOffset(START + 9 * DAY, 120),
    ]
    assert seen_offsets([]) == []
