"""How an instant is written where programs read it, and as the number that is stored."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def iso(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def cut_to_milliseconds(instant: datetime) -> datetime:
    """The instant without finer fractions, as it is stored."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def to_milliseconds(instant: datetime) -> int:
    """Milliseconds since 1970 in UTC; finer fractions are cut. Raises ValueError for a time without zone."""
    if instant.tzinfo is None:
        raise ValueError("the time must have a time zone")
    return (instant - EPOCH) // MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """The aware UTC instant for a count of milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=milliseconds)


# When something happens that comes back every day, week or month at a time of day; all in UTC.

DAILY, WEEKLY, MONTHLY = "daily", "weekly", "monthly"
PERIODS = (DAILY, WEEKLY, MONTHLY)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def read_time(text: str) -> time:
    """A time of day as `HH:MM`. Raises ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:20]!r} is not a time of day such as 07:30")
    return time(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Once a day, once a week on a weekday (0 = Sunday), or on the first of each month, at a time of day in UTC."""

    period: str
    at: time
    weekday: int = 1

    @property
    def crontab(self) -> str:
        """The same as a crontab expression."""
        day, weekday = {DAILY: ("*", "*"), WEEKLY: ("*", str(self.weekday)), MONTHLY: ("1", "*")}[self.period]
        return f"{self.at.minute} {self.at.hour} {day} * {weekday}"

    def latest(self, now: datetime) -> datetime:
        """The newest occurrence that is not in the future."""
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
        """The whole days that an occurrence looks back on: from a midnight until before another."""
        end_at = datetime.combine(occurrence.astimezone(UTC).date(), time(), UTC)
        if self.period == MONTHLY:
            end_at = end_at.replace(day=1)
            return (end_at - timedelta(days=1)).replace(day=1), end_at
        return end_at - timedelta(days=7 if self.period == WEEKLY else 1), end_at
