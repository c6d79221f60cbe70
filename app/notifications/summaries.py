"""The daily summary: one mail a day in place of many, with every job that is known.

Each occurrence is queued once, by its instant, whichever of several processes comes first.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select

from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor, record_entry
from app.backups import overview as backups_overview
from app.backups.models import Run
from app.backups.overview import JobStatus
from app.core.db.extensions import db
from app.core.db.transaction import writing
from app.core.languages import catalog
from app.notifications import channels, markdown, messages, outbox, summary_settings
from app.notifications.messages import RenderedMessage, own_address
from app.notifications.outbox import Destination
from app.notifications.summary_settings import SummaryPlan
from app.notifications.wording import count_text, date_text, day_text, size_text, status_word
from app.plugin import NC_, AppError, Severity
from app.reports.fields import human_duration
from app.reports.outcomes import ERROR, FATAL, SUCCESS, is_failure
from app.runtime import settings

DAY = timedelta(days=1)
# A summary that could not be sent for so long, since nothing ran here, is of no use any more.
LATEST = timedelta(hours=12)
ATTENTION_LISTED = 40
JOBS_LISTED = 400
# The columns of a table of jobs, and which of them hold figures.
COLUMNS = (
    NC_("summary", "Server"),
    NC_("summary", "Backup job"),
    NC_("summary", "Overdue"),
    NC_("summary", "Last status"),
    NC_("summary", "Last result"),
    NC_("summary", "Duration"),
    NC_("summary", "Warnings"),
    NC_("summary", "Errors"),
    NC_("summary", "Uploaded"),
)
FIGURES = (5, 6, 7, 8)
MARKS = {"Success": "✅", "Warning": "⚠️", "Error": "🛑", "Fatal": "🛑"}


def send_due(now: datetime) -> int | None:
    """Queue the summary whose time has come; gives the number of mails, or None when none is due."""
    plan = summary_settings.daily_summary()
    occurrence = due_occurrence(plan, now, LATEST)
    return None if occurrence is None else _queue(plan, f"summary:{occurrence.isoformat()}", now)


def send_now(*, actor: Actor, now: datetime) -> int:
    """Queue a summary at once, whether it is switched on or not. Raises AppError when there is no way for it."""
    plan = summary_settings.daily_summary()
    count = _queue(plan, f"summary:now:{now.isoformat()}", now)
    if not count:
        raise AppError("Email is disabled or not configured, so no summary can be sent.")
    record_entry("daily_summary_sent", "system", now=now, actor=actor, details={"mails": count})
    return count


def due_occurrence(plan: SummaryPlan, now: datetime, latest: timedelta) -> datetime | None:
    """The newest occurrence of a plan, if it is one to be sent still."""
    if not plan.is_on:
        return None
    occurrence = plan.rhythm.latest(now)
    is_before = plan.since_at is not None and occurrence < plan.since_at
    return None if is_before or now - occurrence > latest else occurrence


def render(now: datetime) -> RenderedMessage:
    """The summary as it would be sent now."""
    values = summary_values(now, messages.language())
    jobs = backups_overview.overview(now, ALL_SERVERS).jobs
    is_calm = all(job.last_status == SUCCESS and not job.is_overdue for job in jobs)
    return messages.render_kind("dailySummary", Severity.INFO if is_calm else Severity.WARNING, values)


def summary_values(now: datetime, language: str) -> dict[str, str]:
    """What the template `dailySummary` may tell."""
    overview = backups_overview.overview(now, ALL_SERVERS)
    jobs = overview.jobs
    recent = select(func.count(), func.coalesce(func.sum(Run.uploaded_bytes), 0)).where(Run.began_at >= now - DAY)
    run_count, uploaded_bytes = db.session.execute(recent).one()
    wanting = attention_lines(jobs, language)
    return {
        "summary_date": day_text(messages.local_day(now), language),
        "verdict": verdict(jobs, language),
        "attention": "\n".join(wanting) or nothing_text(language),
        "server_count": count_text(len(overview.servers), language),
        "job_count": count_text(len(jobs), language),
        "run_count": count_text(run_count, language),
        "fine_count": count_text(sum(_is_fine(job) for job in jobs), language),
        "warning_count": count_text(
            sum(job.last_status != SUCCESS and not is_failure(job.last_status) for job in jobs), language
        ),
        "failed_count": count_text(sum(is_failure(job.last_status) for job in jobs), language),
        "overdue_count": count_text(sum(job.is_overdue for job in jobs), language),
        "uploaded_size": size_text(uploaded_bytes, language),
        "storage_size": size_text(sum(job.storage_bytes for job in jobs if job.is_backup), language),
        "jobs": "\n".join(_listed([_job_line(job, language) for job in jobs], JOBS_LISTED, language)),
        "duplistatus_link": own_address() or "",
    } | _values_of_1_5(jobs, now, language)


def verdict(jobs: Sequence[JobStatus], language: str) -> str:
    """How things stand, in one sentence."""
    texts, fine = catalog(language), sum(_is_fine(job) for job in jobs)
    if not jobs:
        return _no_jobs_text(language)
    count = count_text(len(jobs), language)
    if fine == len(jobs):
        return texts.gettext("All backup jobs are fine: {count}").format(count=count)
    sentence = texts.gettext("{fine} of {count} backup jobs are fine")
    return sentence.format(fine=count_text(fine, language), count=count)


def nothing_text(language: str) -> str:
    """What stands in the place of an empty list."""
    return catalog(language).pgettext("summary", "Nothing")


def attention_lines(jobs: Sequence[JobStatus], language: str) -> list[str]:
    """The jobs that are late or did not end well, the worst first, a line each."""
    return _listed([_attention_line(job, language) for job in _wanting(jobs)], ATTENTION_LISTED, language)


def _wanting(jobs: Iterable[JobStatus]) -> list[JobStatus]:
    """The jobs that need attention, the worst first."""
    wanting = [job for job in jobs if not _is_fine(job)]
    return sorted(wanting, key=lambda job: (not is_failure(job.last_status), not job.is_overdue))


def _values_of_1_5(jobs: Sequence[JobStatus], now: datetime, language: str) -> dict[str, str]:
    """What version 1.5 of the reference calls by other names, for templates that people bring along."""
    statuses = Counter(job.last_status for job in jobs if job.last_run_id is not None)
    unknown_count = statuses.total() - sum(statuses[status] for status in MARKS)
    return {
        "generated_at": date_text(now, language),
        "time_zone": settings().zone.key,
        "success_count": count_text(statuses[SUCCESS], language),
        "error_count": count_text(statuses[ERROR], language),
        "fatal_count": count_text(statuses[FATAL], language),
        "unknown_count": count_text(unknown_count, language),
        "no_report_count": count_text(len(jobs) - statuses.total(), language),
        "problem_table": _table(_wanting(jobs), ATTENTION_LISTED, language) or nothing_text(language),
        "all_jobs_table": _table(jobs, JOBS_LISTED, language) or _no_jobs_text(language),
        "duplistatus_url": own_address() or "",
        "latest_uploaded_size": size_text(sum(job.uploaded_bytes for job in jobs), language),
        "latest_source_size": size_text(sum(job.examined_bytes for job in jobs), language),
        "latest_storage_size": size_text(sum(job.storage_bytes for job in jobs), language),
        "latest_file_count": count_text(sum(job.examined_files for job in jobs), language),
        "total_warnings": count_text(sum(job.warning_count for job in jobs), language),
        "total_errors": count_text(sum(job.error_count for job in jobs), language),
    }


def _queue(plan: SummaryPlan, event_key: str, now: datetime) -> int:
    standard = next((row for row in channels.usable() if row.kind == row.name == channels.EMAIL), None)
    if standard is None:
        return 0
    destinations = [Destination(standard.id, address) for address in plan.recipients] or [Destination(standard.id)]
    notice = render(now)
    with writing() as session:
        count = outbox.queue_notice(session, notice, destinations, event_key, now)
    if count:
        outbox.queued.send()
    return count


def _no_jobs_text(language: str) -> str:
    return catalog(language).gettext("No backup has been reported yet")


def _is_fine(job: JobStatus) -> bool:
    return job.last_status == SUCCESS and not job.is_overdue


def _job_line(job: JobStatus, language: str) -> str:
    mark = "🕑" if job.is_overdue else MARKS.get(job.last_status, "❔")
    told = [
        status_word(job.last_status, language),
        date_text(job.last_began_at, language),
        human_duration(job.last_duration_s),
        size_text(job.storage_bytes, language),
    ]
    return f"{mark} {job.server_display_name} / {job.name}: {', '.join(filter(None, told))}"


def _attention_line(job: JobStatus, language: str) -> str:
    told = [status_word(job.last_status, language)] if job.last_status != SUCCESS else []
    if job.is_overdue:
        date = date_text(job.next_expected_at, language)
        told.append(catalog(language).gettext("overdue, expected {date}").format(date=date))
    mark = "🛑" if is_failure(job.last_status) else "🕑" if job.is_overdue else "⚠️"
    return f"{mark} {job.server_display_name} / {job.name}: {', '.join(told)}"


def _table(jobs: Sequence[JobStatus], limit: int, language: str) -> str:
    """The jobs as a table, with a line below it where there are more than `limit`; empty without jobs."""
    if not jobs:
        return ""
    names = [catalog(language).pgettext("summary", name) for name in COLUMNS]
    made = markdown.table(names, [_row(job, language) for job in jobs[:limit]], right=FIGURES)
    more = _listed([""] * len(jobs), limit, language)[limit:]
    return markdown.MarkdownText("\n\n".join([made, *map(markdown.escape, more)]))


def _row(job: JobStatus, language: str) -> tuple[str, ...]:
    status = status_word(job.last_status, language)
    return (
        job.server_display_name,
        job.name,
        f"🕑 {date_text(job.next_expected_at, language)}" if job.is_overdue else "",
        f"{MARKS.get(job.last_status, '❔')} {status}",
        date_text(job.last_began_at, language),
        human_duration(job.last_duration_s),
        count_text(job.warning_count, language),
        count_text(job.error_count, language),
        size_text(job.uploaded_bytes, language),
    )


def _listed(lines: list[str], limit: int, language: str) -> list[str]:
    if len(lines) <= limit:
        return lines
    more = catalog(language).pgettext("summary", "and more: {count}")
    more = more.format(count=count_text(len(lines) - limit, language))
    return [*lines[:limit], f"… {more}"]
