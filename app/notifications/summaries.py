"""Daily summary: one email a day with the state of all jobs.

Each occurrence is queued once, by its time, by the first of several processes.
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
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.core.languages import catalog
from app.notifications import channels, messages, outbox, summary_settings, templates
from app.notifications.messages import (
    RenderedMessage,
    count_text,
    date_text,
    day_text,
    own_address,
    size_text,
    status_word,
)
from app.notifications.outbox import Destination
from app.notifications.summary_settings import SummaryPlan
from app.plugin import NC_, Severity
from app.reports.decoding import human_duration
from app.reports.outcomes import ERROR, FATAL, SUCCESS, is_failure
from app.runtime import settings

DAY = timedelta(days=1)
# An older summary that could not be sent, since duplistatus was not running, is dropped.
LATEST = timedelta(hours=12)
ATTENTION_LISTED = 40
JOBS_LISTED = 400
# Columns of a table of jobs, and the indexes of those with numbers.
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
    """Queue the summary if it is due.

    Returns the number of emails, or None if not due.
    """
    plan = summary_settings.daily_summary()
    occurrence = due_occurrence(plan, now, LATEST)
    return None if occurrence is None else _queue(plan, f"summary:{occurrence.isoformat()}", now)


def send_now(*, actor: Actor, now: datetime) -> int:
    """Queue a summary now, even if disabled.

    Raises Refused if no channel can send it.
    """
    plan = summary_settings.daily_summary()
    count = _queue(plan, f"summary:now:{now.isoformat()}", now)
    if not count:
        raise Refused("summary_without_email")
    record_entry("daily_summary_sent", "system", now=now, actor=actor, details={"mails": count})
    return count


def due_occurrence(plan: SummaryPlan, now: datetime, latest: timedelta) -> datetime | None:
    """Return the latest occurrence of a plan, if it is still to be sent."""
    if not plan.is_on:
        return None
    occurrence = plan.rhythm.latest(now)
    is_before = plan.since_at is not None and occurrence < plan.since_at
    return None if is_before or now - occurrence > latest else occurrence


def render(now: datetime) -> RenderedMessage:
    """Return the summary as it would be sent now."""
    values = summary_values(now, messages.language())
    jobs = backups_overview.overview(now, ALL_SERVERS).jobs
    is_calm = all(job.last_status == SUCCESS and not job.is_overdue for job in jobs)
    return messages.render_kind("dailySummary", Severity.INFO if is_calm else Severity.WARNING, values)


def summary_values(now: datetime, language: str) -> dict[str, str]:
    """Return the values of the template `dailySummary`."""
    overview = backups_overview.overview(now, ALL_SERVERS)
    jobs = overview.jobs
    recent = select(func.count(), func.coalesce(func.sum(Run.uploaded_bytes), 0)).where(Run.began_at >= now - DAY)
    run_count, uploaded_bytes = db.session.execute(recent).one()
    attention = attention_lines(jobs, language)
    return {
        "summary_date": day_text(messages.local_day(now), language),
        "verdict": overall_state(jobs, language),
        "attention": "\n".join(attention) or nothing_text(language),
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


def overall_state(jobs: Sequence[JobStatus], language: str) -> str:
    """Return the overall state in one sentence."""
    texts, fine = catalog(language), sum(_is_fine(job) for job in jobs)
    if not jobs:
        return _no_jobs_text(language)
    count = count_text(len(jobs), language)
    if fine == len(jobs):
        return texts.gettext("All backup jobs OK: {count}").format(count=count)
    sentence = texts.gettext("{fine} of {count} backup jobs OK")
    return sentence.format(fine=count_text(fine, language), count=count)


def nothing_text(language: str) -> str:
    """Return the text of an empty list."""
    return catalog(language).pgettext("summary", "None")


def attention_lines(jobs: Sequence[JobStatus], language: str) -> list[str]:
    """Return a line for each job that is overdue or did not succeed, the worst first."""
    return _listed([_attention_line(job, language) for job in _needing_attention(jobs)], ATTENTION_LISTED, language)


def _needing_attention(jobs: Iterable[JobStatus]) -> list[JobStatus]:
    """Return the jobs that need attention, the worst first."""
    attention = [job for job in jobs if not _is_fine(job)]
    return sorted(attention, key=lambda job: (not is_failure(job.last_status), not job.is_overdue))


def _values_of_1_5(jobs: Sequence[JobStatus], now: datetime, language: str) -> dict[str, str]:
    """Return the values under the names of version 1.5 of the original, for imported templates."""
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
        "problem_table": _table(_needing_attention(jobs), ATTENTION_LISTED, language) or nothing_text(language),
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
    message = render(now)
    with writing() as session:
        count = outbox.queue_message(session, message, destinations, event_key, now)
    if count:
        outbox.queued.send()
    return count


def _no_jobs_text(language: str) -> str:
    return catalog(language).gettext("No backup has been reported yet")


def _is_fine(job: JobStatus) -> bool:
    return job.last_status == SUCCESS and not job.is_overdue


def _job_line(job: JobStatus, language: str) -> str:
    mark = "🕑" if job.is_overdue else MARKS.get(job.last_status, "❔")
    parts = [
        status_word(job.last_status, language),
        date_text(job.last_began_at, language),
        human_duration(job.last_duration_s),
        size_text(job.storage_bytes, language),
    ]
    return f"{mark} {job.server_display_name} / {job.name}: {', '.join(filter(None, parts))}"


def _attention_line(job: JobStatus, language: str) -> str:
    parts = [status_word(job.last_status, language)] if job.last_status != SUCCESS else []
    if job.is_overdue:
        date = date_text(job.next_expected_at, language)
        parts.append(catalog(language).gettext("overdue, expected {date}").format(date=date))
    mark = "🛑" if is_failure(job.last_status) else "🕑" if job.is_overdue else "⚠️"
    return f"{mark} {job.server_display_name} / {job.name}: {', '.join(parts)}"


def _table(jobs: Sequence[JobStatus], limit: int, language: str) -> str:
    """Return the jobs as a table; a line below it counts those beyond `limit`.

    It is empty without jobs.
    """
    if not jobs:
        return ""
    names = [catalog(language).pgettext("summary", name) for name in COLUMNS]
    table = templates.table(names, [_row(job, language) for job in jobs[:limit]], right=FIGURES)
    more = _listed([""] * len(jobs), limit, language)[limit:]
    return templates.MarkdownText("\n\n".join([table, *map(templates.escape, more)]))


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
