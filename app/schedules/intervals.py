"""Parse intervals such as `1D12h`, and add them to instants on the UTC calendar.

Source: docs/compatibility/overdue.md#rule-a. One thing differs: months and years use the last day of a shorter month,
and the n-th step is always counted from the anchor, so that a schedule for the 31st does not drift.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import groupby
from typing import NamedTuple

DAY = timedelta(days=1)
MONTHS_IN = {"M": 1, "Y": 12}
# Length of a month and a year where a fixed length is needed.
SIZES = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "D": DAY,
    "W": timedelta(weeks=1),
    "M": timedelta(days=30),
    "Y": timedelta(days=365),
}
# Mean length of a month in the Gregorian calendar, to find the n-th step by division.
MEAN_MONTH = timedelta(days=146097) / 4800
LONGEST = timedelta(days=365_000)
# Sufficient for the longest interval, and limits the size of numbers.
MOST_DIGITS = 12

_PART = re.compile(r"([0-9]+)([smhDWMY])")
_STRICT = re.compile(r"[0-9smhDWMY]+")


class BadInterval(ValueError):
    """Invalid interval text. The message names the invalid part."""


class Token(NamedTuple):
    """One part of an interval, such as 12 and `h`."""

    value: int
    unit: str


@dataclass(frozen=True)
class Interval:
    """The distance between two expected runs, as its parsed parts in order."""

    tokens: tuple[Token, ...]

    @cached_property
    def size(self) -> timedelta:
        """The length, with 30 days for a month and 365 for a year."""
        return sum((token.value * SIZES[token.unit] for token in self.tokens), timedelta())

    @property
    def days(self) -> float:
        """The length in days; decides between steps of days and of the interval itself."""
        return self.size / DAY

    @cached_property
    def is_calendar(self) -> bool:
        """Whether the length depends on its position in the calendar."""
        return any(token.unit in MONTHS_IN for token in self.tokens)

    @cached_property
    def shifts(self) -> tuple[int | timedelta, ...]:
        """The steps of one interval: months as integers, exact lengths as timedeltas.

        Neighbours of a kind are one step, so that `1M1M` means two months and is clamped once.
        """
        return tuple(
            sum(token.value * MONTHS_IN[token.unit] for token in run)
            if in_months
            else sum((token.value * SIZES[token.unit] for token in run), timedelta())
            for in_months, run in groupby(self.tokens, key=lambda token: token.unit in MONTHS_IN)
        )

    def after(self, anchor: datetime, count: int) -> datetime:
        """Return the instant `count` intervals after (or before) the anchor, in UTC.

        Always counted from the anchor: 31 January + 1M is 28 February, + 2M is 31 March. Raises OverflowError beyond
        the years 1 to 9999.
        """
        instant = anchor.astimezone(UTC)
        for shift in self.shifts:
            instant = add_months(instant, count * shift) if isinstance(shift, int) else instant + count * shift
        return instant

    def first_index(self, anchor: datetime, instant: datetime) -> int:
        """Return the smallest count with `after(anchor, count)` not before `instant`.

        Computed by division. Raises OverflowError as `after`, ZeroDivisionError for length 0.
        """
        distance = instant.astimezone(UTC) - anchor.astimezone(UTC)
        if not self.is_calendar:
            return -(-distance // self.size)
        index = distance // self._mean_size
        while self.after(anchor, index) >= instant:
            index -= 1
        while self.after(anchor, index) < instant:
            index += 1
        return index

    @cached_property
    def _mean_size(self) -> timedelta:
        return sum((shift * MEAN_MONTH if isinstance(shift, int) else shift for shift in self.shifts), timedelta())


@lru_cache(maxsize=1024)
def parse_interval(text: str) -> Interval:
    """Parse an interval such as `1D12h`; digits alone are seconds. Raise BadInterval.

    Characters between the parts are ignored. Units are case-sensitive: s m h D W M Y, with `m` for minutes and `M` for
    months. Digits alone may be zero, as in the original; no schedule can be made from that.
    """
    written = text.strip()
    if not written:
        raise BadInterval("The interval is empty")
    parts = [(written, "s")] if re.fullmatch("[0-9]+", written) else _PART.findall(written)
    if not parts:
        raise BadInterval(f"The interval {written[:40]!r} must contain numbers with the units s m h D W M Y")
    for digits, unit in parts:
        if len(digits.lstrip("0")) > MOST_DIGITS:
            raise BadInterval(f"The interval part '{digits[:MOST_DIGITS]}…{unit}' is too long")
        if not int(digits) and digits != written:
            raise BadInterval(f"The interval part '{digits[:MOST_DIGITS]}{unit}' is zero")
    interval = Interval(tuple(Token(int(digits), unit) for digits, unit in parts))
    if sum(value * SIZES[unit].total_seconds() for value, unit in interval.tokens) > LONGEST.total_seconds():
        raise BadInterval(f"The interval {written[:40]!r} is longer than 1000 years")
    return interval


def is_strict(text: str) -> bool:
    """Return whether an interval has only digits and units.

    Other characters are ignored by `parse_interval`.
    """
    try:
        parse_interval(text)
    except BadInterval:
        return False
    return _STRICT.fullmatch(text.strip()) is not None


def add_months(instant: datetime, count: int) -> datetime:
    """Add whole months; a day that the month lacks becomes its last one."""
    year, month = divmod(instant.year * 12 + instant.month - 1 + count, 12)
    if not 1 <= year <= 9999:
        raise OverflowError("the date is out of range")
    month += 1
    return instant.replace(year=year, month=month, day=min(instant.day, monthrange(year, month)[1]))
