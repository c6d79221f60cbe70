"""When a job should run next: kept with the job at each report, so that nobody has to compute it again.

The schedule of a job is, in this order: what Duplicati announces, what a person chose, what Duplicati's own settings
say, what is learned from the runs, the stored interval through the first run.
"""

from datetime import datetime, timedelta
from typing import Any

from app import runtime
from app.backups.models import ALL_WEEKDAYS, DEFAULT_INTERVAL
from app.backups.recent_runs import DRY_RUN, unpack_runs
from app.core.instants import MILLISECOND
from app.core.settings import store as settings_store
from app.reports.report import LATEST_NEXT_RUN, Report
from app.reports.versions import machine_zone
from app.schedules.grid import GRACE, NoSlot, Schedule, planned_time
from app.schedules.intervals import BadInterval, Interval, parse_interval
from app.schedules.learned import LearnedSchedule, learn, steady_time, steady_within, usual_distance
from app.schedules.overdue import TOLERANCES, deadline

PLAN = (
    "announced_next_at",
    "schedule_anchor_at",
    "schedule_source",
    "learned_schedule",
    "next_expected_at",
    "overdue_at",
)
# What makes a schedule together; only all of them are taken over from another job.
SCHEDULE = (
    "expected_interval",
    "allowed_weekdays",
    "interval_source",
    "schedule_anchor_at",
    "schedule_source",
    "learned_schedule",
)
LENGTHS_SEEN = 5
GUESS, DUPLICATI, PERSON = "guess", "duplicati", "person"
# Sources of an interval that nobody chose for this job here.
NOT_CHOSEN = ("default", "imported")
SOURCES = (DUPLICATI, PERSON, "kept", "learned", "default")


def follow_report(job: Any, server: Any, report: Report, *, is_first: bool = False) -> None:
    """Move the schedule of a job on after a report; the job's figures already know the run.

    `job` and `server` may be any objects with the attributes of the models; those of the job named by `PLAN` may
    change. What Duplicati announces wins over any guess; else the first run is the anchor of the grid until a schedule
    is learned: the first one that saved something (`is_first`), as soon as there is one. A run that saved nothing
    shows where the grid lies, but fulfils no slot: the one before stays expected.
    """
    decides = report.counts and job.state_began_at == report.began_at
    if not decides and (report.counts or job.last_began_at != report.began_at):
        # An older run, arrived late: it may complete a schedule, and the newest one has the say in the rest.
        if report.next_scheduled_at is None and relearn(job, server):
            recalculate_next_run(job)
        return
    if report.next_scheduled_at is not None:
        job.schedule_anchor_at, job.schedule_source = report.next_scheduled_at, DUPLICATI
    elif job.schedule_source == GUESS and (job.schedule_anchor_at is None or (is_first and decides)):
        job.schedule_anchor_at = report.began_at
    if decides and (report.next_scheduled_at is not None or not _is_ahead(job.announced_next_at, report.began_at)):
        # A run by hand announces nothing: what the run before it announced still holds.
        job.announced_next_at = report.next_scheduled_at
    if report.next_scheduled_at is None:
        relearn(job, server)
        if not is_first:
            _move_guess(job)
    if decides or job.next_expected_at is None:
        recalculate_next_run(job)


def relearn(job: Any, server: Any) -> bool:
    """Learn the schedule from the recent runs of a job, where it counts; returns whether that changed anything.

    A schedule that a person kept is learned no more.
    """
    before = job.learned_schedule
    if is_kept(job):
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
    """Whether neither a person nor Duplicati's settings say when a job runs."""
    return job.interval_source in NOT_CHOSEN and job.schedule_source != PERSON


def _learn(begins: list[datetime], server: Any, before: LearnedSchedule | None) -> LearnedSchedule | None:
    zone, is_known = machine_zone(server.seen_offsets, runtime.settings().zone)
    try:
        return learn(begins, zone, is_zone_known=is_known, before=before)
    except OverflowError:  # an imported or restored database may hold a begin at an end of the calendar
        return None


def _move_guess(job: Any) -> None:
    """Move a guessed anchor to where three runs in a row began: the first run is only the first guess."""
    if job.schedule_source != GUESS or job.schedule_anchor_at is None:
        return
    try:
        interval = parse_interval(job.expected_interval)
    except BadInterval:
        return
    steady_at = steady_time(_begins(job), interval)
    if steady_at is not None and abs(_phase(steady_at - job.schedule_anchor_at, interval)) > steady_within(interval):
        job.schedule_anchor_at = steady_at


def _phase(distance: timedelta, interval: Interval) -> timedelta:
    """How far an instant lies from the nearest slot of a grid, of its distance from the anchor."""
    return distance - round(distance / interval.size) * interval.size


def _begins(job: Any) -> list[datetime]:
    # A dry run is started by hand; those that failed or were aborted have begun when they should.
    return [run.began_at for run in unpack_runs(job.recent_runs) if run.letter != DRY_RUN]


def keep_learned(job: Any) -> bool:
    """Make the learned schedule, or the offer for an irregular job, the choice of a person; False without one."""
    learned, offer = LearnedSchedule.read(job.learned_schedule), offered_interval(job)
    if learned is not None:
        job.expected_interval, job.allowed_weekdays = learned.interval, learned.weekdays
        job.schedule_anchor_at = learned.anchor_at
        job.learned_schedule = {**job.learned_schedule, "is_kept": True}
    elif offer is not None:
        # Without an anchor the interval counts from the last run.
        job.expected_interval, job.allowed_weekdays, job.schedule_anchor_at = offer, ALL_WEEKDAYS, None
        job.learned_schedule = None
    else:
        return False
    job.interval_source = job.schedule_source = PERSON
    recalculate_next_run(job)
    return True


def take_over(job: Any, own: Any) -> None:
    """Give a job the schedule of one that is merged into it, as a whole, where it has none of its own."""
    is_chosen = job.interval_source not in NOT_CHOSEN
    is_known = own.schedule_source == GUESS and (own.schedule_anchor_at is None or job.schedule_source != GUESS)
    if own.interval_source in NOT_CHOSEN and (is_chosen or is_known):
        for name in SCHEDULE:
            setattr(own, name, getattr(job, name))


def learn_again(job: Any, server: Any) -> None:
    """Forget what a person chose, so that the schedule is learned from the runs again."""
    job.interval_source, job.expected_interval, job.allowed_weekdays = "default", DEFAULT_INTERVAL, ALL_WEEKDAYS
    job.learned_schedule = None
    if job.schedule_source == PERSON:
        job.schedule_source = GUESS
        job.schedule_anchor_at = job.state_began_at or job.last_began_at
    relearn(job, server)
    recalculate_next_run(job)


def choose_interval(job: Any, *, is_explicit: bool = False) -> None:
    """Note who gave interval and weekdays after a person saved them.

    The default is no choice, unless a person chose it where it stands for itself (`is_explicit`).
    """
    is_default = job.expected_interval == DEFAULT_INTERVAL and job.allowed_weekdays == ALL_WEEKDAYS
    job.interval_source = "default" if is_default and not is_explicit else PERSON
    learned = LearnedSchedule.read(job.learned_schedule)
    if learned is not None and job.schedule_source == GUESS:
        job.schedule_anchor_at = learned.anchor_at  # the time of day is not what was changed
    if job.schedule_source == PERSON and job.schedule_anchor_at is None:
        job.schedule_source, job.schedule_anchor_at = GUESS, job.state_began_at or job.last_began_at
    job.learned_schedule = None


def is_kept(job: Any) -> bool:
    """Whether a person kept the learned schedule."""
    return bool((job.learned_schedule or {}).get("is_kept")) and job.interval_source == PERSON


def offered_interval(job: Any) -> str | None:
    """The interval that is offered for an irregular job, such as `3D`; None without an offer."""
    interval = (job.learned_schedule or {}).get("at_least")
    return interval if isinstance(interval, str) else None


def learned_of(job: Any) -> LearnedSchedule | None:
    """The learned schedule that holds for a job: nothing that Duplicati or a person said replaces it."""
    if is_kept(job) or _may_learn(job):
        return LearnedSchedule.read(job.learned_schedule)
    return None


def source_of(job: Any) -> str:
    """Where the schedule that holds for a job comes from, as one of `SOURCES`."""
    is_announced = job.announced_next_at is not None and job.announced_next_at == job.next_expected_at
    if is_announced or job.interval_source == DUPLICATI:
        return DUPLICATI
    if is_kept(job):
        return "kept"
    if job.interval_source == PERSON or job.schedule_source == PERSON:
        return PERSON
    return "default" if learned_of(job) is None else "learned"


def schedule_of(job: Any) -> Schedule | None:
    """The schedule that holds for a job as its settings stand; None where there is no grid.

    `job` may be any object with the attributes of `Job`.
    """
    learned = learned_of(job)
    if learned is not None:
        return learned.schedule()
    if job.schedule_anchor_at is None:
        return None
    return Schedule(job.schedule_anchor_at, job.expected_interval, job.allowed_weekdays)


def grace_period(job: Any) -> timedelta:
    """How late a run of a job may be: its own grace period, else the global one."""
    return TOLERANCES[grace_name(job)]


def grace_name(job: Any) -> str:
    """The grace period of a job by its name in `TOLERANCES`."""
    own = job.overdue_tolerance
    return str(own if own in TOLERANCES else settings_store.get("overdue_tolerance"))


def reset_inferred_anchor(job: Any, server: Any) -> None:
    """Begin the grid anew with the newest run, unless Duplicati or a person has said how it lies."""
    if job.schedule_source == GUESS and job.state_began_at is not None:
        job.schedule_anchor_at = job.state_began_at
        relearn(job, server)
        recalculate_next_run(job)


def forget_wrong_clock(job: Any, clock_ahead: timedelta | None) -> None:
    """Set a schedule right that was announced by a clock that was ahead, by as much as is known of it.

    A next run further away than `LATEST_NEXT_RUN` is forgotten in any case.
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
        job.schedule_anchor_at, job.schedule_source = job.state_began_at, GUESS


def recalculate_next_run(job: Any) -> None:
    """Compute the next expected run of a job and the end of its grace period; None for a bad interval."""
    grace = grace_period(job)
    if job.state_began_at and _is_ahead(job.announced_next_at, job.state_began_at):
        expected_at, late = job.announced_next_at, timedelta()
    else:
        expected_at, late = _expected(job, grace)
    job.next_expected_at = expected_at
    job.overdue_at = None if expected_at is None else deadline(expected_at + late + _length_to_await(job, grace), grace)


def _length_to_await(job: Any, grace: timedelta) -> timedelta:
    """How long the longest of the newest runs took, where the grace period does not cover it: reports come at the end.

    As long as only the default is known of a schedule, it counts as the reference counts it.
    """
    if source_of(job) == "default":
        return timedelta()
    newest = [run.duration_s for run in unpack_runs(job.recent_runs) if not run.has_failed][-LENGTHS_SEEN:]
    longest = timedelta(seconds=max(newest, default=0.0))
    return longest if longest > grace else timedelta()


def _expected(job: Any, grace: timedelta) -> tuple[datetime | None, timedelta]:
    """The slot that a job has to keep next, and how much later than it runs of this job usually begin."""
    schedule = schedule_of(job)
    # Where no run has saved anything yet, the guessed anchor is the first attempt: the slot after it is expected.
    is_attempt = job.state_began_at is None and job.last_began_at is not None and job.schedule_source == GUESS
    run_at = job.schedule_anchor_at if is_attempt else job.state_began_at
    if schedule is None:
        if run_at is None:
            return None, timedelta()
        schedule = Schedule(run_at, job.expected_interval, job.allowed_weekdays)
    return planned_time(run_at, schedule, tolerance=grace), schedule.late


def is_on_grid(job: Any, instant: datetime) -> bool:
    """Whether an instant is a slot of the schedule that holds, so that choosing it changes nothing."""
    schedule = schedule_of(job)
    try:
        return schedule is not None and instant in schedule.slots_between(instant, instant + MILLISECOND)
    except (BadInterval, NoSlot, OverflowError):
        return False


def count_missed_runs(job: Any, from_at: datetime, until_at: datetime) -> int:
    """Count the expected runs from `from_at` on that did not come before the run of `until_at` did.

    `from_at` is the first expected run that counts. The run fulfils the slot that it follows, or the one that it begins
    shortly before. 0 where the schedule cannot be read.
    """
    schedule = schedule_of(job) or Schedule(from_at, job.expected_interval, job.allowed_weekdays)
    try:
        early = max(GRACE, schedule.early, min(grace_period(job), parse_interval(schedule.interval_text).size / 4))
        return max(len(schedule.slots_between(from_at, until_at + early, limit=100_000)) - 1, 0)
    except (BadInterval, NoSlot, OverflowError):
        return 0


def _is_ahead(announced_at: datetime | None, run_at: datetime) -> bool:
    return announced_at is not None and announced_at > run_at
