"""The pulse of a job: its runs in their order, and a gap wherever a planned run did not come."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from app.backups.recent_runs import RecentRun, unpack_runs
from app.schedules.grid import NoSlot, Schedule
from app.schedules.intervals import BadInterval, Interval, parse_interval

MISSED = "M"
# Neighbours that lie no further apart than this share of the interval have no gap between them.
_STEADY = 1.25
# A run that begins up to this share of the interval before a slot is that slot's run. For a picture it is the same
# whatever the tolerance is: the change of the clocks moves a plan by an hour, and must not look like a loss.
_EARLY = 0.25
_GAPS_COUNTED = 1000


class Beat(NamedTuple):
    """A run, or a gap: `letter` is that of the run (`RecentRun`), or M; a gap may stand for several missed runs."""

    letter: str
    at: datetime
    run_count: int = 1


class Pulse(NamedTuple):
    """All that the beats of a job depend on: its packed runs, its plan, and since when it waits for which runs."""

    recent_runs: bytes
    plan: Schedule | None = None
    missing_since: datetime | None = None
    due_until: datetime | None = None

    def beats(self, slots: int) -> list[Beat]:
        """See `heartbeats`."""
        return heartbeats(
            unpack_runs(self.recent_runs),
            self.plan,
            missing_since=self.missing_since,
            due_until=self.due_until,
            slots=slots,
        )


def heartbeats(
    runs: Sequence[RecentRun],
    plan: Schedule | None,
    *,
    missing_since: datetime | None = None,
    due_until: datetime | None = None,
    slots: int,
) -> list[Beat]:
    """The newest beats of a job, at most `slots`, oldest first. Without a plan nothing is missed.

    `missing_since` is the planned run that an overdue job waits for; slots up to `due_until` should have been
    reported by now. A long silence is cut to a third of the slots, so that the runs before it stay in sight; its first
    gap then stands for the rest.
    """
    interval = _interval(plan)
    most_gaps = max(slots // 3, 1)
    # Those that saved nothing, or were broken off, keep no slot: the gap stands where they are.
    idle = [Beat(run.letter, run.began_at) for run in runs if not run.counts][::-1]
    runs = [run for run in runs if run.counts]
    beats: list[Beat] = []
    if missing_since is not None:
        missed = [missing_since]
        if plan and interval and due_until is not None and due_until > missing_since:
            missed += _slots(missing_since + timedelta(seconds=1), due_until + timedelta.resolution, plan)
        beats += _gaps(missed, most_gaps)
    for place in range(len(runs) - 1, -1, -1):
        run = runs[place]
        beats.append(Beat(run.letter, run.began_at))
        if len(beats) >= slots:
            break
        if plan and interval and place and _is_apart(runs[place - 1], run, interval):
            beats += _gaps(_missed_between(runs[place - 1].began_at, run.began_at, plan, interval), most_gaps)
    return _with_idle(beats, idle, interval)[:slots][::-1]


def _with_idle(beats: list[Beat], idle: list[Beat], interval: Interval | None) -> list[Beat]:
    """Put the beats of runs that kept no slot between the others, newest first; each takes the place of its gap."""
    near = interval.size * _EARLY if interval else timedelta()
    for beat in idle:
        gaps = (each for each in beats if each.letter == MISSED and each.run_count == 1)
        gap = next((each for each in gaps if abs(each.at - beat.at) <= near), None)
        if gap is not None:
            beats.remove(gap)
        beats.append(beat)
    return sorted(beats, key=lambda beat: beat.at, reverse=True) if idle else beats


def _interval(plan: Schedule | None) -> Interval | None:
    if plan is None:
        return None
    try:
        interval = parse_interval(plan.interval_text)
    except BadInterval:
        return None
    return interval if interval.size else None


def _is_apart(earlier: RecentRun, later: RecentRun, interval: Interval) -> bool:
    return later.began_at_ms - earlier.began_at_ms > interval.size.total_seconds() * 1000 * _STEADY


def _missed_between(earlier_at: datetime, later_at: datetime, plan: Schedule, interval: Interval) -> list[datetime]:
    """Slots that neither of two neighbouring runs fulfilled: the later one has done the last slot before it."""
    early = max(interval.size * _EARLY, plan.early)
    return _slots(earlier_at + early, later_at + early, plan)[:-1]


def _slots(start_at: datetime, end_at: datetime, plan: Schedule) -> list[datetime]:
    try:
        return plan.slots_between(start_at, end_at, limit=_GAPS_COUNTED)
    except (NoSlot, OverflowError):
        return []


def _gaps(missed: list[datetime], most: int) -> list[Beat]:
    """Missed slots as beats, newest first; beyond `most` the oldest one stands for all that are before it."""
    cut = max(len(missed) - most, 0)
    beats = [Beat(MISSED, slot) for slot in missed[cut:]]
    if cut:
        beats[0] = Beat(MISSED, missed[0], cut + 1)
    return beats[::-1]
