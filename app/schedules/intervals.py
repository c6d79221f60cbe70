"""Intervals such as `1D12h` on the UTC calendar, and the expected runs of a schedule.

Source: docs/compatibility/overdue.md#rule-a. One thing differs: months and years use the last day of a shorter month,
and the n-th step is always counted from the anchor, so that a schedule for the 31st does not drift.
"""

import re
from calendar import monthrange
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property, lru_cache
from itertools import groupby, islice, takewhile
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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


# Expected runs on a grid: slots at a fixed interval, restricted to weekdays
#
# The grid is anchor + n x interval for every integer n. Runs never move it: a run satisfies the slot that it follows,
# and also the one that it begins shortly before. Sources: docs/compatibility/overdue.md#rule-b and
# docs/compatibility/overdue.md#rule-c, with the deviation "expected time of a job". Weekdays are in UTC,
# Sunday = 0; none given means all.

EVERY_DAY = frozenset(range(7))
# A slot that begins within this time after a run belongs to the run, whatever the tolerance.
SLOT_MARGIN = timedelta(seconds=1)
NO_TIME = timedelta()


class NoSlot(ValueError):
    """The schedule has no slot in which the job may run."""


def weekday_mask(weekdays: Collection[int]) -> int:
    """Return weekdays as seven bits, bit 0 = Sunday; none means all.

    Numbers beyond 0 to 6 are ignored. Raise ValueError if numbers are given and none of them is a weekday.
    """
    mask = sum(1 << day for day in EVERY_DAY if day in weekdays or not weekdays)
    if not mask:
        raise ValueError("expected a weekday from 0 (Sunday) to 6 (Saturday)")
    return mask


def weekdays_from_mask(mask: int) -> tuple[int, ...]:
    """Return the weekdays of seven bits, bit 0 = Sunday, in ascending order."""
    return tuple(day for day in range(7) if mask >> day & 1)


def next_expected(
    last_run_at: datetime,
    anchor_at: datetime,
    interval: Interval,
    weekdays: Collection[int] = (),
    *,
    tolerance: timedelta = NO_TIME,
    usual_early: timedelta = NO_TIME,
) -> datetime:
    """Return the slot that the next run must satisfy, in UTC, after the last run.

    A run that begins less than `tolerance`, and less than a quarter of the interval, before a slot also satisfies that
    slot; so does one that is not earlier than this job's runs usually are (`usual_early`). A slot on an excluded day
    moves to the next allowed day at the same time of day; for intervals below a day the next slot on an allowed day
    replaces it. Raises NoSlot if there is none.
    """
    allowed = _allowed(weekdays)
    if not interval.size:
        raise NoSlot("the interval must be longer than zero")
    last_run_at, anchor_at = last_run_at.astimezone(UTC), anchor_at.astimezone(UTC)
    early = max(min(tolerance, interval.size / 4), usual_early)
    # wire: the anchor, on an allowed day, counts from exactly one second after the run; other slots from later.
    if early <= SLOT_MARGIN and anchor_at - last_run_at == SLOT_MARGIN and _weekday(anchor_at) in allowed:
        return anchor_at
    try:
        earliest_at = last_run_at + max(early, SLOT_MARGIN + timedelta.resolution)
        return _slot(interval.first_index(anchor_at, earliest_at), anchor_at, interval, allowed)
    except OverflowError as error:
        raise NoSlot("the next expected run is out of the range of dates") from error


@lru_cache(maxsize=256)
def read_zone(text: str | None) -> tzinfo:
    """Return the zone of an IANA name or an offset such as `+05:30`; UTC for None.

    Raise ValueError.
    """
    if not text:
        return UTC
    if text[0] in "+-":
        return datetime.strptime(text, "%z").tzinfo or UTC
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"unknown time zone {text[:40]!r}") from error


@dataclass(frozen=True, slots=True)
class Schedule:
    """A grid through `anchor_at` (UTC) on days of `weekday_mask` (bit 0 = Sunday).

    Slots have a fixed time of day in `zone` (see `read_zone`), and the days are those of that zone. Runs usually begin
    up to `early` before and up to `late` after their slot.
    """

    anchor_at: datetime
    interval_text: str
    weekday_mask: int = 0b1111111
    zone: str | None = None
    early: timedelta = NO_TIME
    late: timedelta = NO_TIME

    def next_after(self, run_at: datetime, tolerance: timedelta) -> datetime:
        """Return the slot after a run, as `next_expected`. Raise BadInterval, NoSlot."""
        return self._instant(
            next_expected(
                self._wall_clock(run_at),
                self._wall_clock(self.anchor_at),
                parse_interval(self.interval_text),
                weekdays_from_mask(self.weekday_mask),
                tolerance=tolerance,
                usual_early=self.early,
            )
        )

    def slots_between(self, start_at: datetime, end_at: datetime, *, limit: int = 1000) -> list[datetime]:
        """Return the newest `limit` slots from `start_at` to `end_at`, oldest first.

        Raises BadInterval, NoSlot, and OverflowError at the end of the calendar.
        """
        slots = slots_between(
            self._wall_clock(start_at),
            self._wall_clock(end_at),
            self._wall_clock(self.anchor_at),
            parse_interval(self.interval_text),
            weekdays_from_mask(self.weekday_mask),
            limit=limit,
        )
        return [self._instant(slot) for slot in slots]

    def _wall_clock(self, instant: datetime) -> datetime:
        """Return the local time as if it were UTC: the grid has no summer time."""
        return instant.astimezone(read_zone(self.zone)).replace(tzinfo=UTC) if self.zone else instant

    def _instant(self, wall_clock: datetime) -> datetime:
        if not self.zone:
            return wall_clock
        return wall_clock.replace(tzinfo=read_zone(self.zone)).astimezone(UTC)


def expected_time(last_run_at: datetime | None, schedule: Schedule, *, tolerance: timedelta) -> datetime | None:
    """Return the slot that is expected after the last run; None if there is none.

    Without a run it is the anchor. None also for an invalid interval, which must not affect other jobs.
    """
    if last_run_at is None:
        return schedule.anchor_at
    try:
        return schedule.next_after(last_run_at, tolerance)
    except (BadInterval, NoSlot, OverflowError):
        return None


def slots_between(
    start_at: datetime,
    end_at: datetime,
    anchor_at: datetime,
    interval: Interval,
    weekdays: Collection[int] = (),
    *,
    limit: int = 1000,
) -> list[datetime]:
    """Return the slots from `start_at` on and before `end_at`, oldest first.

    The newest `limit` if there are more. Slots before the anchor count too. Raises NoSlot.
    """
    slots = _slots_backwards(end_at, anchor_at, interval, weekdays)
    return sorted(islice(takewhile(lambda slot: slot >= start_at, slots), limit))


def _allowed(weekdays: Iterable[int]) -> frozenset[int]:
    """Return the allowed weekdays. Raise NoSlot if none of the numbers is a weekday."""
    given = frozenset(weekdays)
    allowed = given & EVERY_DAY if given else EVERY_DAY
    if not allowed:
        raise NoSlot("no weekday is allowed")
    return allowed


def _weekday(instant: datetime) -> int:
    return instant.isoweekday() % 7


def _slot(index: int, anchor_at: datetime, interval: Interval, allowed: frozenset[int]) -> datetime:
    """Return the instant of the slot with an index, moved off excluded days."""
    slot = interval.after(anchor_at, index)
    while _weekday(slot) not in allowed:
        if interval.size >= DAY:
            slot += DAY
        else:
            # Shorter than a day, so each day has a slot: skip whole days, not slots.
            slot = interval.after(anchor_at, interval.first_index(anchor_at, _midnight(slot) + DAY))
    return slot


def _slots_backwards(
    end_at: datetime, anchor_at: datetime, interval: Interval, weekdays: Collection[int]
) -> Iterator[datetime]:
    """Yield slots before `end_at`, newest first, to the limit of the calendar."""
    allowed = _allowed(weekdays)
    if not interval.size:
        raise NoSlot("the interval must be longer than zero")
    previous = end_at
    try:
        index = interval.first_index(anchor_at, end_at) - 1
        while True:
            slot = interval.after(anchor_at, index)
            if interval.size < DAY and _weekday(slot) not in allowed:
                index = interval.first_index(anchor_at, _midnight(slot)) - 1
                continue
            slot = _slot(index, anchor_at, interval, allowed)
            if slot < previous:
                yield slot
                previous = slot
            index -= 1
    except OverflowError:
        return


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)
