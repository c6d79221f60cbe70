"""Quiet hours: by day, over midnight, and at clock changes."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import trial

from app.notifications.channels import QuietHours

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(7))
NOON = QuietHours(time(12), time(13, 30))


def local(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("hours", "now", "end"),
    [
        (NIGHT, "2031-05-04T21:59:59", None),
        (NIGHT, "2031-05-04T22:00", "2031-05-05T07:00"),
        (NIGHT, "2031-05-05T00:00", "2031-05-05T07:00"),
        (NIGHT, "2031-05-05T06:59:59", "2031-05-05T07:00"),
        (NIGHT, "2031-05-05T07:00", None),
        (NOON, "2031-05-05T11:59", None),
        (NOON, "2031-05-05T12:00", "2031-05-05T13:30"),
        (NOON, "2031-05-05T13:30", None),
        (NIGHT, "2031-12-31T23:00", "2032-01-01T07:00"),
        (NIGHT, "2032-02-28T23:00", "2032-02-29T07:00"),
    ],
)
def test_quiet_hours_include_their_start_and_not_their_end(hours: QuietHours, now: str, end: str | None):
    assert hours.ends_at(local(now), BERLIN) == (local(end) if end else None)


@pytest.mark.parametrize(
    ("now", "end", "hours_long"),
    [("2026-03-28T22:00", "2026-03-29T07:00", 8), ("2026-10-24T22:00", "2026-10-25T07:00", 10)],
)
def test_a_night_with_a_clock_change_ends_by_local_time(now: str, end: str, hours_long: int):
    begun, found = local(now), NIGHT.ends_at(local(now), BERLIN)
    assert found == local(end)
    assert found - begun.astimezone(UTC) == timedelta(hours=hours_long)


def test_a_time_skipped_by_the_clock_change_is_shifted_by_the_gap():
    hours = QuietHours(time(22), time(2, 30))
    assert hours.ends_at(local("2026-03-28T23:00"), BERLIN) == local("2026-03-29T03:30")


def test_a_repeated_time_ends_the_quiet_hours_at_its_first_occurrence():
    hours = QuietHours(time(22), time(2, 30))
    first_pass, second_pass = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert hours.ends_at(local("2026-10-24T23:00"), BERLIN) == first_pass
    assert hours.ends_at(second_pass, BERLIN) is None


TIMES = st.times().map(lambda at: at.replace(second=0, microsecond=0))
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
INSTANTS = st.datetimes(datetime(2010, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (naive bounds)


@trial()
@given(TIMES, TIMES, INSTANTS, ZONES)
def test_quiet_hours_end_and_last_at_most_a_day(begin: time, end: time, now: datetime, zone: str):
    if begin == end:
        return
    hours, place = QuietHours(begin, end), ZoneInfo(zone)
    over_at = hours.ends_at(now, place)
    if over_at is not None:
        assert now < over_at <= now + timedelta(hours=25)
        # If the clocks skip an hour, the next quiet hours may begin at the end of these.
        assert hours.ends_at(over_at, place) != over_at


@pytest.mark.parametrize(
    ("begin", "end"), [("22:00", ""), ("", "07:00"), ("22", "07:00"), ("24:00", "07:00"), ("07:00", "07:00")]
)
def test_invalid_quiet_hours_are_rejected(begin: str, end: str):
    with pytest.raises(ValueError):  # noqa: PT011 (the words are those of Python)
        QuietHours.read(begin, end)


def test_no_times_are_no_quiet_hours():
    assert QuietHours.read(None, None) is None
    assert QuietHours.read("", "") is None
    assert QuietHours.read("22:00", "07:00") == NIGHT
