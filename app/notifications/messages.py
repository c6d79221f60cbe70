"""From a run or an overdue job to the text that is sent: the values of the placeholders, and the template filled."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from app.backups.models import Job, Server
from app.core.languages import catalog, language_or_default
from app.core.settings import store as settings_store
from app.notifications import markdown
from app.notifications.alarm_words import alarm_template, more_line, overdue_line
from app.notifications.default_templates import default_templates
from app.notifications.former_templates import former_language
from app.notifications.rules import OVERDUE, Incident, shorten
from app.notifications.templates import Template, render, render_message
from app.notifications.wording import (
    broken_off_text,
    count_text,
    date_text,
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

# Addresses of our pages for messages, which know no request: all begin with the public address.
#
# `tests/navigation/test_page_links.py` holds them to the routes of the pages.


def own_address() -> str | None:
    """Give the address of the dashboard; None as long as nobody has set the public address."""
    return settings_store.get("public_url") or settings().public_url or None


def run_link(server_id: str, run_id: str) -> str | None:
    """Give the address of the page of a run."""
    return _page(f"/detail/{_part(server_id)}/backup/{_part(run_id)}")


def job_link(server_id: str, job_name: str) -> str | None:
    """Give the address of the page of a server, narrowed to one of its jobs."""
    return _page(f"/detail/{_part(server_id)}?backup={_part(job_name)}")


def channels_link() -> str | None:
    """Give the address of the settings of notification channels."""
    return _page("/settings/?tab=channels")


def _page(path: str) -> str | None:
    """Give an address below the public one, which may lack the path below which we are hosted."""
    root, base_path = (own_address() or "").rstrip("/"), settings().base_path
    if not root:
        return None
    has_base_path = urlsplit(root).path.endswith(base_path)
    return f"{root}{'' if has_base_path else base_path}{path}"


def _part(name: str) -> str:
    return quote(name, safe="")


TITLE_LIMIT = 500
# In place of a figure that no report of the job has told.
NOT_TOLD = "\u2013"
# Enough for the thousands of lines that a person may read, and a bound for the outbox.
LOG_TEXT_LIMIT = 60_000
BACKEND_EVENT = "BackendEvent"
# Lines of a list of jobs: as many as a push takes and a person reads.
JOBS_LISTED = 25
TROUBLE_EVENTS = frozenset({"overdueBackup", "overdueBackups", "silence", "channelFailing", "unusualRun"})


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """One rendered message, not yet shaped for a channel. `text` is Markdown; `event_at` as of a `Message`."""

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
    def is_trouble(self) -> bool:
        """Whether somebody should look at it soon, and quiet hours may let it pass."""
        return self.severity is Severity.ERROR or self.event in TROUBLE_EVENTS

    def payload(self) -> dict[str, Any]:
        """The notice as the JSON value of a delivery; the log text stands in the message already."""
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
    """What people made of the templates, as the wire has it; empty while they are ours."""
    stored: Mapping[str, Any] = settings_store.get("notification_templates") or {}
    return stored


def language(stored: Mapping[str, Any] | None = None) -> str:
    """The language in which messages write dates and numbers."""
    return language_or_default((stored_templates() if stored is None else stored).get("language"))


def template(kind: str, stored: Mapping[str, Any] | None = None) -> Template:
    """The template in use, of one of the kinds of `PLACEHOLDERS`; each missing part is ours in the language chosen.

    A message that an earlier version built in becomes the one of today, in its language.
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
    """The message about a run that was just stored."""
    severity = Severity.INFO if report.status == SUCCESS else Severity.WARNING
    if is_failure(report.status):
        severity = Severity.ERROR
    kind = "success" if report.status == SUCCESS and report.counts else "warning"
    stored = stored_templates()
    code = language(stored)
    values = run_values(server, job, report, run_id, code)
    return _of_run(_render(kind, template(kind, stored), severity, values), report, code)


def render_overdue(server: Server, job: Job, now: datetime) -> RenderedMessage:
    """The message about a job that did not report in time."""
    kind, stored = "overdueBackup", stored_templates()
    values = overdue_values(server, job, now, language(stored))
    return replace(_render(kind, template(kind, stored), Severity.WARNING, values), event_at=now)


def render_overdue_list(late: Sequence[tuple[Server, Job]]) -> RenderedMessage:
    """The one message about several jobs that did not report in time, as loud as that about a single one."""
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
    """Return lines about jobs as a list, with a last one that says how many of `count` are left out."""
    shown = [f"• {line}" for line in lines]
    if count > len(lines):
        more = more_line(language)
        shown.append(f"• {render(more, {'count': count_text(count - len(lines), language)})}")
    return "\n".join(shown)


def render_recovered(
    server: Server, job: Job, report: Report, run_id: str, trouble: Incident, now: datetime
) -> RenderedMessage:
    """The message about a run after which all is well again, with the trouble that people were told of."""
    kind, stored = "recovered", stored_templates()
    code = language(stored)
    is_late = trouble.kind == OVERDUE
    missed = planning.count_missed_runs(job, trouble.since_at, report.began_at) if is_late else 0
    values = run_values(server, job, report, run_id, code) | {
        "previous_status": catalog(code).pgettext("summary", "Overdue") if is_late else status_word(trouble.kind, code),
        "trouble_since": date_text(trouble.since_at, code),
        "trouble_elapsed": relative_text(trouble.since_at, now),
        "missed_runs": missed_text(missed, code),
    }
    return _of_run(_render(kind, template(kind, stored), Severity.INFO, values), report, code)


def render_health_alarm(
    event: str, severity: Severity, values: Mapping[str, str], code: str, link: str
) -> RenderedMessage:
    """The message about duplistatus itself in the language `code`; reads nothing from the database."""
    known = {**values, "details_link": link or "-"}
    return replace(_render(event, alarm_template(event, code), severity, known), link=link or None)


def render_alarm(
    event: str, severity: Severity, values: Mapping[str, str], *, link: str | None = None
) -> RenderedMessage:
    """The message about something that concerns no single run; `values` are in the language of the templates.

    `link` is the page that shows it; the dashboard where there is none.
    """
    notice = _render(event, alarm_template(event, language()), severity, values)
    return replace(notice, link=link or notice.link)


def render_kind(
    kind: str, severity: Severity, values: Mapping[str, str], *, pictures: tuple[Attachment, ...] = ()
) -> RenderedMessage:
    """A message of one of the kinds of `PLACEHOLDERS`, by the template in use; `values` are in its language."""
    return replace(_render(kind, template(kind), severity, values), pictures=pictures)


def unpacked(pictures: Iterable[Mapping[str, str]]) -> tuple[Attachment, ...]:
    """The pictures of a stored notice."""
    return tuple(
        Attachment(picture["name"], picture["mime_type"], b64decode(picture["content"]), picture["description"])
        for picture in pictures
    )


def local_day(now: datetime) -> date:
    """The day that it is for the readers of messages."""
    return now.astimezone(settings().zone).date()


def run_values(server: Server, job: Job, report: Report, run_id: str, language: str) -> dict[str, str]:
    """What the templates `success` and `warning` may tell; what the run does not tell is as the job knows it."""

    def figure(kind: Figure, told: int, known: int, text: Callable[[int, str], str]) -> str:
        if not report.tells(kind) and job.not_told & kind:
            return NOT_TOLD
        return text(told if report.tells(kind) else known, language)

    # A warning is not what made a run fail.
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
        "uploaded_size": size_text(report.uploaded_bytes, language) if report.tells(Figure.UPLOADED) else NOT_TOLD,
        "storage_size": figure(Figure.STORAGE, report.storage_bytes, job.last_storage_bytes, size_text),
        "available_versions": figure(Figure.VERSION_COUNT, report.version_count, job.last_version_count, count_text),
        "log_text": log_text(report),
    }


def overdue_values(server: Server, job: Job, now: datetime, language: str) -> dict[str, str]:
    """What the template `overdueBackup` may tell."""
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


def _of_run(notice: RenderedMessage, report: Report, language: str) -> RenderedMessage:
    """The notice with the instant of its run, and with what that tells of the run before it."""
    notice = replace(notice, event_at=report.began_at)
    note = broken_off_text(report.broken_off_at, language)
    return replace(notice, text=f"{notice.text}\n\n{markdown.escape(note)}") if note else notice


def _status_text(report: Report, language: str) -> str:
    """The status of a run, with what it did besides: `Warning (stopped)`."""
    word, status = outcome_word(report.outcome, language), status_word(report.status, language)
    return f"{status} ({word})" if word else status


def log_text(report: Report) -> str:
    """Errors, then warnings, one a line; where there are none, the messages."""
    lines = list_lines(report.errors, report.warnings, limit=LOG_TEXT_LIMIT)
    return shorten("\n".join(lines or _message_lines(report.messages)), LOG_TEXT_LIMIT)


def _message_lines(messages: Iterable[str]) -> Iterable[str]:
    """The messages, one a line, as many as there is room for; each file that was moved is none of them."""
    length = 0
    for line in map(plain_line, (message for message in messages if message and BACKEND_EVENT not in message[:200])):
        yield line
        length += len(line)
        if length > LOG_TEXT_LIMIT:
            return


def server_values(server: Server, job: Job) -> dict[str, str]:
    """What every message about a job may tell of it and of its server."""
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
        # A subject is one line, whatever a name holds.
        title=shorten(" ".join(render(chosen.title, values).split()), TITLE_LIMIT),
        text=text,
        # Values are escaped, except for tables of ours.
        is_formatted=markdown.has_formatting(text),
        severity=severity,
        priority=chosen.priority or "default",
        tags=chosen.tag_list,
        link=values.get("details_link") or own_address(),
        values=values,
    )
