"""When a job should run next: kept with the job at each report, so that nobody has to work it out again."""

from app.domain.overdue import TOLERANCES
from app.domain.reports import Report
from app.domain.schedules import planned_time, weekdays_from_mask
from app.models import Job
from app.services import configuration

PLAN = ("announced_next_at", "schedule_anchor_at", "schedule_source", "next_expected_at")


def follow_report(job: Job, report: Report) -> None:
    """Move the plan of a job on after a report; the job's figures already know the run.

    `job` may be any object with the attributes of `Job`; those named by `PLAN` may change.
    What Duplicati says of the next run beats any guess; else the first run is the anchor of the grid, for good.
    """
    if job.last_began_at != report.began_at:
        return  # an older run, arrived late: the newest one has the say
    job.announced_next_at = report.next_scheduled_at
    if report.next_scheduled_at is not None:
        job.schedule_anchor_at, job.schedule_source = report.next_scheduled_at, "duplicati"
    elif job.schedule_anchor_at is None:
        job.schedule_anchor_at = report.began_at
    replan(job)


def guess_again(job: Job) -> None:
    """Begin the grid anew with the newest run, unless Duplicati or a person has said how it lies."""
    if job.schedule_source == "guess" and job.last_began_at is not None:
        job.schedule_anchor_at = job.last_began_at
        replan(job)


def replan(job: Job) -> None:
    """Work out the next expected run of a job; None while its interval cannot be read."""
    if job.announced_next_at and job.last_began_at and job.announced_next_at > job.last_began_at:
        job.next_expected_at = job.announced_next_at
        return
    job.next_expected_at = planned_time(
        job.last_began_at,
        job.schedule_anchor_at,
        job.expected_interval,
        weekdays_from_mask(job.allowed_weekdays),
        tolerance=TOLERANCES[configuration.get("overdue_tolerance")],
    )
