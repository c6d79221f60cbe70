"""The heartbeats of a job: its runs in order, and a gap for each missed run."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from app.reports.outcomes import RecentRun, unpack_runs
from app.schedules.intervals import BadInterval, Interval, NoSlot, Schedule, parse_interval

MISSED = "M"
# Neighbours that are no further apart than this share of the interval have no gap between them.
_STEADY = 1.25
# A run that begins up to this share of the interval before a slot belongs to that slot. This does not depend on the
# tolerance: clock changes move the schedule by an hour, and must not look like a missed run.
_EARLY = 0.25
_GAPS_COUNTED = 1000


class Heartbeat(NamedTuple):
    """A run, or a gap of one or more missed runs.

    `letter` is that of the run (`RecentRun`), or M for a gap.
    """

    letter: str
    at: datetime
    run_count: int = 1


class HeartbeatInput(NamedTuple):
    """The input of a job's heartbeats: packed runs, schedule, and missing runs."""

    recent_runs: bytes
    schedule: Schedule | None = None
    missing_since: datetime | None = None
    due_until: datetime | None = None

    def heartbeats(self, slots: int) -> list[Heartbeat]:
        """Return the heartbeats, see `heartbeats`."""
        return heartbeats(
            unpack_runs(self.recent_runs),
            self.schedule,
            missing_since=self.missing_since,
            due_until=self.due_until,
            slots=slots,
        )


def heartbeats(
    runs: Sequence[RecentRun],
    schedule: Schedule | None,
    *,
    missing_since: datetime | None = None,
    due_until: datetime | None = None,
    slots: int,
) -> list[Heartbeat]:
    """Return the newest heartbeats of a job, at most `slots`, oldest first.

    Without a schedule there are no gaps. `missing_since` is the expected run of an overdue job; slots up to `due_until`
    should have been reported by now. A long silence is cut to a third of the slots, so that earlier runs remain
    visible; its first gap then stands for the rest.
    """
    interval = _interval(schedule)
    most_gaps = max(slots // 3, 1)
    # Runs that saved nothing or were interrupted satisfy no slot: the gap is replaced by them.
    unsaved = [Heartbeat(run.letter, run.began_at) for run in runs if not run.counts][::-1]
    runs = [run for run in runs if run.counts]
    found: list[Heartbeat] = []
    if missing_since is not None:
        missed = [missing_since]
        if schedule and interval and due_until is not None and due_until > missing_since:
            missed += _slots(missing_since + timedelta(seconds=1), due_until + timedelta.resolution, schedule)
        found += _gaps(missed, most_gaps)
    for index in range(len(runs) - 1, -1, -1):
        run = runs[index]
        found.append(Heartbeat(run.letter, run.began_at))
        if len(found) >= slots:
            break
        if schedule and interval and index and _is_apart(runs[index - 1], run, interval):
            found += _gaps(_missed_between(runs[index - 1].began_at, run.began_at, schedule, interval), most_gaps)
    return _with_unsaved(found, unsaved, interval)[:slots][::-1]


def _with_unsaved(found: list[Heartbeat], unsaved: list[Heartbeat], interval: Interval | None) -> list[Heartbeat]:
    """Insert the runs that satisfied no slot, newest first; each replaces its gap."""
    near = interval.size * _EARLY if interval else timedelta()
    for heartbeat in unsaved:
        gaps = (each for each in found if each.letter == MISSED and each.run_count == 1)
        gap = next((each for each in gaps if abs(each.at - heartbeat.at) <= near), None)
        if gap is not None:
            found.remove(gap)
        found.append(heartbeat)
    return sorted(found, key=lambda heartbeat: heartbeat.at, reverse=True) if unsaved else found


def _interval(schedule: Schedule | None) -> Interval | None:
    if schedule is None:
        return None
    try:
        interval = parse_interval(schedule.interval_text)
    except BadInterval:
        return None
    return interval if interval.size else None


def _is_apart(earlier: RecentRun, later: RecentRun, interval: Interval) -> bool:
    return later.began_at_ms - earlier.began_at_ms > interval.size.total_seconds() * 1000 * _STEADY


def _missed_between(earlier_at: datetime, later_at: datetime, schedule: Schedule, interval: Interval) -> list[datetime]:
    """Return the slots that neither of two neighbouring runs satisfied.

    The later run satisfied the last slot before it.
    """
    early = max(interval.size * _EARLY, schedule.early)
    return _slots(earlier_at + early, later_at + early, schedule)[:-1]


def _slots(start_at: datetime, end_at: datetime, schedule: Schedule) -> list[datetime]:
    try:
        return schedule.slots_between(start_at, end_at, limit=_GAPS_COUNTED)
    except (NoSlot, OverflowError):
        return []


def _gaps(missed: list[datetime], most: int) -> list[Heartbeat]:
    """Return missed slots as heartbeats, newest first.

    The last one stands for the rest.
    """
    cut = max(len(missed) - most, 0)
    found = [Heartbeat(MISSED, slot) for slot in missed[cut:]]
    if cut:
        found[0] = Heartbeat(MISSED, missed[0], cut + 1)
    return found[::-1]
