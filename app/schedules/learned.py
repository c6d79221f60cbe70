"""Learn a job's schedule from its runs: interval, time of day, weekdays, spread.

Computed in the local time of the server, so that summer time has no effect. Medians are used throughout: a manual run
or an outage does not change a schedule, and a new habit does after four runs.
"""

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from itertools import pairwise
from math import ceil
from statistics import fmean, median
from typing import Any

from app.core.instants import from_milliseconds, to_milliseconds
from app.schedules.intervals import (
    EVERY_DAY,
    Interval,
    Schedule,
    add_months,
    parse_interval,
    read_zone,
    weekday_mask,
    weekdays_from_mask,
)

FEWEST_RUNS = 4
RUNS_IN_A_ROW = 3
# From this number of runs on, one in each slot is stronger evidence than their distance from it.
COMPLETE_RUNS = 6
# Maximum number of runs for learning, the most that are tried first. Below a day, the weekend needs more of them.
WINDOWS = (12, 8, 6, 5, 4)
MOST_RUNS = 31
DAY_S, HOUR_S = 86_400, 3_600
SHORT_INTERVALS = (300, 600, 900, 1200, 1800, *(hours * HOUR_S for hours in (1, 2, 3, 4, 6, 8, 12)))
# Other intervals are learned only from runs close to their slots.
USUAL_SIZES = (*SHORT_INTERVALS, DAY_S, 2 * DAY_S, 7 * DAY_S, 14 * DAY_S)
MONTHS = (1, 2, 3, 6, 12)
MONTH_S = 30.44 * DAY_S
# The share of the distances between neighbouring runs that must equal the interval.
LEAST_SHARE = 0.75
# Runs with a larger median distance follow no schedule; uniformly random runs have a sixth of the interval.
WIDEST_SPREAD, WIDEST_REGULAR_SPREAD, REGULAR_SHARE = 0.21, 0.25, 0.9
# The limits for a schedule that was learned before are lower.
SHARE_TO_KEEP, WIDEST_SPREAD_TO_KEEP = 0.65, 0.27
# Shares of the interval. Above the lower one only usual intervals are learned.
WIDE_SPREAD, NARROW_SPREAD = 0.05, 0.02
# Below this interval nights are longer than it; such a job is regular only if it also runs at night.
NIGHTLY_S = 6 * HOUR_S
# Maximum lateness or earliness that a schedule allows, as a share of its interval.
MOST_LATE, MOST_EARLY = 0.6, 0.5
LEAST_LATE_S = 600
# An irregular job gets a suggestion after this number of runs.
FEWEST_TO_OFFER = 8
LONGEST_HOLE, LONGEST_YOUNG_HOLE = 20, 4
WEEKEND = {0, 6}
# Runs with a large spread may be on any day: fewer weekdays are then no pattern.
FEWEST_WIDE_DAYS = 5


@dataclass(frozen=True, slots=True)
class LearnedSchedule:
    """The schedule of the newest `run_count` runs.

    `anchor_at` is a slot, `weekdays` are seven bits of days in `zone`. `spread_s` is the median distance of a run from
    its slot; `early_s` and `late_s` say how far from it a run may begin. An irregular job has only `at_least`: the
    interval within which nearly all of its runs followed.
    """

    interval: str
    anchor_at: datetime
    weekdays: int
    zone: str
    spread_s: int
    early_s: int
    late_s: int
    run_count: int

    def schedule(self) -> Schedule:
        """Return it as a schedule for computations."""
        return Schedule(
            self.anchor_at,
            self.interval,
            self.weekdays,
            self.zone,
            early=timedelta(seconds=self.early_s),
            late=timedelta(seconds=self.late_s),
        )

    def stored(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {
            "interval": self.interval,
            "anchor": to_milliseconds(self.anchor_at),
            "weekdays": self.weekdays,
            "zone": self.zone,
            "spread_s": self.spread_s,
            "early_s": self.early_s,
            "late_s": self.late_s,
            "run_count": self.run_count,
        }

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> "LearnedSchedule | None":
        """Read a stored one; None for a suggestion or an invalid value."""
        try:
            values = {**stored} if stored else {}
            anchor_at = from_milliseconds(values.pop("anchor"))
            learned = cls(anchor_at=anchor_at, **{name: values[name] for name in _STORED})
            is_usable = bool(parse_interval(learned.interval).size) and 0 < learned.weekdays <= weekday_mask(())
            read_zone(learned.zone)
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        return learned if is_usable else None


_STORED = ("interval", "weekdays", "zone", "spread_s", "early_s", "late_s", "run_count")


@dataclass(frozen=True)
class _Fit:
    """A candidate matched with runs: the nearest run per slot.

    `surplus` are the others.

    `steps` are the slots from one run to the next, `distances` from a run to its slot, in seconds.
    """

    interval: str
    size_s: float
    anchor: float
    slots: tuple[float, ...]
    distances: tuple[float, ...]
    steps: tuple[int, ...]
    surplus: int
    weekdays: frozenset[int] = EVERY_DAY

    @cached_property
    def spread(self) -> float:
        return median(map(abs, self.distances))

    @cached_property
    def is_wide(self) -> bool:
        """Whether the spread is so large that only a usual interval can be learned."""
        return self.spread > WIDE_SPREAD * self.size_s

    @property
    def is_narrow(self) -> bool:
        """Whether runs are so close to their slots that four suffice for any interval."""
        return self.spread <= NARROW_SPREAD * self.size_s

    @cached_property
    def near(self) -> float:
        """The distance from a slot up to which a run agrees.

        Unlimited with one run per slot.
        """
        is_complete = len(self.slots) >= COMPLETE_RUNS and not self.surplus and all(step == 1 for step in self.steps)
        if self.is_wide or is_complete:
            return self.size_s
        # Of four or five runs with a large spread, the median is not reliable; a manual run is still recognised.
        few = 3.5 * fmean(map(abs, self.distances)) if len(self.slots) < COMPLETE_RUNS else 0.0
        return max(few, self.usual_distance)

    @property
    def usual_distance(self) -> float:
        """The usual distance of runs from their slots."""
        return max(3 * self.spread, min(900.0, self.size_s / 10), self.size_s / 25)

    @cached_property
    def agreeing(self) -> tuple[bool, ...]:
        return tuple(abs(distance) <= self.near for distance in self.distances)

    @cached_property
    def good_steps(self) -> tuple[bool, ...]:
        """Where an agreeing run follows another in the next slot."""
        pairs = pairwise(self.agreeing)
        return tuple(step == 1 and all(pair) for step, pair in zip(self.steps, pairs, strict=True))

    @cached_property
    def share(self) -> float:
        """The share of the runs that followed another one in the next slot.

        Surplus runs beside many punctual ones count little: they were started manually.
        """
        surplus = self.surplus / 3 if self.is_narrow and len(self.slots) >= FEWEST_TO_OFFER else self.surplus
        return sum(self.good_steps) / (len(self.steps) + surplus)

    @cached_property
    def score(self) -> float:
        return self.share - self.spread / self.size_s

    @property
    def has_moved(self) -> bool:
        """Whether the newest runs are all on one side of their slots, beyond the spread."""
        newest, near = self.distances[-FEWEST_RUNS:], self.usual_distance
        return all(each > near for each in newest) or all(each < -near for each in newest)

    @property
    def is_current(self) -> bool:
        """Whether the newest runs do not contradict it yet."""
        return 1 in self.steps[1 - FEWEST_RUNS :] and not self.has_moved

    @cached_property
    def agrees(self) -> bool:
        """Whether a schedule may be learned from it."""
        widest = WIDEST_SPREAD if self.share < REGULAR_SHARE else WIDEST_REGULAR_SPREAD
        return (
            sum(self.good_steps) >= FEWEST_RUNS - 1
            and self.share >= LEAST_SHARE
            and self.spread <= widest * self.size_s
            and 1 in self.steps[1 - FEWEST_RUNS :]
            and (self.size_s >= NIGHTLY_S or sum(step > 1 for step in self.steps) <= 1)
        )

    @property
    def still_holds(self) -> bool:
        """Whether a schedule that was learned before is not contradicted yet."""
        return self.share >= SHARE_TO_KEEP and self.spread <= WIDEST_SPREAD_TO_KEEP * self.size_s and self.is_current


def learn(
    begins: Sequence[datetime], zone: str, *, is_zone_known: bool = True, before: LearnedSchedule | None = None
) -> LearnedSchedule | None:
    """Return the schedule of runs (start times, oldest first, UTC).

    None if irregular.

    At least four runs must agree. `zone` is that of the server: an IANA name or an offset such as `+05:30`; if it is
    only assumed (`is_zone_known`), an hour is allowed for summer time. `before` is the previously learned schedule: it
    remains until the runs contradict it.
    """
    clock = read_zone(zone)
    fit = _find_fit([_wall_clock_s(instant, clock) for instant in begins[-MOST_RUNS:]], before)
    return None if fit is None else _finished(fit, zone, clock, is_zone_known=is_zone_known)


def _find_fit(times: Sequence[float], before: LearnedSchedule | None) -> _Fit | None:
    if len(times) < FEWEST_RUNS:
        return None
    fit = _fit_before(before, times[-WINDOWS[0] :])
    # No search is needed if the newest runs were one per slot, as expected.
    if fit is not None and len(times) >= WINDOWS[0] and fit.share == 1 and fit.is_narrow and fit.is_current:
        return _widened(fit, times)
    for index, count in enumerate(_windows(times)):
        newest = times[-count:]
        fit = _best_fit(newest, times)
        if fit is not None and fit.has_moved and count > FEWEST_RUNS:
            fit = _best_fit(newest[-FEWEST_RUNS:], newest[-FEWEST_RUNS:])
        # A pattern in few runs that more runs do not show must be strict.
        is_plain = fit is not None and fit.is_narrow and (fit.size_s in USUAL_SIZES or fit.size_s % DAY_S == 0)
        if fit is not None and fit.agrees and (is_plain or not index or count >= WINDOWS[0]):
            return _widened(fit, times)
    fit = _fit_before(before, times)
    return fit if fit is not None and fit.still_holds else None


def _fit_before(before: LearnedSchedule | None, times: Sequence[float]) -> _Fit | None:
    """Match the previously learned schedule with runs.

    None for months, whose length changes.
    """
    if before is None or before.interval[-1] in "MY":
        return None
    size = round(parse_interval(before.interval).size.total_seconds())
    return _on_days(_fit(times, size), frozenset(weekdays_from_mask(before.weekdays)))


def steady_time(begins: Sequence[datetime], interval: Interval) -> datetime | None:
    """Return the newest of three consecutive runs at one phase of the grid, or None.

    A better anchor than the first run, which is often started manually.
    """
    newest = begins[-RUNS_IN_A_ROW:]
    if len(newest) < RUNS_IN_A_ROW or interval.is_calendar or not interval.size:
        return None
    near = steady_within(interval)
    for earlier, later in pairwise(newest):
        count = round((later - earlier) / interval.size)
        if count < 1 or abs(later - earlier - count * interval.size) > near:
            return None
    return newest[-1]


def steady_within(interval: Interval) -> timedelta:
    """Return the maximum distance for `steady_time`: a quarter of an hour per day."""
    return interval.size / 96


def usual_distance(begins: Sequence[datetime]) -> str | None:
    """Return the interval, in whole days, within which an irregular job usually runs.

    One pause in eight may be longer. None with too few runs.
    """
    if len(begins) < FEWEST_TO_OFFER:
        return None
    gaps = sorted((later - earlier).total_seconds() for earlier, later in pairwise(begins[-MOST_RUNS:]))
    return f"{max(ceil(gaps[-1 - len(gaps) // 8] / DAY_S), 1)}D"


def _windows(times: Sequence[float]) -> Iterator[int]:
    is_daily = median(later - earlier for earlier, later in pairwise(times[-WINDOWS[0] :])) > DAY_S * 0.8
    firsts = (min(len(times), WINDOWS[0]), len(times)) if is_daily else (len(times),)
    yield from dict.fromkeys(firsts)
    yield from (count for count in WINDOWS if count < firsts[0])


def _best_fit(times: Sequence[float], known: Sequence[float]) -> _Fit | None:
    return max(_fits(times, known), key=lambda fit: (fit.agrees, fit.score), default=None)


def _fits(times: Sequence[float], known: Sequence[float]) -> Iterator[_Fit]:
    """Yield all possible intervals matched with the runs.

    `known` also includes the runs before them.
    """
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    usual = gaps[: max(len(gaps) * 4 // 5, 1)]
    lengths = {median(gaps), sum(usual) / len(usual), sum(gaps) / len(gaps)}
    for size in sorted({size for length in lengths for size in _sizes(length)}):
        fit = _fit(times, size)
        if not _may_be(fit, size):
            continue
        yield fit
        if size <= DAY_S:
            yield from _without_days(fit, fit if len(times) < WINDOWS[0] else _fit(known, size))
    for months in {months for length in lengths for months in MONTHS if 0.85 < length / (months * MONTH_S) < 1.15}:
        yield from _monthly_fits(times, months)


def _may_be(fit: _Fit, size: int) -> bool:
    """Return whether an interval may be learned: rare ones need strong evidence."""
    if size in USUAL_SIZES:
        return True
    return fit.is_narrow and (size % DAY_S == 0 or size < DAY_S / 2 or len(fit.slots) >= COMPLETE_RUNS)


def _sizes(length: float) -> Iterator[int]:
    """Yield intervals of an exact length, in seconds, near a distance between runs."""
    yield from (size for size in SHORT_INTERVALS if 0.55 * length <= size <= 1.8 * length)
    unit = HOUR_S if length > 2 * HOUR_S else 300
    if unit < length < 4 * DAY_S:
        yield round(length / unit) * unit
    if 2.5 * DAY_S < length < 10 * DAY_S:
        yield 7 * DAY_S
    if length >= 0.5 * DAY_S:
        days = max(round(length / DAY_S), 1)
        yield from (number * DAY_S for number in {max(days - 1, 1), days, days + 1})
        if length < 6.5 * DAY_S:
            yield DAY_S


def _fit(times: Sequence[float], size: int) -> _Fit:
    phase = _circular_median([each % size for each in times], size)
    numbers = [round((each - phase) / size) for each in times]
    nearest = _nearest(times, numbers, [phase + number * size for number in numbers])
    return _laid(_written(size), size, phase + numbers[-1] * size, nearest, len(times))


def _nearest(times: Sequence[float], numbers: Sequence[int], slots: Sequence[float]) -> dict[int, tuple[float, float]]:
    """Return slot and distance of the nearest run for each slot number.

    Other runs of a slot are ignored: they were started manually.
    """
    nearest: dict[int, tuple[float, float]] = {}
    for each, number, slot in zip(times, numbers, slots, strict=True):
        if number not in nearest or abs(each - slot) < abs(nearest[number][1]):
            nearest[number] = slot, each - slot
    return nearest


def _laid(interval: str, size: float, anchor: float, nearest: Mapping[int, tuple[float, float]], count: int) -> _Fit:
    slots, distances = zip(*nearest.values(), strict=True)
    steps = tuple(later - earlier for earlier, later in pairwise(nearest))
    return _Fit(interval, size, anchor, slots, distances, steps, count - len(nearest))


def _without_days(fit: _Fit, known: _Fit) -> Iterator[_Fit]:
    """Yield fits without weekdays on which nothing ran on time.

    That is never, or not the last two times.

    `known` is the fit of all known runs. In the first two weeks once is enough for a weekend, and if several days of
    each week are left out.
    """
    hit, past = _days_of(known)
    lately = {weekday for weekday, days in past.items() if len(days) >= 2 and not hit & set(days[:2])}
    hit, past = _days_of(fit)
    never = {weekday for weekday, days in past.items() if days and not hit & set(days)}
    first, last = _day(fit.slots[0]), _day(fit.slots[-1])
    found = [lately, {weekday for weekday in never if len(past[weekday]) >= 2}]
    is_young = 7 <= last - first < 15 and not fit.is_wide and max(fit.steps) <= LONGEST_YOUNG_HOLE
    if is_young and (never == WEEKEND or sum(step > 1 for step in fit.steps) > 1):
        found.append(never)
    for absent in {frozenset(absent) for absent in found} - {EVERY_DAY, frozenset()}:
        allowed = EVERY_DAY - absent
        if fit.is_wide and len(allowed) < FEWEST_WIDE_DAYS:
            continue
        restricted = _on_days(fit, allowed)
        # With few runs a gap is no evidence, for weekdays as for all else.
        if len(fit.slots) >= WINDOWS[0] or all(step == 1 for step in restricted.steps):
            yield restricted


def _days_of(fit: _Fit) -> tuple[set[int], dict[int, range]]:
    """Return days with a punctual run, and all days by weekday, newest first."""
    agreeing = zip(fit.slots, fit.distances, strict=True)
    hit = {_day(slot) for slot, distance in agreeing if fit.is_wide or abs(distance) <= fit.usual_distance}
    first, last = _day(fit.slots[0]), _day(fit.slots[-1])
    return hit, {weekday: range(last - (last + 4 - weekday) % 7, first - 1, -7) for weekday in EVERY_DAY}


def _on_days(fit: _Fit, allowed: frozenset[int]) -> _Fit:
    """Restrict a fit to some weekdays: its steps count the slots on these only."""
    if allowed == EVERY_DAY:
        return fit
    steps = tuple(_allowed_steps(earlier, later, fit.size_s, allowed) for earlier, later in pairwise(fit.slots))
    return replace(fit, steps=steps, weekdays=allowed)


def _allowed_steps(earlier: float, later: float, size: float, allowed: frozenset[int]) -> int:
    count = min(round((later - earlier) / size), 7 * LONGEST_HOLE)
    return sum((_day(earlier + number * size) + 4) % 7 in allowed for number in range(1, count + 1))


def _monthly_fits(times: Sequence[float], months: int) -> Iterator[_Fit]:
    """Yield fits with slots on one day of the month.

    A shorter month uses its last day.
    """
    interval = f"{months}M" if months < 12 else "1Y"
    days = sorted(_at(each).day for each in times)
    clock_time = _circular_median([each % DAY_S for each in times], DAY_S)
    for day in {days[len(days) // 2], days[-1]}:
        base = _month_to_count_from(_at(times[-1]), months, day) + timedelta(seconds=clock_time)
        chosen = [_nearest_month(each, base, months) for each in times]
        nearest = _nearest(times, chosen, [_months_after(base, number * months) for number in chosen])
        yield _laid(interval, months * MONTH_S, base.timestamp(), nearest, len(times))


def _month_to_count_from(newest: datetime, months: int, day: int) -> datetime:
    """Return a month in step with the newest run that has this day.

    So 31 January + 1M is the end of February.
    """
    in_step = [month for month in range(1, 13) if (month - newest.month) % months == 0]
    month = next((month for month in in_step if monthrange(newest.year, month)[1] >= day), newest.month)
    return datetime(newest.year, month, min(day, monthrange(newest.year, month)[1]), tzinfo=UTC)


def _nearest_month(seconds: float, base: datetime, months: int) -> int:
    number = round((seconds - base.timestamp()) / (months * MONTH_S))
    return min((number - 1, number, number + 1), key=lambda each: abs(_months_after(base, each * months) - seconds))


def _months_after(base: datetime, count: int) -> float:
    return add_months(base, count).timestamp()


def _widened(fit: _Fit, times: Sequence[float]) -> _Fit:
    """Match the interval with all runs if they agree: more runs give a better spread."""
    if len(times) == len(fit.slots) or fit.interval[-1] in "MY":
        return fit
    wide = _on_days(_fit(times, round(fit.size_s)), fit.weekdays)
    return wide if wide.agrees and not wide.has_moved else fit


def _finished(fit: _Fit, zone: str, clock: tzinfo, *, is_zone_known: bool) -> LearnedSchedule:
    # Summer time may move runs by an hour if the zone of the server is unknown, or the interval is below a day.
    is_steady = fit.size_s >= DAY_S and is_zone_known
    late = max(_reach(fit.distances, fit), LEAST_LATE_S if is_steady else HOUR_S)
    early = max(_reach([-each for each in fit.distances], fit), 0 if is_steady else HOUR_S)
    return LearnedSchedule(
        fit.interval,
        _instant(fit.anchor, clock),
        weekday_mask(fit.weekdays),
        zone,
        round(fit.spread),
        round(min(early, MOST_EARLY * fit.size_s)),
        round(min(late, MOST_LATE * fit.size_s)),
        len(fit.slots),
    )


def _reach(distances: Sequence[float], fit: _Fit) -> float:
    """Return how far runs may deviate in one direction.

    Single outliers are soon forgotten.
    """
    if fit.is_wide:
        return fit.size_s
    if len(distances) < COMPLETE_RUNS:
        usual = max((each for each in distances if abs(each) <= fit.usual_distance), default=0.0)
    else:
        usual = sorted(distances)[-2 if fit.is_narrow else -1]
    newest = max(distances[1 - FEWEST_RUNS :])
    # Few runs may be close to each other by chance.
    by_spread = (3 + 36 / len(distances)) * fit.spread
    return max(usual * (1 + FEWEST_TO_OFFER / len(distances)), newest * 1.25, by_spread)


def _circular_median(values: Iterable[float], size: float) -> float:
    """Return the median of numbers on a circle, cut at its largest gap."""
    ordered = sorted(values)
    gaps = [later - earlier for earlier, later in pairwise([*ordered, ordered[0] + size])]
    cut = gaps.index(max(gaps)) + 1
    return median([*ordered[cut:], *(value + size for value in ordered[:cut])]) % size


def _day(seconds: float) -> int:
    return int(seconds // DAY_S)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _wall_clock_s(instant: datetime, clock: tzinfo) -> float:
    """Return the local time as seconds since 1970."""
    return instant.astimezone(clock).replace(tzinfo=UTC).timestamp()


def _instant(seconds: float, clock: tzinfo) -> datetime:
    return _at(seconds).replace(tzinfo=clock).astimezone(UTC)


def _written(size: int) -> str:
    for unit, length in (("W", 7 * DAY_S), ("D", DAY_S), ("h", HOUR_S)):
        if size % length == 0:
            return f"{size // length}{unit}"
    return f"{size // 60}m"
