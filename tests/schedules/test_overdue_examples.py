"""The worked examples of docs/compatibility/overdue.md, row by row; where we differ, our value and the reason.

All instants are UTC. The machine-readable cases are in `test_overdue_cases`.
"""

from datetime import UTC, datetime, timedelta

import pytest

from app.schedules.intervals import Schedule, expected_time, next_expected, parse_interval, weekday_mask
from app.schedules.next_run import deadline
from app.schedules.overdue import TOLERANCES, is_overdue

ALL: tuple[int, ...] = ()
WORKDAYS = (1, 2, 3, 4, 5)
GRID = "the plan is a fixed grid that no run moves"
MONTHS = "months keep to the last day of a shorter one, without drift"
EXACT = "a tolerance is exact minutes"

# Last run, base time, interval, weekdays; the result of the original; ours and why, if it is another.
NEXT = {
    "G1": ("2026-01-02T14:03", "2026-01-02T14:00", "1D", ALL, "2026-01-03T14:00"),
    "G2": ("2026-01-08T20:00", "2026-01-05T14:00", "1D", ALL, "2026-01-09T14:00"),
    "G3": ("2026-01-02T14:03", "2026-01-05T14:00", "1D", ALL, "2026-01-05T14:00", "2026-01-03T14:00", GRID),
    "G4": ("2026-01-02T14:03", "2026-01-02T14:00", "1D", WORKDAYS, "2026-01-05T14:00"),
    "G5": ("2026-01-06T14:03", "2026-01-06T14:00", "1W", (1, 3, 5), "2026-01-14T14:00"),
    "G6": ("2026-01-05T23:30", "2026-01-05T23:00", "1h", (1,), "2026-01-12T00:00"),
    "G7": ("2026-01-02T21:10", "2026-01-02T21:00", "5h", WORKDAYS, "2026-01-05T04:00"),
    "G8": ("2026-01-31T08:01", "2026-01-31T08:00", "1M", ALL, "2026-03-03T08:00", "2026-02-28T08:00", MONTHS),
    "G9": ("2026-10-31T08:01", "2026-10-31T08:00", "1M", (1,), "2026-12-07T08:00", "2026-11-30T08:00", MONTHS),
    "G10": ("2028-02-29T08:01", "2028-02-29T08:00", "1Y", ALL, "2029-03-01T08:00", "2029-02-28T08:00", MONTHS),
    "G11": ("2026-01-02T14:03", "2026-01-04T14:00", "1W", (2,), "2026-01-06T14:00"),
    "A, the last of March": (
        *("2026-03-31T08:01", "2026-03-31T08:00", "1M", ALL),
        *("2026-05-01T08:00", "2026-04-30T08:00", MONTHS),
    ),
    "A, a leap year": (
        *("2028-01-31T08:01", "2028-01-31T08:00", "1M", ALL),
        *("2028-03-02T08:00", "2028-02-29T08:00", MONTHS),
    ),
    "A, a month and then a day": (
        *("2026-01-31T08:01", "2026-01-31T08:00", "1M1D", ALL),
        *("2026-03-04T08:00", "2026-03-01T08:00", MONTHS),
    ),
    "A, a day and then a month": ("2026-01-31T08:01", "2026-01-31T08:00", "1D1M", ALL, "2026-03-01T08:00"),
    "A, blanks are skipped": ("2026-01-02T14:03", "2026-01-02T14:00", " 1D 2h ", ALL, "2026-01-03T16:00"),
    "A, a fraction is none": ("2026-01-02T14:03", "2026-01-02T14:00", "1.5h", ALL, "2026-01-02T19:00"),
    "A, a sign is none": ("2026-01-02T14:03", "2026-01-02T14:00", "-1D", ALL, "2026-01-03T14:00"),
    "B, a day in hours": ("2026-01-02T14:03", "2026-01-02T14:00", "24h", (1,), "2026-01-05T14:00"),
    "B, less than a day": ("2026-01-02T14:03", "2026-01-02T14:00", "23h59m", (1,), "2026-01-05T13:57"),
    "B, forbidden and later": ("2026-01-02T14:03", "2026-01-04T14:00", "6h", (2,), "2026-01-06T02:00"),
    "B, forbidden and equal": ("2026-01-03T14:00:00", "2026-01-03T14:00:01", "1W", (1,), "2026-01-12T14:00:01"),
}
# Newest run, stored time, interval, weekdays; the result of the original; ours and why, if it is another.
SETTINGS = {
    "G12": ("2026-01-03T22:00", "2026-01-03T14:00", "1D", ALL, "2026-01-04T14:00"),
    "G13": ("2026-01-04T13:59", "2026-01-04T14:00", "1D", ALL, "2026-01-05T13:59", "2026-01-05T14:00", GRID),
    "G14": ("2026-01-09T18:02", "2026-01-09T18:00", "1D", WORKDAYS, "2026-01-12T18:00"),
    "G15": ("2026-01-04T14:03", None, "1D", ALL, "2026-01-05T14:03"),
    "C, weekly, by hand": (
        *("2026-01-08T22:00", "2026-01-12T14:00", "1W", ALL),
        *("2026-01-15T14:00", "2026-01-12T14:00", GRID),
    ),
    "C, weekly on Mondays, by hand": (
        *("2026-01-08T22:00", "2026-01-12T14:00", "1W", (1,)),
        *("2026-01-19T14:00", "2026-01-12T14:00", GRID),
    ),
    "C, monthly, by hand": (
        *("2026-01-15T09:00", "2026-02-01T03:00", "1M", ALL),
        *("2026-02-15T03:00", "2026-02-01T03:00", GRID),
    ),
    "C, hourly, by hand": (
        *("2026-01-04T14:40", "2026-01-04T15:00", "1h", ALL),
        *("2026-01-04T15:40", "2026-01-04T15:00", GRID),
    ),
    "C, late keeps the time of day": ("2026-01-02T22:00", "2026-01-02T14:00", "1D", ALL, "2026-01-03T14:00"),
}
# Expected time, tolerance; the deadline of the original in the zone of the row; ours.
DEADLINES = {
    "London, into summer": ("2026-03-29T00:30", "2h", "2026-03-29T01:30", "2026-03-29T02:30"),
    "London, a day into summer": ("2026-03-28T12:00", "1d", "2026-03-29T11:00", "2026-03-29T12:00"),
    "London, into winter": ("2026-10-24T23:30", "2h", "2026-10-25T02:30", "2026-10-25T01:30"),
    "London, the second 01:30": ("2026-10-25T01:30", "5min", "2026-10-25T00:35", "2026-10-25T01:35"),
    "New York, into summer": ("2026-03-08T06:30", "2h", "2026-03-08T07:30", "2026-03-08T08:30"),
    "New York, the second 01:15": ("2026-11-01T06:15", "15min", "2026-11-01T05:30", "2026-11-01T06:30"),
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("row", NEXT.values(), ids=NEXT)
def test_next_run(row: tuple) -> None:
    last_run, base, interval, weekdays, reference, *ours = row
    assert not ours or ours[0] != reference
    expected_at = next_expected(at(last_run), at(base), parse_interval(interval), weekdays)
    assert expected_at == at(ours[0] if ours else reference)


@pytest.mark.parametrize("row", SETTINGS.values(), ids=SETTINGS)
def test_expected_time_after_a_run(row: tuple) -> None:
    newest, stored, interval, weekdays, reference, *ours = row
    assert not ours or ours[0] != reference
    anchor_at = at(stored) if stored else None
    schedule = Schedule(anchor_at or at(newest), interval, weekday_mask(weekdays))
    expected_at = expected_time(at(newest), schedule, tolerance=TOLERANCES["2h"])
    assert expected_at == at(ours[0] if ours else reference)


@pytest.mark.parametrize(("expected", "tolerance", "reference", "ours"), DEADLINES.values(), ids=DEADLINES)
def test_deadline_is_exact_where_the_original_uses_local_time(expected, tolerance, reference, ours) -> None:
    assert reference != ours, EXACT
    assert deadline(at(expected), TOLERANCES[tolerance]) == at(ours)


@pytest.mark.parametrize(("late", "overdue"), [(timedelta(), False), (timedelta(milliseconds=1), True)])
def test_a_job_is_overdue_a_millisecond_after_its_deadline(late: timedelta, overdue: bool) -> None:  # G16, G17
    assert is_overdue(deadline(at("2026-01-06T14:00"), TOLERANCES["1h"]), at("2026-01-06T15:00") + late) is overdue
