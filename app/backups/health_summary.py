"""The overall status of all jobs in one sentence, and the jobs with issues.

Each issue has its reason and the next step. Muted jobs are listed last and do not change the overall status.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext

from app.backups.overview import JobStatus, Overview
from app.backups.words import anomaly_figures, anomaly_words, span_words
from app.reports.outcomes import ERROR, FATAL, NONE, SUCCESS, UNKNOWN, WARNING, Outcome, is_failure

OVERDUE, FILLING, UNUSUAL = "overdue", "filling", "unusual"
LONG_AGO = datetime.min.replace(tzinfo=UTC)
DAY = timedelta(days=1)
# A destination that is full within this time needs more space.
FULL_SOON = timedelta(days=30)
URGENCY = {kind: index for index, kind in enumerate((FATAL, ERROR, OVERDUE, WARNING, UNKNOWN, FILLING, UNUSUAL))}
NEXT_STEPS = {
    OVERDUE: lazy_gettext("Check that the server is on, that Duplicati is running, and that it still reports here."),
    FATAL: lazy_gettext("Read the error, then run the backup again in Duplicati."),
    ERROR: lazy_gettext("Read the errors of the run, then run the backup again in Duplicati."),
    WARNING: lazy_gettext("Check the warnings; often a file was in use or could not be read."),
    UNKNOWN: lazy_gettext("Check the run in Duplicati; the report does not say how it ended."),
    FILLING: lazy_gettext("Free up space at the destination or keep fewer versions."),
    UNUSUAL: lazy_gettext("If this change was expected, no action is needed."),
}


@dataclass(frozen=True, slots=True)
class HealthSummary:
    """The overall status: level (`fine`, `attention`, `problem`, `empty`) and one sentence."""

    level: str
    sentence: str
    fine_count: int


@dataclass(frozen=True, slots=True)
class Issue:
    """A job that needs attention.

    `kind` is a status or one of the constants above; `at` is when the issue began, or when it will occur.
    """

    job: JobStatus
    kind: str
    reason: str
    at: datetime | None

    @property
    def next_step(self) -> str:
        """What to do about it."""
        return str(NEXT_STEPS[self.kind])

    @property
    def is_minor(self) -> bool:
        """Whether it is only worth checking, and not a problem."""
        return self.kind in (FILLING, UNUSUAL)


def summarize(overview: Overview) -> HealthSummary:
    """Return the overall status of all jobs."""
    awake = [job for job in overview.jobs if not job.is_muted]
    overdue = sum(job.is_overdue for job in awake)
    failed = sum(is_failure(job.last_status) for job in awake)
    warned = sum(job.last_status == WARNING for job in awake)
    unclear = sum(job.last_status in (UNKNOWN, NONE) for job in awake)
    muted = len(overview.jobs) - len(awake)
    fine = sum(is_fine(job) for job in awake)
    if not overview.jobs:
        return HealthSummary("empty", _("Waiting for the first report"), 0)
    parts = [
        _("%(count)s overdue", count=overdue) if overdue else "",
        _("%(count)s failed", count=failed) if failed else "",
        _("%(count)s with warnings", count=warned) if warned else "",
        _("%(count)s with unknown status", count=unclear) if unclear else "",
        _("%(count)s muted", count=muted) if muted else "",
    ]
    if fine == len(awake):
        parts = [_fine_words(fine, len(overview.jobs)), parts[-1]]
    level = "fine" if fine == len(awake) else "problem" if overdue or failed else "attention"
    return HealthSummary(level, ", ".join(part for part in parts if part), fine)


def is_fine(job: JobStatus) -> bool:
    """Return whether a job needs no attention."""
    return job.last_status == SUCCESS and not job.is_overdue


def find_issues(jobs: Sequence[JobStatus], now: datetime) -> list[Issue]:
    """Return jobs that need attention, each once, most urgent first, muted ones last."""
    found = [issue for job in jobs if (issue := _find_issue(job, now))]
    return sorted(found, key=lambda one: (one.job.is_muted, URGENCY[one.kind], one.at or LONG_AGO))


def _fine_words(fine: int, all_jobs: int) -> str:
    if fine < all_jobs:
        return ngettext("%(num)s job OK", "%(num)s jobs OK", fine)
    return ngettext("The only job is OK", "All %(num)s jobs OK", fine)


def _find_issue(job: JobStatus, now: datetime) -> Issue | None:
    if is_failure(job.last_status):
        reason = _failure_words(job.error_count)
        if job.is_overdue:
            reason = _("%(reason)s, and the next run is overdue", reason=reason)
        return Issue(job, job.last_status, reason, job.last_began_at)
    if job.is_overdue:
        return Issue(job, OVERDUE, _("No report received for the expected run"), job.next_expected_at)
    if job.last_status == WARNING:
        reason = _warning_words(job)
        return Issue(job, WARNING, reason, job.last_began_at)
    if job.last_status in (UNKNOWN, NONE):
        if job.last_began_at is None:
            return Issue(job, UNKNOWN, _("No run of this job has saved data yet"), job.newest.began_at)
        return Issue(job, UNKNOWN, _("The last run ended without a result"), job.last_began_at)
    if job.full_at is not None and job.full_at - now < FULL_SOON:
        return Issue(job, FILLING, filling_words(job, now), job.full_at)
    if job.anomalies:
        first = job.anomalies[0]
        reason = ", ".join(anomaly_words(anomaly) for anomaly in job.anomalies)
        reason = _("The last run was unusual: %(what)s (%(figures)s)", what=reason, figures=anomaly_figures(first))
        return Issue(job, UNUSUAL, reason, job.last_began_at)
    return None


def _warning_words(job: JobStatus) -> str:
    if not job.warning_count and job.last_outcome == Outcome.PARTIAL:
        return _("The last run saved only part of the files")
    if not job.warning_count and job.last_outcome == Outcome.STOPPED:
        return _("The last run was stopped; a version was saved")
    count = job.warning_count
    return ngettext("The last run ended with %(num)s warning", "The last run ended with %(num)s warnings", count)


def _failure_words(error_count: int) -> str:
    if not error_count:  # a report without errors has only its status
        return _("The last run failed")
    return ngettext("The last run failed with %(num)s error", "The last run failed with %(num)s errors", error_count)


def filling_words(job: JobStatus, now: datetime) -> str:
    """Return when the destination of a job will be full, in words."""
    if job.full_at is None or job.full_at <= now:
        return _("The destination is full")
    return _("The destination will be full in %(time)s", time=span_words((job.full_at - now) / DAY))
