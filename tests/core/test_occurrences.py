"""When a summary is due, and which days it covers."""

from datetime import UTC, datetime, time, timedelta, timezone

import pytest

from app.core.instants import DAILY, MONTHLY, WEEKLY, Rhythm, read_time


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("rhythm", "now", "latest"),
    [
        (Rhythm(DAILY, time(1)), "2031-05-04T01:00", "2031-05-04T01:00"),
        (Rhythm(DAILY, time(1)), "2031-05-04T00:59", "2031-05-03T01:00"),
        (Rhythm(WEEKLY, time(6), 1), "2031-05-05T06:00", "2031-05-05T06:00"),  # a Monday
        (Rhythm(WEEKLY, time(6), 1), "2031-05-05T05:59", "2031-04-28T06:00"),
        (Rhythm(WEEKLY, time(6), 0), "2031-05-05T05:59", "2031-05-04T06:00"),  # Sunday
        (Rhythm(WEEKLY, time(6), 6), "2031-05-04T23:00", "2031-05-03T06:00"),
        (Rhythm(MONTHLY, time(6)), "2031-03-01T06:00", "2031-03-01T06:00"),
        (Rhythm(MONTHLY, time(6)), "2031-03-01T05:59", "2031-02-01T06:00"),
        (Rhythm(MONTHLY, time(6)), "2031-01-01T00:00", "2030-12-01T06:00"),
    ],
)
def test_the_newest_occurrence_is_never_in_the_future(rhythm, now, latest):
    assert rhythm.latest(at(now)) == at(latest)


def test_times_of_other_zones_are_converted():
    kiritimati = timezone(timedelta(hours=14))
    assert Rhythm(DAILY, time(1)).latest(datetime(2031, 5, 4, 15, 30, tzinfo=kiritimati)) == at("2031-05-04T01:00")


@pytest.mark.parametrize(
    ("rhythm", "occurrence", "start", "end"),
    [
        (Rhythm(WEEKLY, time(6)), "2031-05-05T06:00", "2031-04-28", "2031-05-05"),
        (Rhythm(MONTHLY, time(6)), "2032-03-01T06:00", "2032-02-01", "2032-03-01"),
        (Rhythm(MONTHLY, time(6)), "2031-05-17T09:00", "2031-04-01", "2031-05-01"),
        (Rhythm(DAILY, time(1)), "2031-05-04T01:00", "2031-05-03", "2031-05-04"),
    ],
)
def test_search_covers_whole_previous_days(rhythm, occurrence, start, end):
    assert rhythm.span(at(occurrence)) == (at(start), at(end))


@pytest.mark.parametrize(
    ("rhythm", "crontab"),
    [
        (Rhythm(DAILY, time(1)), "0 1 * * *"),
        (Rhythm(WEEKLY, time(6, 30), 0), "30 6 * * 0"),
        (Rhythm(MONTHLY, time(23, 59)), "59 23 1 * *"),
    ],
)
def test_it_can_be_written_as_crontab(rhythm, crontab):
    assert rhythm.crontab == crontab


@pytest.mark.parametrize("text", ["24:00", "7:30", "07:60", "", "07:30:00", "²3:00"])
def test_invalid_time_of_day_is_rejected(text):
    with pytest.raises(ValueError, match="is not a time of day"):
        read_time(text)
