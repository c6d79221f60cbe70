"""Keep the next expected run of each job up to date.

The schedule of a job is the first of: what Duplicati announces, a person's choice, Duplicati's own settings, the
schedule learned from the runs, the stored interval from the first run.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from app import runtime
from app.backups.models import ALL_WEEKDAYS, DEFAULT_INTERVAL
from app.core.instants import MILLISECOND
from app.core.settings import store as settings_store
from app.reports.outcomes import DRY_RUN, unpack_runs
from app.reports.parser import LATEST_NEXT_RUN, Report
from app.reports.versions import machine_zone
from app.schedules.intervals import SLOT_MARGIN, BadInterval, Interval, NoSlot, Schedule, expected_time, parse_interval
from app.schedules.learned import LearnedSchedule, learn, steady_time, steady_within, usual_distance
from app.schedules.overdue import TOLERANCES

TRACKED_COLUMNS = (
    "announced_next_at",
    "schedule_anchor_at",
    "schedule_source",
    "learned_schedule",
    "next_expected_at",
    "overdue_at",
)
# The columns of a schedule; only all of them together are copied from another job.
SCHEDULE_COLUMNS = (
    "expected_interval",
    "allowed_weekdays",
    "interval_source",
    "schedule_anchor_at",
    "schedule_source",
    "learned_schedule",
)
LENGTHS_SEEN = 5
INFERRED, DUPLICATI, PERSON = "guess", "duplicati", "person"
# Sources of an interval that was not chosen for this job here.
NOT_CHOSEN = ("default", "imported")
SOURCES = (DUPLICATI, PERSON, "kept", "learned", "default")


def follow_report(job: Any, server: Any, report: Report, *, is_first: bool = False) -> None:
    """Update the schedule of a job after a report; its statistics include the run.

    `job` and `server` may be any objects with the attributes of the models; columns of the job in `TRACKED_COLUMNS` may
    change. A run that Duplicati announces takes precedence over inferred ones; else the first run is the anchor of the
    grid until a schedule is learned: the first one that saved something (`is_first`), once there is one. A run that
    saved nothing gives the grid, but satisfies no slot: the previous one remains expected.
    """
    decides = report.counts and job.state_began_at == report.began_at
    if not decides and (report.counts or job.last_began_at != report.began_at):
        # An older run, arrived late: it may complete a schedule, but the newest run decides the rest.
        if report.next_scheduled_at is None and relearn(job, server):
            recalculate_next_run(job)
        return
    if report.next_scheduled_at is not None:
        job.schedule_anchor_at, job.schedule_source = report.next_scheduled_at, DUPLICATI
    elif job.schedule_source == INFERRED and (job.schedule_anchor_at is None or (is_first and decides)):
        job.schedule_anchor_at = report.began_at
    if decides and (report.next_scheduled_at is not None or not _is_ahead(job.announced_next_at, report.began_at)):
        # A manual run announces nothing: the previous announcement remains valid.
        job.announced_next_at = report.next_scheduled_at
    if report.next_scheduled_at is None:
        relearn(job, server)
        if not is_first:
            _move_inferred_anchor(job)
    if decides or job.next_expected_at is None:
        recalculate_next_run(job)


def relearn(job: Any, server: Any) -> bool:
    """Learn the schedule of a job from its recent runs; return whether it changed.

    A schedule that a person accepted is not learned again.
    """
    before = job.learned_schedule
    if is_accepted(job):
        return False
    job.learned_schedule = None
    if _may_learn(job):
        begins = _begins(job)
        learned = _learn(begins, server, LearnedSchedule.read(before))
        if learned is not None:
            job.learned_schedule = learned.stored()
        elif (interval := usual_distance(begins)) is not None:
            job.learned_schedule = {"at_least": interval}
    return bool(job.learned_schedule != before)


def _may_learn(job: Any) -> bool:
    """Return whether neither a person nor Duplicati's settings define the schedule."""
    return job.interval_source in NOT_CHOSEN and job.schedule_source != PERSON


def _learn(begins: list[datetime], server: Any, before: LearnedSchedule | None) -> LearnedSchedule | None:
    zone, is_known = machine_zone(server.seen_offsets, runtime.settings().zone)
    try:
        return learn(begins, zone, is_zone_known=is_known, before=before)
    except OverflowError:  # an imported or restored database may have start times at the limits of the calendar
        return None


def _move_inferred_anchor(job: Any) -> None:
    """Move an inferred anchor to three consecutive runs at one phase, if any."""
    if job.schedule_source != INFERRED or job.schedule_anchor_at is None:
        return
    try:
        interval = parse_interval(job.expected_interval)
    except BadInterval:
        return
    steady_at = steady_time(_begins(job), interval)
    if steady_at is not None and abs(_phase(steady_at - job.schedule_anchor_at, interval)) > steady_within(interval):
        job.schedule_anchor_at = steady_at


def _phase(distance: timedelta, interval: Interval) -> timedelta:
    """Return the distance from the nearest slot, given the distance from the anchor."""
    return distance - round(distance / interval.size) * interval.size


def _begins(job: Any) -> list[datetime]:
    # Dry runs are started manually; failed or aborted runs began when they should.
    return [run.began_at for run in unpack_runs(job.recent_runs) if run.letter != DRY_RUN]


def accept_learned(job: Any) -> bool:
    """Store the learned or suggested schedule as a person's choice.

    False without one.
    """
    learned, offer = _learned(job), offered_interval(job)
    if learned is not None:
        job.expected_interval, job.allowed_weekdays = learned.interval, learned.weekdays
        job.schedule_anchor_at = learned.anchor_at
        job.learned_schedule = {**job.learned_schedule, "is_accepted": True}
    elif offer is not None:
        # Without an anchor the interval counts from the last run.
        job.expected_interval, job.allowed_weekdays, job.schedule_anchor_at = offer, ALL_WEEKDAYS, None
        job.learned_schedule = None
    else:
        return False
    job.interval_source = job.schedule_source = PERSON
    recalculate_next_run(job)
    return True


def copy_schedule(job: Any, own: Any) -> None:
    """Copy the schedule of a merged job, as a whole, if this one has none of its own."""
    is_chosen = job.interval_source not in NOT_CHOSEN
    is_known = own.schedule_source == INFERRED and (own.schedule_anchor_at is None or job.schedule_source != INFERRED)
    if own.interval_source in NOT_CHOSEN and (is_chosen or is_known):
        for name in SCHEDULE_COLUMNS:
            setattr(own, name, getattr(job, name))


def learn_again(job: Any, server: Any) -> None:
    """Delete a person's choice, so that the schedule is learned from the runs again."""
    job.interval_source, job.expected_interval, job.allowed_weekdays = "default", DEFAULT_INTERVAL, ALL_WEEKDAYS
    job.learned_schedule = None
    if job.schedule_source == PERSON:
        job.schedule_source = INFERRED
        job.schedule_anchor_at = job.state_began_at or job.last_began_at
    relearn(job, server)
    recalculate_next_run(job)


def choose_interval(job: Any, *, is_explicit: bool = False) -> None:
    """Set the source of interval and weekdays after a person saved them.

    The default is no choice, unless `is_explicit`.
    """
    is_default = job.expected_interval == DEFAULT_INTERVAL and job.allowed_weekdays == ALL_WEEKDAYS
    job.interval_source = "default" if is_default and not is_explicit else PERSON
    learned = _learned(job)
    if learned is not None and job.schedule_source == INFERRED:
        job.schedule_anchor_at = learned.anchor_at  # the time of day was not changed
    if job.schedule_source == PERSON and job.schedule_anchor_at is None:
        job.schedule_source, job.schedule_anchor_at = INFERRED, job.state_began_at or job.last_began_at
    job.learned_schedule = None


def is_accepted(job: Any) -> bool:
    """Return whether a person accepted the learned schedule."""
    return bool((job.learned_schedule or {}).get("is_accepted")) and job.interval_source == PERSON


def offered_interval(job: Any) -> str | None:
    """Return the suggested interval of an irregular job, such as `3D`, or None."""
    interval = (job.learned_schedule or {}).get("at_least")
    return interval if isinstance(interval, str) else None


def learned_of(job: Any) -> LearnedSchedule | None:
    """Return the learned schedule unless Duplicati's or a person's replaces it."""
    if is_accepted(job) or _may_learn(job):
        return _learned(job)
    return None


def _learned(job: Any) -> LearnedSchedule | None:
    stored = job.learned_schedule
    return LearnedSchedule.read(stored) if stored else None


def source_of(job: Any) -> str:
    """Return the source of the current schedule of a job, one of `SOURCES`."""
    is_announced = job.announced_next_at is not None and job.announced_next_at == job.next_expected_at
    if is_announced or job.interval_source == DUPLICATI:
        return DUPLICATI
    if is_accepted(job):
        return "kept"
    if job.interval_source == PERSON or job.schedule_source == PERSON:
        return PERSON
    return "default" if learned_of(job) is None else "learned"


def schedule_of(job: Any) -> Schedule | None:
    """Return the current schedule of a job; None without a grid.

    `job` may be any object with the attributes of `Job`.
    """
    learned = learned_of(job)
    if learned is not None:
        return learned.schedule()
    if job.schedule_anchor_at is None:
        return None
    return Schedule(job.schedule_anchor_at, job.expected_interval, job.allowed_weekdays)


def grace_period(job: Any) -> timedelta:
    """Return the grace period of a job, its own or the global one."""
    return TOLERANCES[grace_name(job)]


def grace_name(job: Any) -> str:
    """Return the grace period of a job by its name in `TOLERANCES`."""
    own = job.overdue_tolerance
    return str(own if own in TOLERANCES else settings_store.get("overdue_tolerance"))


def reset_inferred_anchor(job: Any, server: Any) -> None:
    """Restart the grid at the newest run unless Duplicati or a person set the anchor."""
    if job.schedule_source == INFERRED and job.state_began_at is not None:
        job.schedule_anchor_at = job.state_began_at
        relearn(job, server)
        recalculate_next_run(job)


def correct_wrong_clock(job: Any, clock_ahead: timedelta | None) -> None:
    """Correct a schedule that was announced by a clock that was ahead, if known.

    A next run further away than `LATEST_NEXT_RUN` is deleted in any case.
    """
    if clock_ahead is not None:
        job.announced_next_at = None
        if job.schedule_source == DUPLICATI and job.schedule_anchor_at is not None:
            job.schedule_anchor_at -= clock_ahead
    received_at = job.last_received_at
    if received_at is None:
        return
    if job.announced_next_at is not None and job.announced_next_at - received_at > LATEST_NEXT_RUN:
        job.announced_next_at = None
    anchor_at = job.schedule_anchor_at
    if job.schedule_source == DUPLICATI and anchor_at is not None and anchor_at - received_at > LATEST_NEXT_RUN:
        job.schedule_anchor_at, job.schedule_source = job.state_began_at, INFERRED


def recalculate_next_run(job: Any) -> None:
    """Compute the next expected run of a job and the end of its grace period.

    None for a bad interval.
    """
    grace = grace_period(job)
    if job.state_began_at and _is_ahead(job.announced_next_at, job.state_began_at):
        expected_at, late = job.announced_next_at, timedelta()
    else:
        expected_at, late = _expected(job, grace)
    job.next_expected_at = expected_at
    job.overdue_at = None if expected_at is None else deadline(expected_at + late + _length_to_await(job, grace), grace)


def deadline(expected_at: datetime, tolerance: timedelta) -> datetime:
    """Return the last instant, in UTC, at which a run is not overdue.

    Computed in exact time, also across clock changes.
    """
    return expected_at.astimezone(UTC) + tolerance


def _length_to_await(job: Any, grace: timedelta) -> timedelta:
    """Return the longest recent duration if it exceeds the grace period, else 0.

    Reports arrive at the end of a run. While only the default schedule is known, it is 0, as in the original.
    """
    if source_of(job) == "default":
        return timedelta()
    newest = [run.duration_s for run in unpack_runs(job.recent_runs) if not run.has_failed][-LENGTHS_SEEN:]
    longest = timedelta(seconds=max(newest, default=0.0))
    return longest if longest > grace else timedelta()


def _expected(job: Any, grace: timedelta) -> tuple[datetime | None, timedelta]:
    """Return the next slot of a job, and the usual lateness of its runs."""
    schedule = schedule_of(job)
    # If no run has saved anything yet, the inferred anchor is the first attempt: the slot after it is expected.
    is_attempt = job.state_began_at is None and job.last_began_at is not None and job.schedule_source == INFERRED
    run_at = job.schedule_anchor_at if is_attempt else job.state_began_at
    if schedule is None:
        if run_at is None:
            return None, timedelta()
        schedule = Schedule(run_at, job.expected_interval, job.allowed_weekdays)
    return expected_time(run_at, schedule, tolerance=grace), schedule.late


def is_on_grid(job: Any, instant: datetime) -> bool:
    """Return whether an instant is a slot of the current schedule.

    Choosing it then changes nothing.
    """
    schedule = schedule_of(job)
    try:
        return schedule is not None and instant in schedule.slots_between(instant, instant + MILLISECOND)
    except (BadInterval, NoSlot, OverflowError):
        return False


def count_missed_runs(job: Any, from_at: datetime, until_at: datetime) -> int:
    """Return the number of runs expected from `from_at` on, missed before `until_at`.

    `from_at` is the first expected run that counts. The run at `until_at` satisfies the slot that it follows, or the
    one that it begins shortly before. 0 if the schedule is invalid.
    """
    schedule = schedule_of(job) or Schedule(from_at, job.expected_interval, job.allowed_weekdays)
    try:
        early = max(
            SLOT_MARGIN, schedule.early, min(grace_period(job), parse_interval(schedule.interval_text).size / 4)
        )
        return max(len(schedule.slots_between(from_at, until_at + early, limit=100_000)) - 1, 0)
    except (BadInterval, NoSlot, OverflowError):
        return 0


def _is_ahead(announced_at: datetime | None, run_at: datetime) -> bool:
    return announced_at is not None and announced_at > run_at
