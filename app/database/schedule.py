"""When copies of the database are due: every day or every week at a local time, the newest few kept."""

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
    """When a copy is made: `at` is a local time `HH:MM`, `weekday` counts from Monday as 0 and is for weekly ones.

    `keep` is how many copies of this kind there are at most.
    """

    every: str = OFF
    weekday: int = 6
    at: str = "03:30"
    keep: int = 7

    @property
    def interval(self) -> timedelta:
        """How far apart two copies are."""
        return WEEK if self.every == WEEKLY else DAY

    def as_mapping(self) -> dict[str, Any]:
        """The form in which it is stored."""
        return asdict(self)

    def wrong_fields(self) -> list[str]:
        """The names of the fields that make no sense."""
        is_right = {
            "every": self.every in FREQUENCIES,
            "weekday": type(self.weekday) is int and 0 <= self.weekday <= 6,
            "at": isinstance(self.at, str) and _CLOCK_TIME.fullmatch(self.at) is not None,
            "keep": type(self.keep) is int and 1 <= self.keep <= MOST_KEPT,
        }
        return [name for name, right in is_right.items() if not right]


def read_schedule(stored: Mapping[str, Any]) -> BackupSchedule:
    """The schedule that was stored; fields that are missing or make no sense have their usual values."""
    usual = BackupSchedule()
    known = {name: stored[name] for name in usual.as_mapping() if name in stored}
    wrong = BackupSchedule(**known).wrong_fields()
    return BackupSchedule(**{name: value for name, value in known.items() if name not in wrong})


def newest_slot(schedule: BackupSchedule, now: datetime, zone: ZoneInfo) -> datetime | None:
    """When the copy was due that is the newest one due until now; None where none are wanted."""
    if schedule.every == OFF:
        return None
    local = now.astimezone(zone)
    day = local.date()
    if schedule.every == WEEKLY:
        day -= timedelta(days=(day.weekday() - schedule.weekday) % 7)
    slot = _instant(day, schedule.at, zone)
    return slot if slot <= now else _instant(day - schedule.interval, schedule.at, zone)


def next_slot(schedule: BackupSchedule, now: datetime, zone: ZoneInfo) -> datetime | None:
    """When the next copy is due; None where none are wanted."""
    newest = newest_slot(schedule, now, zone)
    if newest is None:
        return None
    return _instant(newest.astimezone(zone).date() + schedule.interval, schedule.at, zone)


def _instant(day: date, at: str, zone: ZoneInfo) -> datetime:
    """The instant of a local time; one that a change of the clock skips is the one an hour later."""
    return datetime.combine(day, time.fromisoformat(at), zone).astimezone(UTC)
