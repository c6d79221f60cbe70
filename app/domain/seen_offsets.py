"""The offsets to UTC that the reports of a machine have shown, kept as a few periods.

Dates in Duplicati's list of versions are local times without an offset. What the machine's reports showed around a
date says which offset held then. A machine shows two offsets a year at most, so a period each is enough.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from app.domain.available_versions import SeenOffset
from app.domain.instants import from_milliseconds, to_milliseconds

# [first seen, last seen, minutes east of UTC]; instants as milliseconds since 1970, periods in their order.
Period = list[int]
MOST_PERIODS = 200
_YEAR_MS = int(timedelta(days=366).total_seconds() * 1000)
# The end of a period moves on when it is this old, so that not every report writes it again.
_LEAST_STEP_MS = int(timedelta(days=2).total_seconds() * 1000)


def add_offset(periods: Sequence[Sequence[int]], at: datetime, minutes: int) -> list[Period] | None:
    """Give the periods with what a report showed at an instant; None where that is nothing new."""
    moment = to_milliseconds(at)
    for first, last, known in _whole(periods):
        if known == minutes and first - _LEAST_STEP_MS < moment < last + _LEAST_STEP_MS:
            return None
    samples = sorted([*_samples(periods), (moment, minutes)])
    joined: list[Period] = []
    for when, offset in samples:
        if joined and joined[-1][2] == offset:
            joined[-1][1] = when
        else:
            joined.append([when, when, offset])
    return joined[-MOST_PERIODS:]


def seen_offsets(periods: Iterable[Sequence[int]]) -> list[SeenOffset]:
    """Give the instants at which an offset was seen, oldest first: both ends of each period."""
    return [SeenOffset(from_milliseconds(moment), minutes) for moment, minutes in _samples(periods)]


def machine_zone(periods: Iterable[Sequence[int]], zone: ZoneInfo) -> tuple[str, bool]:
    """Return the zone of a machine, for `schedules.read_zone`, and whether its reports confirm it.

    `zone` is ours: it holds where the reports of the last year show its offsets, and where they show none. A machine
    elsewhere has the offset that was seen last.
    """
    samples = _samples(periods)
    if not samples:
        return zone.key, False
    newest = max(moment for moment, _ in samples)
    lately = [sample for sample in samples if sample[0] > newest - _YEAR_MS]
    if all(_offset_min(zone, moment) == minutes for moment, minutes in lately):
        return zone.key, True
    minutes = max(samples)[1]
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}", False


def _offset_min(zone: ZoneInfo, moment: int) -> float:
    offset = from_milliseconds(moment).astimezone(zone).utcoffset() or timedelta()
    return offset / timedelta(minutes=1)


def _samples(periods: Iterable[Sequence[int]]) -> list[tuple[int, int]]:
    ends = ((moment, minutes) for first, last, minutes in _whole(periods) for moment in (first, last))
    return list(dict.fromkeys(ends))


def _whole(periods: Iterable[Sequence[int]]) -> list[Sequence[int]]:
    """The periods; whatever else a restored database may hold in their place is passed over."""
    return [
        period
        for period in periods
        if isinstance(period, list) and len(period) == 3 and all(type(number) is int for number in period)
    ]
