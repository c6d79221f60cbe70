"""The page of one run: figures compared with the previous run, versions, log."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.backups import run_lists
from app.backups.models import Run
from app.backups.overview import RunDetail, ServerStatus
from app.backups.words import outcome_sentence, span_words
from app.core.db.orm import LONGEST_SEARCH
from app.reports.outcomes import Outcome
from app.web.formats import MISSING, count_text, duration_text, exact, exact_text, number_text, size_text

LINES_SHOWN = 1000
DAY = timedelta(days=1)
SECTION_NAMES = ("errors", "warnings", "messages")
# `2026-11-20 02:00:07 +01 - [Warning-Duplicati.Library…]: text`; collected logs may lack the time or the tag.
LINE = re.compile(
    r"(?:(\d{4}-\d\d-\d\d[T ][\d:.]{8,16} ?(?:Z|[+-]\d\d(?::?\d\d)?)?) - )?(?:\[([^\]]{3,300})\]: )?(.*)", re.S
)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Filter of the log: kind of lines, search text, all lines or the first."""

    kind: str = ""
    text: str = ""
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log line: time, component and text; the first two may be ""."""

    written_at: str
    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class LogSection:
    """Lines of one kind.

    `counted` is the run's number of lines, which may exceed the `held` ones that were sent. `found` of the held lines
    match the search text; `lines` are the first of these.
    """

    name: str
    label: str
    icon: str
    lines: tuple[LogLine, ...]
    found: int
    held: int
    counted: int

    @property
    def is_cut(self) -> bool:
        """Whether lines are omitted to keep the page small."""
        return len(self.lines) < self.found


@dataclass(frozen=True, slots=True)
class Version:
    """A restorable version of the backup; number 0 is the run itself."""

    number: int
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of a run and of the previous run.

    `change` and `percent` are "" if equal.
    """

    label: str
    value: str
    before: str
    change: str
    percent: str


def read_query(arguments: Mapping[str, str]) -> LogQuery:
    """Return the log filter of a URL."""
    kind = arguments.get("show", "")
    return LogQuery(
        kind=kind if kind in SECTION_NAMES else "",
        text=arguments.get("q", "").strip()[:LONGEST_SEARCH],
        is_whole=arguments.get("lines") == "all",
    )


def lay_out(detail: RunDetail, server: ServerStatus, query: LogQuery, now: datetime) -> dict[str, Any]:
    """Return the template variables for the page of a run."""
    before = run_lists.run_before(detail)
    newest = next((job for job in server.jobs if job.last_run_id == detail.run.id), None)
    return {
        "detail": detail,
        "log": query,
        "sections": log_sections(detail, query),
        "versions": versions_of(detail),
        "notes": notes_of(detail.run),
        "facts": facts_of(detail),
        "before": before,
        "comparisons": compare(detail.run, before) if before is not None else [],
        "anomalies": newest.anomalies if newest is not None else (),
        "now": now,
    }


def log_sections(detail: RunDetail, query: LogQuery) -> list[LogSection]:
    """Return the sections of the log that have lines, by severity."""
    run, log = detail.run, detail.log
    parts = (
        ("errors", _("Errors"), "circle-x", log.errors, run.error_count),
        ("warnings", _("Warnings"), "alert-triangle", log.warnings, run.warning_count),
        ("messages", _("Messages"), "message-2", log.messages, run.message_count),
    )
    return [_section(*part, query) for part in parts if part[3]]


def log_lines(section: LogSection, wanted: str) -> Markup:
    """Return the lines of a section as list items, with the search text marked.

    Concatenated as strings, since there may be ten thousand.
    """
    pattern = re.compile(re.escape(wanted), re.I) if wanted else None
    parts = []
    for line in section.lines:
        at = f'<span class="log-at">{escape(line.written_at)}</span> ' if line.written_at else ""
        mark = f'<span class="log-mark">[{escape(line.mark)}]</span> ' if line.mark else ""
        text = escape(line.text) if pattern is None else "".join(_marked(line.text, pattern))
        parts.append(f'<li>{at}{mark}<span class="log-text">{text}</span></li>')
    return Markup("\n".join(parts))  # noqa: S704 (every part is escaped)


def log_text(detail: RunDetail) -> str:
    """Return the whole log as text, by severity."""
    log = detail.log
    parts = ((_("Errors"), log.errors), (_("Warnings"), log.warnings), (_("Messages"), log.messages))
    return "\n\n".join(f"{label}\n" + "\n".join(lines) for label, lines in parts if lines) + "\n"


def log_name(detail: RunDetail) -> str:
    """Return the file name of the downloaded log."""
    job = re.sub(r"[^A-Za-z0-9_-]+", "-", detail.job_name).strip("-") or "job"
    return f"duplistatus-log-{job[:60]}-{detail.run.began_at:%Y-%m-%d-%H%M}.txt"


def versions_of(detail: RunDetail) -> list[Version]:
    """Return the versions after the run, newest first; empty if unknown.

    Duplicati's list may or may not contain the version that the run itself saved, which has number 0.
    """
    run = detail.run
    instants = [datetime.fromisoformat(text) for text in run.available_versions or ()]
    if not instants:
        return []
    own = [] if run.version_at is None else [run.version_at]
    earlier = [at for at in instants if not own or at < own[0]]
    return [Version(number, at) for number, at in enumerate([*own, *earlier], start=0 if own else 1)]


def notes_of(run: Run) -> list[tuple[str, str, str]]:
    """Return notes on a run besides its status: sentence, tone and icon."""
    notes = []
    if run.outcome:
        tone = "warning" if run.outcome in (Outcome.ABORTED, Outcome.PARTIAL) else "info"
        notes.append((outcome_sentence(run.outcome), tone, "info-circle"))
    if run.broken_off_at is not None:
        at = exact_text(run.broken_off_at)
        words = _(
            "The run of %(at)s was interrupted and sent no report. The data it had saved "
            "became a version with this run.",
            at=at,
        )
        notes.append((words, "warning", "unlink"))
    if run.reported_began_at is not None:
        ahead = span_words((run.reported_began_at - run.began_at) / DAY)
        sent = exact_text(run.reported_began_at)
        words = _("The clock of this server is %(span)s ahead: the report says %(sent)s.", span=ahead, sent=sent)
        notes.append((words, "warning", "clock-exclamation"))
    if run.unread_versions:
        count = run.unread_versions
        words = ngettext(
            "%(num)s version is not listed because its date is ambiguous.",
            "%(num)s versions are not listed because their dates are ambiguous.",
            count,
        )
        notes.append((words, "info", "history"))
    return notes


def compare(run: Run, before: Run) -> list[Comparison]:
    """Return the figures of a run compared with the previous run's.

    Figures that are 0 in both runs, or unknown, are omitted.
    """
    figures: tuple[tuple[str, str, Callable[[Any], str], str], ...] = (
        (_("Duration"), "duration_s", duration_text, ""),
        (_("File count"), "examined_files", count_text, "files"),
        (_("File size"), "examined_bytes", size_text, "files"),
        (_("Added files"), "added_files", count_text, ""),
        (_("Modified files"), "modified_files", count_text, ""),
        (_("Deleted files"), "deleted_files", count_text, ""),
        (_("Uploaded size"), "uploaded_bytes", size_text, ""),
        (_("Storage size"), "storage_bytes", size_text, "storage"),
        (_("Available versions"), "version_count", count_text, "version_count"),
        (_("Warnings"), "warning_count", count_text, ""),
        (_("Errors"), "error_count", count_text, ""),
    )
    rows = [
        (label, getattr(run, column), getattr(before, column), text)
        for label, column, text, figure in figures
        if not figure or (run.has_figure(figure) and before.has_figure(figure))
    ]
    return [_comparison(*row) for row in rows if row[1] or row[2]]


def facts_of(detail: RunDetail) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return the figures of a run in groups of (label, value), without empty ones."""
    run = detail.run
    files = (
        (_("Examined"), run.examined_files, run.examined_bytes),
        (_("Opened"), run.opened_files, run.opened_bytes),
        (_("Added"), run.added_files, run.added_bytes),
        (_("Modified"), run.modified_files, run.modified_bytes),
        (_("Deleted"), run.deleted_files, None),
        (_("Not processed"), run.not_processed_files, None),
        (_("Too large"), run.too_large_files, None),
        (_("With errors"), run.files_with_error, None),
    )
    others = (
        (_("Added folders"), run.added_folders),
        (_("Modified folders"), run.modified_folders),
        (_("Deleted folders"), run.deleted_folders),
        (_("Added symlinks"), run.added_symlinks),
        (_("Modified symlinks"), run.modified_symlinks),
        (_("Deleted symlinks"), run.deleted_symlinks),
    )
    flags = (
        (_("Partial backup"), run.is_partial),
        (_("Dry run"), run.is_dry_run),
        (_("Quota warning"), run.reported_quota_warning),
        (_("Quota error"), run.reported_quota_error),
    )
    quota = [(_("Quota"), size_text(run.quota_total_bytes))] if run.quota_total_bytes else []
    quota += [] if run.quota_free_bytes is None else [(_("Free space"), size_text(run.quota_free_bytes))]
    counted = [(label, _files_text(count, size)) for label, count, size in files]
    return [
        (
            _("Run"),
            [
                (_("Started"), exact(run.began_at)),
                (_("Finished"), exact(run.ended_at)),
                (_("Received"), exact(run.received_at)),
                (_("Duplicati"), run.duplicati_version or MISSING),
                (_("ID"), run.id),
                *((label, _("Yes")) for label, is_set in flags if is_set),
            ],
        ),
        (
            _("Files"),
            (counted[:1] if run.has_figure("files") else [])
            + [entry for entry, figure in zip(counted[1:], files[1:], strict=True) if figure[1]],
        ),
        (
            _("Destination"),
            [
                (_("Uploaded"), size_text(run.uploaded_bytes)),
                (_("Downloaded"), size_text(run.downloaded_bytes)),
                (_("Stored"), size_text(run.storage_bytes) if run.has_figure("storage") else MISSING),
                *quota,
                *((label, count_text(count)) for label, count in others if count),
            ],
        ),
    ]


def split_line(line: str) -> LogLine:
    """Split a log line into its parts."""
    match = LINE.fullmatch(line)
    written_at, mark, text = match.groups() if match else ("", "", line)
    return LogLine(written_at or "", mark or "", text)


def _section(name: str, label: str, icon: str, lines: tuple[str, ...], counted: int, query: LogQuery) -> LogSection:
    wanted = [] if query.kind not in ("", name) else [split_line(line) for line in lines]
    if query.text:
        pattern = re.compile(re.escape(query.text), re.I)
        wanted = [line for line in wanted if pattern.search(line.text)]
    shown = wanted if query.is_whole else wanted[:LINES_SHOWN]
    return LogSection(name, label, icon, tuple(shown), len(wanted), len(lines), max(counted, len(lines)))


def _marked(text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    end = 0
    for found in pattern.finditer(text):
        yield f"{escape(text[end : found.start()])}<mark>{escape(found[0])}</mark>"
        end = found.end()
    yield str(escape(text[end:]))


def _comparison(label: str, value: float, before: float, text_of: Callable[[Any], str]) -> Comparison:
    difference = value - before
    if text_of(value) == text_of(before):
        return Comparison(label, text_of(value), text_of(before), "", "")
    sign = "+" if difference > 0 else "\u2212"
    percent = round(abs(difference) / before * 100) if before else 0
    part = f"{sign}{number_text(percent)} %" if percent else ""
    return Comparison(label, text_of(value), text_of(before), f"{sign}{text_of(abs(difference))}", part)


def _files_text(count: int, size_bytes: int | None) -> str:
    return f"{count_text(count)} ({size_text(size_bytes)})" if size_bytes else count_text(count)
