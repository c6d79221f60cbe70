"""When backups of the database are due, at the boundaries of days, weeks and clock changes."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app.database.local_backups import BackupSchedule, newest_slot, next_slot, read_schedule

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "now", "newest", "following"),
    [
        (BackupSchedule("off"), "2031-05-07T12:00", None, None),
        (BackupSchedule("daily", at="03:30"), "2031-05-07T01:29", "2031-05-06T01:30", "2031-05-07T01:30"),
        (BackupSchedule("daily", at="03:30"), "2031-05-07T01:30", "2031-05-07T01:30", "2031-05-08T01:30"),
        # A Wednesday; the backups are made on Sundays.
        (BackupSchedule("weekly", 6, "03:30"), "2031-05-07T12:00", "2031-05-04T01:30", "2031-05-11T01:30"),
        (BackupSchedule("weekly", 2, "23:00"), "2031-05-07T12:00", "2031-04-30T21:00", "2031-05-07T21:00"),
        # In the night of 30 March the clock changes from 2 to 3, on 26 October back from 3 to 2.
        (BackupSchedule("daily", at="02:30"), "2031-03-30T12:00", "2031-03-30T01:30", "2031-03-31T00:30"),
        (BackupSchedule("daily", at="02:30"), "2031-10-26T12:00", "2031-10-26T00:30", "2031-10-27T01:30"),
    ],
)
def test_slots_are_at_local_time(schedule, now, newest, following):
    assert newest_slot(schedule, at(now), BERLIN) == (newest and at(newest))
    assert next_slot(schedule, at(now), BERLIN) == (following and at(following))


def test_invalid_stored_values_have_their_default():
    stored = {"every": "daily", "weekday": 7, "at": "25:00", "keep": True, "other": 1}
    assert read_schedule(stored) == BackupSchedule(every="daily")
    assert read_schedule({"every": ["daily"], "at": None}) == BackupSchedule()


def test_stored_values_are_read():
    chosen = BackupSchedule("weekly", 0, "00:00", 365)
    assert read_schedule(chosen.as_mapping()) == chosen
