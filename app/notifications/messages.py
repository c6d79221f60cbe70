"""Render notifications of runs, overdue jobs and alerts.

Placeholder values, templates, page URLs.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from marshmallow import fields, validate

from app.backups.models import Job, Server
from app.core.languages import LANGUAGES, catalog, language_or_default
from app.core.settings import store as settings_store
from app.core.settings.declarations import Exact, Setting, declare
from app.notifications import markdown
from app.notifications.alarm_words import alarm_template, more_line, overdue_line
from app.notifications.default_templates import default_templates
from app.notifications.former_templates import former_language
from app.notifications.rules import OVERDUE, Incident, shorten
from app.notifications.templates import Template, render, render_message
from app.notifications.wording import (
    count_text,
    date_text,
    interrupted_text,
    missed_text,
    outcome_word,
    relative_text,
    size_text,
    status_word,
    tolerance_text,
)
from app.plugin import Attachment, Severity
from app.reports.failure_reasons import find_reason, list_lines, plain_line
from app.reports.fields import human_duration
from app.reports.outcomes import SUCCESS, is_failure
from app.reports.report import Figure, Report
from app.runtime import settings
from app.schedules import planning


class TemplateValue(Exact):
    """One template; missing parts are the default."""

    title = fields.String()
    message = fields.String()
    priority = fields.String()
    tags = fields.String()


class TemplatesValue(Exact):
    """Templates by kind, and the language of dates and numbers.

    Each template is replaced as a whole.
    """

    language = fields.String(validate=validate.OneOf(tuple(LANGUAGES)))
    success = fields.Nested(TemplateValue)
    warning = fields.Nested(TemplateValue)
    overdueBackup = fields.Nested(TemplateValue)
    recovered = fields.Nested(TemplateValue)
    dailySummary = fields.Nested(TemplateValue)
    digest = fields.Nested(TemplateValue)


TEMPLATES = declare(Setting("notification_templates", dict, default=None, shape=fields.Nested(TemplatesValue)))


# URLs of our pages for messages, which are rendered without a request: all start with the public URL.
# `tests/navigation/test_page_links.py` compares them with the routes of the pages.


def own_address() -> str | None:
    """Return the URL of the dashboard; None without a public URL."""
    return settings_store.get("public_url") or settings().public_url or None


def run_link(server_id: str, run_id: str) -> str | None:
    """Return the URL of the page of a run."""
    return _page(f"/detail/{_part(server_id)}/backup/{_part(run_id)}")


def job_link(server_id: str, job_name: str) -> str | None:
    """Return the URL of the page of a server, filtered by one of its jobs."""
    return _page(f"/detail/{_part(server_id)}?backup={_part(job_name)}")


def channels_link() -> str | None:
    """Return the URL of the settings of notification channels."""
    return _page("/settings/?tab=channels")


def _page(path: str) -> str | None:
    """Return a URL below the public one, which may lack the path prefix of the application."""
    root, base_path = (own_address() or "").rstrip("/"), settings().base_path
    if not root:
        return None
    has_base_path = urlsplit(root).path.endswith(base_path)
    return f"{root}{'' if has_base_path else base_path}{path}"


def _part(name: str) -> str:
    return quote(name, safe="")


TITLE_LIMIT = 500
# Placeholder for a metric that no report of the job contained.
NO_VALUE = "\u2013"
# Enough for thousands of log lines, and a limit for the outbox.
LOG_TEXT_LIMIT = 60_000
BACKEND_EVENT = "BackendEvent"
# Maximum number of lines in a list of jobs in a push notification.
JOBS_LISTED = 25
URGENT_EVENTS = frozenset({"overdueBackup", "overdueBackups", "silence", "channelFailing", "unusualRun"})


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """A rendered message, not yet adapted to a channel.

    `text` is Markdown; `event_at` as in `Message`.
    """

    event: str
    title: str
    text: str
    is_formatted: bool
    severity: Severity
    priority: str
    tags: tuple[str, ...]
    link: str | None
    values: Mapping[str, str]
    pictures: tuple[Attachment, ...] = ()
    event_at: datetime | None = None

    @property
    def is_urgent(self) -> bool:
        """Whether it is urgent enough that quiet hours may let it pass."""
        return self.severity is Severity.ERROR or self.event in URGENT_EVENTS

    def payload(self) -> dict[str, Any]:
        """Return the message as JSON for a delivery; the log text is already part of it."""
        return {
            "title": self.title,
            "text": self.text,
            "is_formatted": self.is_formatted,
            "severity": self.severity.value,
            "priority": self.priority,
            "tags": list(self.tags),
            "link": self.link,
            "values": {name: value for name, value in self.values.items() if name != "log_text"},
            **({"event_at": self.event_at.isoformat()} if self.event_at else {}),
            **({"pictures": [_packed(picture) for picture in self.pictures]} if self.pictures else {}),
        }


def stored_templates() -> Mapping[str, Any]:
    """Return the customized templates in wire format; empty if none."""
    stored: Mapping[str, Any] = settings_store.get("notification_templates") or {}
    return stored


def language(stored: Mapping[str, Any] | None = None) -> str:
    """Return the language in which messages write dates and numbers."""
    return language_or_default((stored_templates() if stored is None else stored).get("language"))


def template(kind: str, stored: Mapping[str, Any] | None = None) -> Template:
    """Return the current template of one of the kinds in `PLACEHOLDERS`.

    Missing parts are the built-in ones in the selected language. A message built in by an earlier version is replaced
    by the current one, in its language.
    """
    stored = stored_templates() if stored is None else stored
    chosen, default = stored.get(kind), default_templates(language(stored))[kind]
    if not isinstance(chosen, Mapping):
        return default
    message = str(chosen.get("message", default.message))
    if former := former_language(message):
        message = default_templates(former)[kind].message
    return Template(
        title=str(chosen.get("title", default.title)),
        message=message,
        priority=str(chosen.get("priority", default.priority)),
        tags=str(chosen.get("tags", default.tags)),
    )


def render_run(server: Server, job: Job, report: Report, run_id: str) -> RenderedMessage:
    """Return the message about a run that was just stored."""
    severity = Severity.INFO if report.status == SUCCESS else Severity.WARNING
    if is_failure(report.status):
        severity = Severity.ERROR
    kind = "success" if report.status == SUCCESS and report.counts else "warning"
    stored = stored_templates()
    code = language(stored)
    values = run_values(server, job, report, run_id, code)
    return _of_run(_render(kind, template(kind, stored), severity, values), report, code)


def render_overdue(server: Server, job: Job, now: datetime) -> RenderedMessage:
    """Return the message about an overdue job."""
    kind, stored = "overdueBackup", stored_templates()
    values = overdue_values(server, job, now, language(stored))
    return replace(_render(kind, template(kind, stored), Severity.WARNING, values), event_at=now)


def render_overdue_list(late: Sequence[tuple[Server, Job]]) -> RenderedMessage:
    """Return one message about several overdue jobs, with the severity of a single one."""
    stored = stored_templates()
    code, chosen = language(stored), template("overdueBackup", stored)
    line = overdue_line(code)
    lines = [
        render(line, server_values(server, job) | {"expected_date": date_text(job.next_expected_at, code)})
        for server, job in late[:JOBS_LISTED]
    ]
    values = {
        "count": count_text(len(late), code),
        "jobs": job_list(lines, len(late), code),
        "duplistatus_link": own_address() or "",
    }
    words = alarm_template("overdueBackups", code)
    words = replace(words, priority=chosen.priority, tags=chosen.tags)
    return _render("overdueBackups", words, Severity.WARNING, values)


def job_list(lines: Sequence[str], count: int, language: str) -> str:
    """Return lines about jobs as a list.

    A last line says how many of `count` are omitted.
    """
    items = [f"• {line}" for line in lines]
    if count > len(lines):
        more = more_line(language)
        items.append(f"• {render(more, {'count': count_text(count - len(lines), language)})}")
    return "\n".join(items)


def render_recovered(
    server: Server, job: Job, report: Report, run_id: str, incident: Incident, now: datetime
) -> RenderedMessage:
    """Return the recovery message about a run, with the incident that was notified."""
    kind, stored = "recovered", stored_templates()
    code = language(stored)
    is_late, overdue = incident.kind == OVERDUE, catalog(code).pgettext("summary", "Overdue")
    missed = planning.count_missed_runs(job, incident.since_at, report.began_at) if is_late else 0
    values = run_values(server, job, report, run_id, code) | {
        "previous_status": overdue if is_late else status_word(incident.kind, code),
        "trouble_since": date_text(incident.since_at, code),
        "trouble_elapsed": relative_text(incident.since_at, now),
        "missed_runs": missed_text(missed, code),
    }
    return _of_run(_render(kind, template(kind, stored), Severity.INFO, values), report, code)


def render_health_alarm(
    event: str, severity: Severity, values: Mapping[str, str], code: str, link: str
) -> RenderedMessage:
    """Return the alert about duplistatus in the language `code`.

    Reads nothing from the database.
    """
    known = {**values, "details_link": link or "-"}
    return replace(_render(event, alarm_template(event, code), severity, known), link=link or None)


def render_alarm(
    event: str, severity: Severity, values: Mapping[str, str], *, link: str | None = None
) -> RenderedMessage:
    """Return an alert about no single run.

    `values` are in the language of the templates.

    `link` is the page that shows the issue; default is the dashboard.
    """
    message = _render(event, alarm_template(event, language()), severity, values)
    return replace(message, link=link or message.link)


def render_kind(
    kind: str, severity: Severity, values: Mapping[str, str], *, pictures: tuple[Attachment, ...] = ()
) -> RenderedMessage:
    """Return a message of one of the kinds in `PLACEHOLDERS`.

    `values` are in its language.
    """
    return replace(_render(kind, template(kind), severity, values), pictures=pictures)


def unpacked(pictures: Iterable[Mapping[str, str]]) -> tuple[Attachment, ...]:
    """Return the images of a stored message."""
    return tuple(
        Attachment(picture["name"], picture["mime_type"], b64decode(picture["content"]), picture["description"])
        for picture in pictures
    )


def local_day(now: datetime) -> date:
    """Return the current day in the time zone of the readers."""
    return now.astimezone(settings().zone).date()


def run_values(server: Server, job: Job, report: Report, run_id: str, language: str) -> dict[str, str]:
    """Return the values of `success` and `warning`.

    Missing ones are taken from the job.
    """

    def figure(kind: Figure, reported: int, known: int, text: Callable[[int, str], str]) -> str:
        if not report.has_figure(kind) and job.not_told & kind:
            return NO_VALUE
        return text(reported if report.has_figure(kind) else known, language)

    # A warning is not why a run failed.
    warnings = () if is_failure(report.status) else report.warnings
    return server_values(server, job) | {
        "details_link": run_link(server.id, run_id) or "",
        "reason": find_reason(report.errors, warnings),
        "backup_date": date_text(report.began_at, language),
        "status": _status_text(report, language),
        "messages_count": count_text(report.message_count, language),
        "warnings_count": count_text(report.warning_count, language),
        "errors_count": count_text(report.error_count, language),
        "duration": human_duration(report.duration_s),
        "file_count": figure(Figure.FILES, report.examined_files, job.last_examined_files, count_text),
        "file_size": figure(Figure.FILES, report.examined_bytes, job.last_examined_bytes, size_text),
        "uploaded_size": size_text(report.uploaded_bytes, language) if report.has_figure(Figure.UPLOADED) else NO_VALUE,
        "storage_size": figure(Figure.STORAGE, report.storage_bytes, job.last_storage_bytes, size_text),
        "available_versions": figure(Figure.VERSION_COUNT, report.version_count, job.last_version_count, count_text),
        "log_text": log_text(report),
    }


def overdue_values(server: Server, job: Job, now: datetime, language: str) -> dict[str, str]:
    """Return the values of the template `overdueBackup`."""
    schedule = planning.schedule_of(job)
    interval = schedule.interval_text if schedule else job.expected_interval
    return server_values(server, job) | {
        "last_backup_date": date_text(job.state_began_at, language),
        "last_elapsed": relative_text(job.state_began_at, now),
        "expected_date": date_text(job.next_expected_at, language),
        "expected_elapsed": relative_text(job.next_expected_at, now),
        "backup_interval": interval,
        "overdue_tolerance": tolerance_text(planning.grace_name(job), language),
        # wire: names of old templates; the unit is part of the interval's text now.
        "backup_interval_value": interval,
        "backup_interval_type": "",
    }


def _of_run(message: RenderedMessage, report: Report, language: str) -> RenderedMessage:
    """Return the message with its run's time and a note about an interrupted run before it."""
    message = replace(message, event_at=report.began_at)
    note = interrupted_text(report.broken_off_at, language)
    return replace(message, text=f"{message.text}\n\n{markdown.escape(note)}") if note else message


def _status_text(report: Report, language: str) -> str:
    """Return the status of a run with its outcome: `Warning (stopped)`."""
    word, status = outcome_word(report.outcome, language), status_word(report.status, language)
    return f"{status} ({word})" if word else status


def log_text(report: Report) -> str:
    """Return errors, then warnings, one per line; if there are none, the messages."""
    lines = list_lines(report.errors, report.warnings, limit=LOG_TEXT_LIMIT)
    return shorten("\n".join(lines or _message_lines(report.messages)), LOG_TEXT_LIMIT)


def _message_lines(messages: Iterable[str]) -> Iterable[str]:
    """Return as many messages as fit, one per line, without those about moved files."""
    length = 0
    for line in map(plain_line, (message for message in messages if message and BACKEND_EVENT not in message[:200])):
        yield line
        length += len(line)
        if length > LOG_TEXT_LIMIT:
            return


def server_values(server: Server, job: Job) -> dict[str, str]:
    """Return the values about a job and its server that every template may use."""
    return {
        "server_id": server.id,
        "server_name": server.name,
        "server_alias": f"{server.alias} ({server.name})" if server.alias else server.name,
        "server_note": server.note,
        "server_url": server.url,
        "backup_name": job.name,
        "duplistatus_link": own_address() or "",
        "details_link": job_link(server.id, job.name) or "",
    }


def _packed(picture: Attachment) -> dict[str, str]:
    content = b64encode(picture.content).decode()
    words = {"name": picture.name, "mime_type": picture.mime_type, "description": picture.description}
    return words | {"content": content}


def _render(kind: str, chosen: Template, severity: Severity, values: Mapping[str, str]) -> RenderedMessage:
    text = render_message(chosen.message, values, markdown.escape)
    return RenderedMessage(
        event=kind,
        # A subject is one line, even if a name contains line breaks.
        title=shorten(" ".join(render(chosen.title, values).split()), TITLE_LIMIT),
        text=text,
        # Values are escaped, except for tables generated here.
        is_formatted=markdown.has_formatting(text),
        severity=severity,
        priority=chosen.priority or "default",
        tags=chosen.tag_list,
        link=values.get("details_link") or own_address(),
        values=values,
    )
