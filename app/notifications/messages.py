"""Render notifications of runs, overdue jobs and alerts.

Placeholder values, templates, page URLs.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_decimal, format_percent
from marshmallow import fields, validate

from app.backups.models import Job, Server
from app.core.languages import DEFAULT_LANGUAGE, LANGUAGES, catalog
from app.core.settings import store as settings_store
from app.core.settings.declarations import Exact, Setting, declare
from app.notifications import templates
from app.notifications.default_templates import (
    alarm_template,
    default_templates,
    former_language,
    more_line,
    overdue_line,
)
from app.notifications.templates import Template, render, render_message
from app.plugin import NC_, Attachment, Severity
from app.reports.decoding import human_duration, shorten
from app.reports.outcomes import SUCCESS, find_reason, is_failure, list_lines, plain_line
from app.reports.parser import Figure, Report
from app.runtime import settings
from app.schedules import next_run
from app.schedules.overdue import TOLERANCES

# Values in the message language: elapsed time, dates, numbers, sizes and words

SECOND = timedelta(seconds=1)
# Seconds in each unit from the longest to the shortest, with weeks of 7, months of 30 and years of 365 days.
YEAR_S = 31_536_000
MONTH_S = 2_592_000
TIME_UNITS = (
    (YEAR_S, "year"),
    (MONTH_S, "month"),
    (604_800, "week"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
    (1, "second"),
)
MINUTE_S = 60
JUST_NOW_S = 15


def elapsed_text(since: datetime | None, now: datetime) -> str:
    """Return the elapsed time without "ago": `3 hours`.

    Less than a minute is `0 minutes`.

    Unknown is empty. Source: docs/compatibility/core-api.md#rule-e.
    """
    if since is None:
        return ""
    passed_s = (now - since) // SECOND
    if passed_s < 0:
        return "in the future"
    if passed_s < JUST_NOW_S:
        return "just now"
    return _counted(0, "minute") if passed_s < MINUTE_S else _amount(passed_s)


def relative_text(at: datetime | None, now: datetime) -> str:
    """Return `3 hours ago` or `in 3 hours`, in the largest unit; unknown is empty.

    Source: docs/compatibility/notifications.md#rule-r.
    """
    if at is None:
        return ""
    passed_s = (now - at) // SECOND
    if abs(passed_s) < JUST_NOW_S:
        return "just now"
    return f"{_amount(passed_s)} ago" if passed_s > 0 else f"in {_amount(-passed_s)}"


def unit_of(length_s: int) -> tuple[int, str]:
    """Return the largest unit that fits a length of at least a second, and how often.

    Example: `(2, "hour")`.
    """
    size_s, unit = next((size_s, unit) for size_s, unit in TIME_UNITS if length_s >= size_s)
    return length_s // size_s, unit


def _amount(length_s: int) -> str:
    """Return a positive length in its largest unit; years with their months."""
    count, unit = unit_of(length_s)
    text = _counted(count, unit)
    months = length_s % YEAR_S // MONTH_S
    return f"{text} and {_counted(months, 'month')}" if unit == "year" and months else text


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


# Numbers, dates and words in the formats of docs/compatibility/notifications.md#templates.

# Languages whose short format in babel differs from docs/compatibility/notifications.md#templates.
DATE_FORMATS = {"pt-BR": "dd/MM/y, HH:mm", "hi-Latn": "dd/MM/y, h:mm a", "hi": "dd/MM/y, h:mm a"}
# Spanish does not group numbers of four digits; babel lacks this rule of CLDR (minimumGroupingDigits).
UNGROUPED_BELOW = {"es": 10_000}
SIZE_UNITS = ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB")
STATUSES = frozenset(
    {
        NC_("status of a run", "Success"),
        NC_("status of a run", "Warning"),
        NC_("status of a run", "Error"),
        NC_("status of a run", "Fatal"),
    }
)
# Outcome of a run besides its status; see `app.reports.outcomes.Outcome`.
OUTCOMES = {
    "aborted": NC_("outcome of a run", "aborted"),
    "dry_run": NC_("outcome of a run", "dry run"),
    "stopped": NC_("outcome of a run", "stopped"),
    "partial": NC_("outcome of a run", "partial"),
}
# wire: the English labels of the contract, which differ from babel's. Other languages use babel's.
TOLERANCE_LABELS = {
    "no_tolerance": NC_("grace period", "No tolerance"),
    "5min": "5 min",
    "15min": "15 min",
    "30min": "30 min",
    "1h": "1 hour",
    "2h": "2 hours",
    "4h": "4 hours",
    "6h": "6 hours",
    "12h": "12 hours",
    "1d": "1 day",
}
Unit = Literal["day", "hour", "minute"]
TOLERANCE_UNITS: tuple[tuple[timedelta, Unit], ...] = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
)


def outcome_word(outcome: str, language: str) -> str:
    """Return the outcome of a run: aborted, dry run, stopped or partial.

    Empty for none of these.
    """
    word = OUTCOMES.get(outcome)
    return catalog(language).pgettext("outcome of a run", word) if word else ""


def interrupted_text(began_at: datetime | None, language: str) -> str:
    """Return the sentence about the interrupted previous run.

    Empty if there was none.
    """
    if began_at is None:
        return ""
    sentence = catalog(language).gettext("The run of {date} was interrupted.")
    return sentence.format(date=date_text(began_at, language))


def missed_text(count: int, language: str) -> str:
    """Return the sentence about missed runs; empty for none."""
    if count < 1:
        return ""
    sentence = catalog(language).ngettext("{count} expected run was missed", "{count} expected runs were missed", count)
    return sentence.format(count=count_text(count, language))


def date_text(instant: datetime | None, language: str) -> str:
    """Return the short date and time in the configured time zone; empty if unknown."""
    if instant is None:
        return ""
    local = instant.astimezone(settings().zone)
    form = DATE_FORMATS.get(language, "short")
    return format_datetime(local, form, locale=_locale(language)).replace("\u202f", " ")


def count_text(number: int, language: str) -> str:
    """Return a whole number with the grouping of the language."""
    is_grouped = abs(number) >= UNGROUPED_BELOW.get(language, 0)
    return format_decimal(number, locale=_locale(language), group_separator=is_grouped)


def size_text(size_bytes: int, language: str) -> str:
    """Return a size in steps of 1024 with two decimals; zero is `0 Bytes`."""
    if size_bytes <= 0:
        return "0 Bytes"
    step = min((size_bytes.bit_length() - 1) // 10, len(SIZE_UNITS) - 1)
    amount = size_bytes / 1024**step
    is_grouped = amount >= UNGROUPED_BELOW.get(language, 0)
    locale = _locale(language)
    return f"{format_decimal(amount, '#,##0.00', locale=locale, group_separator=is_grouped)} {SIZE_UNITS[step]}"


def status_word(status: str, language: str) -> str:
    """Return the status of a run in the language of the message."""
    return catalog(language).pgettext("status of a run", status) if status in STATUSES else status


def tolerance_text(tolerance: str, language: str) -> str:
    """Return the grace period in the language of the message."""
    length = TOLERANCES[tolerance]
    if language == DEFAULT_LANGUAGE or not length:
        return catalog(language).pgettext("grace period", TOLERANCE_LABELS[tolerance])
    return _in_unit(length, next(unit for size, unit in TOLERANCE_UNITS if not length % size), language)


def duration_text(length: timedelta, language: str) -> str:
    """Return a length in hours or days: `3 days`."""
    size, unit = TOLERANCE_UNITS[0] if length >= timedelta(days=2) else TOLERANCE_UNITS[1]
    return _in_unit(length // size * size, unit, language)


def _in_unit(length: timedelta, unit: Unit, language: str) -> str:
    """Return a length in a unit, minutes in their short form."""
    # `format_unit` returns "1 duration-hour" where babel has no long form, as in Chinese. This uses the short form.
    form: Literal["short", "long"] = "short" if unit == "minute" else "long"
    return format_timedelta(length, unit, threshold=10_000, format=form, locale=_locale(language))


def in_days_text(days: int, language: str) -> str:
    """Return a number of days from now: `in 6 days`."""
    # Inserted into a text, which may be in the base language.
    locale = _locale(LANGUAGES[language].base or language)
    # The threshold prevents four weeks from being shown as weeks.
    return format_timedelta(timedelta(days=days), "day", threshold=10_000, add_direction=True, locale=locale)


def percent_text(share: float, language: str) -> str:
    """Return a share from 0 to 1 as a percentage.

    Rounded down to one decimal, so only 1 is 100 %.
    """
    # The pattern of the language says whether a space precedes %; a plain one, as on the dashboard.
    form = Locale.parse(_locale(language)).percent_formats[None].pattern.replace("0", "0.#").replace("\xa0", " ")
    return format_percent(int(share * 1000) / 1000, form, _locale(language))


def day_text(day: date, language: str) -> str:
    """Return a date in its short form."""
    return format_date(day, DATE_FORMATS.get(language, "short").partition(",")[0], locale=_locale(language))


def _locale(language: str) -> str:
    return LANGUAGES[language].locale


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


# An incident of a job, so that one recovery notification is sent per incident

OVERDUE = "Overdue"


@dataclass(frozen=True, slots=True)
class Incident:
    """Open incident of a job and its begin.

    `kind` is `Overdue` or the status of its last failed run.
    """

    kind: str
    since_at: datetime


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


def language_or_default(code: object) -> str:
    """Return a code of `LANGUAGES` unchanged; English for everything else."""
    return code if isinstance(code, str) and code in LANGUAGES else DEFAULT_LANGUAGE


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
    missed = next_run.count_missed_runs(job, incident.since_at, report.began_at) if is_late else 0
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
    schedule = next_run.schedule_of(job)
    interval = schedule.interval_text if schedule else job.expected_interval
    return server_values(server, job) | {
        "last_backup_date": date_text(job.state_began_at, language),
        "last_elapsed": relative_text(job.state_began_at, now),
        "expected_date": date_text(job.next_expected_at, language),
        "expected_elapsed": relative_text(job.next_expected_at, now),
        "backup_interval": interval,
        "overdue_tolerance": tolerance_text(next_run.grace_name(job), language),
        # wire: names of old templates; the unit is part of the interval's text now.
        "backup_interval_value": interval,
        "backup_interval_type": "",
    }


def _of_run(message: RenderedMessage, report: Report, language: str) -> RenderedMessage:
    """Return the message with its run's time and a note about an interrupted run before it."""
    message = replace(message, event_at=report.began_at)
    note = interrupted_text(report.broken_off_at, language)
    return replace(message, text=f"{message.text}\n\n{templates.escape(note)}") if note else message


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
    text = render_message(chosen.message, values, templates.escape)
    return RenderedMessage(
        event=kind,
        # A subject is one line, even if a name contains line breaks.
        title=shorten(" ".join(render(chosen.title, values).split()), TITLE_LIMIT),
        text=text,
        # Values are escaped, except for tables generated here.
        is_formatted=templates.has_formatting(text),
        severity=severity,
        priority=chosen.priority or "default",
        tags=chosen.tag_list,
        link=values.get("details_link") or own_address(),
        values=values,
    )
