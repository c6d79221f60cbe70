"""What the page of one run shows besides its figures: the log, line by line, and the versions there were."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.pages.formats import MISSING, count_text, exact, size_text
from app.services.history import RunDetail

LINES_SHOWN = 1000
# `2026-11-20 02:00:07 +01 - [Warning-Duplicati.Library…]: text`; collected logs may lack the time or the mark.
LINE = re.compile(
    r"(?:(\d{4}-\d\d-\d\d[T ][\d:.]{8,16} ?(?:Z|[+-]\d\d(?::?\d\d)?)?) - )?(?:\[([^\]]{3,300})\]: )?(.*)", re.S
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log: when, which part of Duplicati spoke, and what it said; the first two may be empty."""

    written_at: str
    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class LogSection:
    """Lines of one kind; `total` is how many the run counted, which may be more than were sent or are shown."""

    name: str
    label: str
    icon: str
    lines: tuple[LogLine, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the backup that can be restored; number 0 is the run itself."""

    number: int
    made_at: datetime


def log_sections(detail: RunDetail) -> list[LogSection]:
    """The parts of the log that hold anything, the gravest first."""
    run, log = detail.run, detail.log
    sections = (
        _section("errors", "Errors", "circle-x", log.errors, run.error_count),
        _section("warnings", "Warnings", "alert-triangle", log.warnings, run.warning_count),
        _section("messages", "Messages", "message-2", log.messages, run.message_count),
    )
    return [section for section in sections if section.lines]


def versions_of(detail: RunDetail) -> list[Version]:
    """The versions there were after the run, newest first; empty when Duplicati told none.

    Its list may or may not hold the version that the run itself made, by the whole second.
    """
    began_at = detail.run.began_at
    instants = [datetime.fromisoformat(text) for text in detail.run.available_versions or ()]
    earlier = [at for at in instants if at < began_at.replace(microsecond=0)]
    return [Version(number, at) for number, at in enumerate([began_at, *earlier])] if instants else []


def lay_out(detail: RunDetail, now: datetime) -> dict[str, Any]:
    """Everything that the templates of a run ask for."""
    return {
        "detail": detail,
        "sections": log_sections(detail),
        "versions": versions_of(detail),
        "facts": facts_of(detail),
        "now": now,
    }


def facts_of(detail: RunDetail) -> list[tuple[str, list[tuple[str, Any]]]]:
    """The figures of a run in groups of (label, value); those that say nothing are left out."""
    run = detail.run
    files = (
        ("Examined", run.examined_files, run.examined_bytes),
        ("Opened", run.opened_files, run.opened_bytes),
        ("Added", run.added_files, run.added_bytes),
        ("Modified", run.modified_files, run.modified_bytes),
        ("Deleted", run.deleted_files, None),
        ("Not processed", run.not_processed_files, None),
        ("Too large", run.too_large_files, None),
        ("With errors", run.files_with_error, None),
    )
    others = (
        ("Added folders", run.added_folders),
        ("Modified folders", run.modified_folders),
        ("Deleted folders", run.deleted_folders),
        ("Added symlinks", run.added_symlinks),
        ("Modified symlinks", run.modified_symlinks),
        ("Deleted symlinks", run.deleted_symlinks),
    )
    flags = (
        ("Partial backup", run.is_partial),
        ("Dry run", run.is_dry_run),
        ("Interrupted", run.was_interrupted),
        ("Quota warning", run.reported_quota_warning),
        ("Quota error", run.reported_quota_error),
    )
    quota = [("Quota", size_text(run.quota_total_bytes))] if run.quota_total_bytes else []
    quota += [("Free", size_text(run.quota_free_bytes))] if run.quota_total_bytes else []
    return [
        (
            "Run",
            [
                ("Began", exact(run.began_at)),
                ("Ended", exact(run.ended_at)),
                ("Received", exact(run.received_at)),
                ("Duplicati", run.duplicati_version or MISSING),
                ("ID", run.id),
                *((label, "Yes") for label, is_set in flags if is_set),
            ],
        ),
        ("Files", [(label, _files_text(count, size)) for label, count, size in files if count or label == "Examined"]),
        (
            "Destination",
            [
                ("Uploaded", size_text(run.uploaded_bytes)),
                ("Downloaded", size_text(run.downloaded_bytes)),
                ("Stored", size_text(run.storage_bytes)),
                *quota,
                *((label, count_text(count)) for label, count in others if count),
            ],
        ),
    ]


def _files_text(count: int, size_bytes: int | None) -> str:
    return f"{count_text(count)} ({size_text(size_bytes)})" if size_bytes else count_text(count)


def split_line(line: str) -> LogLine:
    """Take a log line apart."""
    match = LINE.fullmatch(line)
    written_at, mark, text = match.groups() if match else ("", "", line)
    return LogLine(written_at or "", mark or "", text)


def _section(name: str, label: str, icon: str, lines: tuple[str, ...], counted: int) -> LogSection:
    shown = tuple(split_line(line) for line in lines[:LINES_SHOWN])
    return LogSection(name, label, icon, shown, max(counted, len(lines)))
