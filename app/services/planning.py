"""When a job should run next: kept with the job at each report, so that nobody has to work it out again."""

from datetime import datetime, timedelta

from app.domain.intervals import BadInterval, parse_interval
from app.domain.overdue import TOLERANCES
from app.domain.reports import LATEST_NEXT_RUN, Report
from app.domain.schedules import GRACE, NoSlot, planned_time, slots_between, weekdays_from_mask
from app.models import Job
from app.services import configuration

PLAN = ("announced_next_at", "schedule_anchor_at", "schedule_source", "next_expected_at")


def follow_report(job: Job, report: Report, *, is_first: bool = False) -> None:
    """Move the plan of a job on after a report; the job's figures already know the run.

    `job` may be any object with the attributes of `Job`; those named by `PLAN` may change.
    What Duplicati says of the next run beats any guess; else the first run is the anchor of the grid, for good:
    the first one that saved something (`is_first`), as soon as there is one. A run that saved nothing tells where
    the grid lies, but fulfils no slot: the one before stays expected.
    """
    decides = report.counts and job.state_began_at == report.began_at
    if not decides and (report.counts or job.last_began_at != report.began_at):
        return  # an older run, arrived late: the newest one has the say
    if report.next_scheduled_at is not None:
        job.schedule_anchor_at, job.schedule_source = report.next_scheduled_at, "duplicati"
    elif job.schedule_anchor_at is None or (is_first and decides and job.schedule_source == "guess"):
        job.schedule_anchor_at = report.began_at
    if decides:
        job.announced_next_at = report.next_scheduled_at
    if decides or job.next_expected_at is None:
        replan(job)


def guess_again(job: Job) -> None:
    """Begin the grid anew with the newest run, unless Duplicati or a person has said how it lies."""
    if job.schedule_source == "guess" and job.state_began_at is not None:
        job.schedule_anchor_at = job.state_began_at
        replan(job)


def forget_wrong_clock(job: Job, clock_ahead: timedelta | None) -> None:
    """Set a schedule right that was announced by a clock that was ahead, by as much as is known of it.

    A next run further away than `LATEST_NEXT_RUN` is forgotten in any case.
    """
    if clock_ahead is not None:
        job.announced_next_at = None
        if job.schedule_source == "duplicati" and job.schedule_anchor_at is not None:
            job.schedule_anchor_at -= clock_ahead
    received_at = job.last_received_at
    if received_at is None:
        return
    if job.announced_next_at is not None and job.announced_next_at - received_at > LATEST_NEXT_RUN:
        job.announced_next_at = None
    anchor_at = job.schedule_anchor_at
    if job.schedule_source == "duplicati" and anchor_at is not None and anchor_at - received_at > LATEST_NEXT_RUN:
        job.schedule_anchor_at, job.schedule_source = job.state_began_at, "guess"


def replan(job: Job) -> None:
    """Work out the next expected run of a job; None while its interval cannot be read."""
    if job.announced_next_at and job.state_began_at and job.announced_next_at > job.state_began_at:
        job.next_expected_at = job.announced_next_at
        return
    # Where no run has saved anything yet, the guessed anchor is the first attempt: the slot after it is expected.
    is_attempt = job.state_began_at is None and job.last_began_at is not None and job.schedule_source == "guess"
    job.next_expected_at = planned_time(
        job.schedule_anchor_at if is_attempt else job.state_began_at,
        job.schedule_anchor_at,
        job.expected_interval,
        weekdays_from_mask(job.allowed_weekdays),
        tolerance=TOLERANCES[configuration.get("overdue_tolerance")],
    )


def count_missed_runs(job: Job, from_at: datetime, until_at: datetime) -> int:
    """Count the expected runs from `from_at` on that did not come before the run of `until_at` did.

    `from_at` is the first expected run that counts. The run fulfils the slot that it follows, or the one that it begins
    shortly before. 0 where the schedule cannot be read.
    """
    try:
        interval = parse_interval(job.expected_interval)
        early = max(GRACE, min(TOLERANCES[configuration.get("overdue_tolerance")], interval.size / 4))
        anchor_at, weekdays = job.schedule_anchor_at or from_at, weekdays_from_mask(job.allowed_weekdays)
        slots = slots_between(from_at, until_at + early, anchor_at, interval, weekdays, limit=100_000)
    except (BadInterval, NoSlot, OverflowError):
        return 0
    return max(0, len(slots) - 1)
