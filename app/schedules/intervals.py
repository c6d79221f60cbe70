"""How often a job runs: the text that people write, read into steps on the UTC calendar.

Source: docs/compatibility/overdue.md#rule-a. One thing differs: months and years keep to the last day of a shorter
month, and the n-th step is always counted from the anchor, so that a plan for the 31st does not drift.
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
# A month counts as 30 days and a year as 365 wherever a length is asked for.
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
# Enough for every length up to the longest, and no text can ask for gigantic numbers.
MOST_DIGITS = 12

_PART = re.compile(r"([0-9]+)([smhDWMY])")
_STRICT = re.compile(r"[0-9smhDWMY]+")


class BadInterval(ValueError):
    """An interval text that cannot be understood. The message names the offending part."""


class Token(NamedTuple):
    """One part of an interval, such as 12 and `h`."""

    value: int
    unit: str


@dataclass(frozen=True)
class Interval:
    """The distance between two planned runs, as the parts that were written, in their order."""

    tokens: tuple[Token, ...]

    @cached_property
    def size(self) -> timedelta:
        """The length, with 30 days for a month and 365 for a year."""
        return sum((token.value * SIZES[token.unit] for token in self.tokens), timedelta())

    @property
    def days(self) -> float:
        """The length in days; decides between stepping by days and by the interval itself."""
        return self.size / DAY

    @cached_property
    def is_calendar(self) -> bool:
        """Whether the length depends on where in the calendar it begins."""
        return any(token.unit in MONTHS_IN for token in self.tokens)

    @cached_property
    def shifts(self) -> tuple[int | timedelta, ...]:
        """The steps of one interval: whole months as numbers, exact lengths as timedeltas.

        Neighbours of a kind are one step, so that `1M1M` means two months and clamps once.
        """
        return tuple(
            sum(token.value * MONTHS_IN[token.unit] for token in run)
            if in_months
            else sum((token.value * SIZES[token.unit] for token in run), timedelta())
            for in_months, run in groupby(self.tokens, key=lambda token: token.unit in MONTHS_IN)
        )

    def after(self, anchor: datetime, count: int) -> datetime:
        """The instant `count` intervals after the anchor (before it, if negative), in UTC.

        Always counted from the anchor: 31 January + 1M is 28 February, + 2M is 31 March.
        Raises OverflowError beyond the years 1 to 9999.
        """
        instant = anchor.astimezone(UTC)
        for shift in self.shifts:
            instant = add_months(instant, count * shift) if isinstance(shift, int) else instant + count * shift
        return instant

    def first_index(self, anchor: datetime, instant: datetime) -> int:
        """The smallest count for which `after(anchor, count)` is not before the instant.

        Found by division, however far away. Raises OverflowError as `after`, ZeroDivisionError for no length.
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
    """Read an interval such as `1D12h`; digits alone are seconds. Other characters between the parts are skipped.

    Units are case-sensitive: s m h D W M Y, with `m` for minutes and `M` for months. Digits alone may be zero, as
    in the reference; no plan can be made from that. Raises BadInterval.
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
    """Whether an interval holds nothing but digits and units, so that nothing in it is skipped by the reader."""
    try:
        parse_interval(text)
    except BadInterval:
        return False
    return _STRICT.fullmatch(text.strip()) is not None


def add_months(instant: datetime, count: int) -> datetime:
    """Move by whole months; a day that the month does not have becomes its last one."""
    year, month = divmod(instant.year * 12 + instant.month - 1 + count, 12)
    if not 1 <= year <= 9999:
        raise OverflowError("the date is out of range")
    month += 1
    return instant.replace(year=year, month=month, day=min(instant.day, monthrange(year, month)[1]))
