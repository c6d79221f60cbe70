"""Fill a template with a real run or job, for previews and test messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.audit.log import Actor, record_entry
from app.backups import overview
from app.backups.models import Job
from app.backups.overview import JobStatus
from app.core.errors import Refused
from app.notifications import channels, digests, messages, summaries, summary_settings, templates
from app.notifications.delivery import shape_message
from app.notifications.messages import TITLE_LIMIT, RenderedMessage, date_text, missed_text, own_address, status_word
from app.notifications.templates import PLACEHOLDERS, Template, render, render_message, unknown_placeholders
from app.plugin import NC_, DeliveryError, Severity
from app.reports.decoding import shorten
from app.reports.outcomes import ERROR, SUCCESS
from app.reports.parser import Report

DAILY_SUMMARY, DIGEST = "dailySummary", "digest"
OVERDUE, RECOVERED, WARNING = "overdueBackup", "recovered", "warning"
UNREADABLE = NC_("failure", "its settings cannot be read; save them again")


@dataclass(frozen=True, slots=True)
class FilledTemplate:
    """A filled template: title, Markdown, and both renderings of that.

    `unknown` lists unknown placeholders by field.
    """

    title: str
    text: str
    html: str
    plain: str
    unknown: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class FailedTest:
    """Error of a test message through a channel of a kind, in English."""

    kind: str
    label: str
    reason: str


def example_jobs(kind: str, now: datetime, visible: frozenset[str] | None) -> list[JobStatus]:
    """Return the jobs whose newest run can be shown in a kind of message, the best first."""
    if kind in (DAILY_SUMMARY, DIGEST):
        return []
    jobs = [job for job in overview.overview(now, visible).jobs if job.last_run_id is not None]
    return sorted(jobs, key=lambda job: (not _fits(kind, job), job.server_display_name.casefold(), job.name.casefold()))


def fill(kind: str, template: Template, values: Mapping[str, str]) -> FilledTemplate:
    """Fill a template with values."""
    text = render_message(template.message, values, templates.escape)
    fields = {"title": template.title, "message": template.message}
    unknown = {name: unknown_placeholders(written, kind) for name, written in fields.items()}
    return FilledTemplate(
        title=shorten(" ".join(render(template.title, values).split()), TITLE_LIMIT),
        text=text,
        html=templates.to_html(text),
        plain=templates.to_plain(text),
        unknown={name: names for name, names in unknown.items() if names},
    )


def example_values(
    kind: str, job_id: int | None, now: datetime, visible: frozenset[str] | None
) -> tuple[dict[str, str], JobStatus | None]:
    """Return the example values of a kind, and their job: the requested one, or the best.

    Without a job, and for totals over servers that this user may not see, the values are the names of the placeholders.
    """
    language = messages.language()
    if kind in (DAILY_SUMMARY, DIGEST):
        return (_sums(kind, now, language) if visible is None else _names(kind)), None
    jobs = example_jobs(kind, now, visible)
    job = next((job for job in jobs if job.job_id == job_id), jobs[0] if jobs else None)
    if job is None or job.last_run_id is None:
        return _names(kind), None
    detail = overview.find_run(job.last_run_id, job.server_id)
    stored = next(one for one in detail.server.jobs if one.id == job.job_id)
    if kind == OVERDUE:
        return messages.overdue_values(detail.server, stored, now, language), job
    values = messages.run_values(detail.server, stored, _report_of(detail, stored), detail.run.id, language)
    if kind == RECOVERED:
        since_at = detail.run.began_at - timedelta(days=1)
        values |= {
            "previous_status": status_word(ERROR, language),
            "trouble_since": date_text(since_at, language),
            "trouble_elapsed": "1 day ago",
            "missed_runs": missed_text(2, language),
        }
    return values, job


def send_test(
    kind: str, template: Template, values: Mapping[str, str], *, actor: Actor, now: datetime
) -> tuple[list[str], list[FailedTest]]:
    """Send a filled template once through every usable channel.

    Returns the kinds that sent it, and the errors.

    Raises Refused without channels.
    """
    filled = fill(kind, template, values)
    message = RenderedMessage(
        event="test",
        title=filled.title or "Template test",
        text=filled.text,
        is_formatted=templates.has_formatting(filled.text),
        severity=Severity.INFO,
        priority=template.priority or "default",
        tags=template.tag_list,
        link=values.get("details_link") or own_address(),
        values=values,
    )
    rows = channels.usable()
    if not rows:
        raise Refused("no_usable_channel")
    taken, failures = [], []
    for row in rows:
        label = row.name
        try:
            channel = channels.open_stored(row.kind, row.settings)
            label = channels.audit_label(channel) if row.name == row.kind else row.name
            channels.send_once(channel, shape_message(channel, message.payload(), event="test", sent_at=now))
            taken.append(label)
        except (DeliveryError, *channels.UNREADABLE) as error:
            reason = str(error) if isinstance(error, DeliveryError) else UNREADABLE
            failures.append(FailedTest(row.kind, label, reason))
    sentences = [f"{failed.label}: {failed.reason}" for failed in failures]
    details = {"type": "template", "templateType": kind, "channels": taken, "failures": sentences}
    status = "error" if failures else "success"
    record_entry("test_notification_sent", "system", now=now, actor=actor, details=details, status=status)
    return taken, failures


def _fits(kind: str, job: JobStatus) -> bool:
    if kind == OVERDUE:
        return job.is_overdue
    return (job.last_status != SUCCESS) == (kind == WARNING)


def _names(kind: str) -> dict[str, str]:
    return {name: name for name in PLACEHOLDERS[kind]}


def _sums(kind: str, now: datetime, language: str) -> dict[str, str]:
    if kind == DAILY_SUMMARY:
        return summaries.summary_values(now, language)
    rhythm = summary_settings.digest().rhythm
    return digests.digest_values(digests.collect_figures(*rhythm.span(now), now), now, language)


def _report_of(detail: overview.RunDetail, job: Job) -> Report:
    """Return a stored run as a report, as far as messages use it."""
    run, log = detail.run, detail.log
    return Report(
        server_id=detail.server.id,
        server_name=detail.server.name,
        job_name=job.name,
        duplicati_id=run.duplicati_id,
        main_operation=run.main_operation,
        began_at=run.began_at,
        ended_at=run.ended_at,
        duration_s=run.duration_s,
        status=run.status,
        parsed_result=run.parsed_result,
        message_count=run.message_count,
        warning_count=run.warning_count,
        error_count=run.error_count,
        examined_files=run.examined_files,
        examined_bytes=run.examined_bytes,
        uploaded_bytes=run.uploaded_bytes,
        storage_bytes=run.storage_bytes,
        version_count=run.version_count,
        messages=tuple(log.messages),
        warnings=tuple(log.warnings),
        errors=tuple(log.errors),
    )
