"""Instants in ISO 8601 and as stored numbers, and recurring times."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
MILLISECONDS_A_DAY = 86_400_000


def iso(instant: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds and Z."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def cut_to_milliseconds(instant: datetime) -> datetime:
    """Return the instant truncated to milliseconds, as it is stored."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def to_milliseconds(instant: datetime) -> int:
    """Return milliseconds since 1970 in UTC, truncated.

    Raise ValueError for a time without zone.
    """
    if instant.tzinfo is None:
        raise ValueError("the time must have a time zone")
    return (instant - EPOCH) // MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the aware UTC instant for milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def day_of(instant: datetime) -> int:
    """Return the days since 1970 of an instant's UTC day."""
    return to_milliseconds(instant) // MILLISECONDS_A_DAY


# Times that recur daily, weekly or monthly at a time of day; all in UTC

DAILY, WEEKLY, MONTHLY = "daily", "weekly", "monthly"
PERIODS = (DAILY, WEEKLY, MONTHLY)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def read_time(text: str) -> time:
    """Parse a time of day as `HH:MM`. Raise ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:20]!r} is not a time of day such as 07:30")
    return time(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Once a day, week or month, at a time of day in UTC.

    Weekly ones have a weekday (0 = Sunday), monthly ones are on the first.
    """

    period: str
    at: time
    weekday: int = 1

    @property
    def crontab(self) -> str:
        """Return the same as a crontab expression."""
        day, weekday = {DAILY: ("*", "*"), WEEKLY: ("*", str(self.weekday)), MONTHLY: ("1", "*")}[self.period]
        return f"{self.at.minute} {self.at.hour} {day} * {weekday}"

    def latest(self, now: datetime) -> datetime:
        """Return the latest occurrence that is not in the future."""
        now = now.astimezone(UTC)
        found = datetime.combine(now.date(), self.at, UTC)
        if self.period == MONTHLY:
            found = found.replace(day=1)
            return found if found <= now else (found - timedelta(days=1)).replace(day=1)
        if self.period == WEEKLY:
            found -= timedelta(days=(found.isoweekday() - self.weekday) % 7)
            return found if found <= now else found - timedelta(days=7)
        return found if found <= now else found - timedelta(days=1)

    def span(self, occurrence: datetime) -> tuple[datetime, datetime]:
        """Return the whole days that an occurrence covers.

        From a midnight (included) to a midnight (excluded).
        """
        end_at = datetime.combine(occurrence.astimezone(UTC).date(), time(), UTC)
        if self.period == MONTHLY:
            end_at = end_at.replace(day=1)
            return (end_at - timedelta(days=1)).replace(day=1), end_at
        return end_at - timedelta(days=7 if self.period == WEEKLY else 1), end_at
