"""The hours of the night in which a channel keeps still, as instants; also where the clocks change."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of day, itself included, until another one of the same day or of the next; local times."""

    begin: time
    end: time

    def __post_init__(self) -> None:
        """Raise ValueError when both are the same: that may mean the whole day or nothing."""
        if self.begin == self.end:
            raise ValueError("quiet hours need two different times")

    @classmethod
    def read(cls, begin: str | None, end: str | None) -> "QuietHours | None":
        """The hours that two texts `HH:MM` tell; None when both are empty. Raises ValueError for anything else."""
        if not begin and not end:
            return None
        return cls(_time(begin or ""), _time(end or ""))

    def ends_at(self, now: datetime, zone: tzinfo) -> datetime | None:
        """When it is no longer quiet, in UTC; None when it is not quiet now.

        A local time that the clocks leave out is read as the same distance after the gap, one that comes twice as
        its first pass. So each night has one beginning and one end, and nothing waits longer than 25 hours.
        """
        today = now.astimezone(zone).date()
        for day in (today - DAY, today):
            last_day = day if self.begin < self.end else day + DAY
            if _instant(day, self.begin, zone) <= now < (end := _instant(last_day, self.end, zone)):
                return end
        return None


def _time(text: str) -> time:
    """A time of day of five signs; `fromisoformat` alone would take seconds and zones too."""
    if len(text) != 5:
        raise ValueError("a time of day is written as HH:MM")
    return time.fromisoformat(text)


def _instant(day: date, at: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)
