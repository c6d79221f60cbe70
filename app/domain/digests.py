"""What a span of days came to: runs by how they ended, planned runs that did not come, what grew."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app.domain.intervals import BadInterval, parse_interval
from app.domain.schedules import NoSlot, Schedule

# A run that begins up to this share of the interval before a slot is that slot's run.
EARLY = 0.25
BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class DigestDay:
    """One day of a digest: counts, and the bytes in use at its end (None as long as nothing is known)."""

    day: date
    fine_count: int
    warning_count: int
    failed_count: int
    missed_count: int
    storage_bytes: float | None


def missed_slots(runs: Sequence[datetime], start_at: datetime, end_at: datetime, schedule: Schedule) -> list[datetime]:
    """The planned slots from `start_at` on and before `end_at` that no run came for.

    `runs` are sorted, and reach a little beyond both ends. A slot's run is one that begins from shortly before it
    until shortly before the next one. A plan that cannot be read misses nothing.
    """
    try:
        interval = parse_interval(schedule.interval_text)
        early = max(interval.size * EARLY, schedule.early)
        slots = schedule.slots_between(start_at, end_at + interval.size + timedelta(days=7))
    except (BadInterval, NoSlot, OverflowError):
        return []
    missed = []
    for slot, following in zip(slots, [*slots[1:], None], strict=True):
        if slot >= end_at:
            break
        first = bisect_left(runs, slot - early)
        has_run = first < len(runs) and (following is None or runs[first] < following - early)
        if not has_run:
            missed.append(slot)
    return missed


def sparkline(values: Sequence[float | None]) -> str:
    """A series as a row of blocks, the lowest value as the lowest block; nothing where less than two are known."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    low, span = min(known), max(known) - min(known)
    top = len(BLOCKS) - 1
    return "".join(
        BLOCKS[0] if value is None else BLOCKS[round((value - low) / span * top) if span else 0] for value in values
    )


def largest_growth(
    before: Mapping[int, float], after: Mapping[int, float], *, limit: int
) -> list[tuple[int, float, float]]:
    """The jobs that grew most: key, growth and what there is now, the largest first."""
    grown = [(key, now - before.get(key, 0.0), now) for key, now in after.items() if now > before.get(key, 0.0)]
    return sorted(grown, key=lambda row: (-row[1], row[0]))[:limit]
