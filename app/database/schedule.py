"""Schedule of automatic backups.

Every day or every week at a local time, keeping the newest few.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

OFF, DAILY, WEEKLY = "off", "daily", "weekly"
FREQUENCIES = (OFF, DAILY, WEEKLY)
MOST_KEPT = 365
DAY, WEEK = timedelta(days=1), timedelta(days=7)
_CLOCK_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


@dataclass(frozen=True, slots=True)
class BackupSchedule:
    """When a backup is made.

    `at` is a local time `HH:MM`, `weekday` 0 is Monday, for weekly ones.

    `keep` is the number of scheduled backups to keep.
    """

    every: str = OFF
    weekday: int = 6
    at: str = "03:30"
    keep: int = 7

    @property
    def interval(self) -> timedelta:
        """Return the time between two backups."""
        return WEEK if self.every == WEEKLY else DAY

    def as_mapping(self) -> dict[str, Any]:
        """Return the stored form."""
        return asdict(self)

    def wrong_fields(self) -> list[str]:
        """Return the names of invalid fields."""
        is_right = {
            "every": self.every in FREQUENCIES,
            "weekday": type(self.weekday) is int and 0 <= self.weekday <= 6,
            "at": isinstance(self.at, str) and _CLOCK_TIME.fullmatch(self.at) is not None,
            "keep": type(self.keep) is int and 1 <= self.keep <= MOST_KEPT,
        }
        return [name for name, right in is_right.items() if not right]


def read_schedule(stored: Mapping[str, Any]) -> BackupSchedule:
    """Parse a stored schedule; missing or invalid fields have their defaults."""
    usual = BackupSchedule()
    known = {name: stored[name] for name in usual.as_mapping() if name in stored}
    wrong = BackupSchedule(**known).wrong_fields()
    return BackupSchedule(**{name: value for name, value in known.items() if name not in wrong})


def newest_slot(schedule: BackupSchedule, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the latest time at which a backup was due; None if disabled."""
    if schedule.every == OFF:
        return None
    local = now.astimezone(zone)
    day = local.date()
    if schedule.every == WEEKLY:
        day -= timedelta(days=(day.weekday() - schedule.weekday) % 7)
    slot = _instant(day, schedule.at, zone)
    return slot if slot <= now else _instant(day - schedule.interval, schedule.at, zone)


def next_slot(schedule: BackupSchedule, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when the next backup is due; None if disabled."""
    newest = newest_slot(schedule, now, zone)
    if newest is None:
        return None
    return _instant(newest.astimezone(zone).date() + schedule.interval, schedule.at, zone)


def _instant(day: date, at: str, zone: ZoneInfo) -> datetime:
    """Return the instant of a local time.

    One skipped by a clock change is an hour later.
    """
    return datetime.combine(day, time.fromisoformat(at), zone).astimezone(UTC)
