"""Parse reports of Duplicati into frozen `Report` objects."""

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import IntFlag
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from app.backups.run_logs import bound_texts
from app.core.errors import InputTooLarge, Refused
from app.core.instants import cut_to_milliseconds
from app.reports.decoding import (
    BACKUP,
    LARGEST_INTEGER,
    MOST_VALUES,
    SCHEDULED,
    SYNC,
    FieldReader,
    InvalidReport,
    check_extent,
    clean_text,
    decode_body,
    parse_duration,
    read_instant,
    read_json,
    shorten_identity,
    without_mark,
)
from app.reports.outcomes import UNSAVED, Outcome, find_broken_off, find_outcome, find_version_time, is_failure
from app.reports.plain_text import is_plain_text_report, read_plain_text
from app.reports.versions import VersionLog, find_version_log, machine_offset

__all__ = ["BACKUP", "SCHEDULED", "SYNC", "InvalidReport", "NotStored", "Report", "parse_report", "read_report"]

# Fields that the original requires; here either the server's id or name, and the job's name, suffice.
_EXTRA_REQUIRED = ("machine-id", "machine-name", "backup-name", "backup-id")
_DATA_REQUIRED = ("ParsedResult", "BeginTime", "Duration")

_LONGEST_WORD = 200
# `LastBackupDate` of a run that failed before it was known is in year 1.
_FIRST_YEAR = "0001-"
# A start that is later than its reception by more than this is due to a wrong clock.
CLOCK_TOLERANCE = timedelta(days=1)
# So is a longer duration.
LONGEST_RUN = timedelta(days=366)
# So is an announced next run later than this: Duplicati's longest usual interval is a year.
LATEST_NEXT_RUN = timedelta(days=400)

_COUNTS = {
    "examined_files": "ExaminedFiles",
    "examined_bytes": "SizeOfExaminedFiles",
    "opened_files": "OpenedFiles",
    "opened_bytes": "SizeOfOpenedFiles",
    "added_files": "AddedFiles",
    "added_bytes": "SizeOfAddedFiles",
    "modified_files": "ModifiedFiles",
    "modified_bytes": "SizeOfModifiedFiles",
    "deleted_files": "DeletedFiles",
    "not_processed_files": "NotProcessedFiles",
    "too_large_files": "TooLargeFiles",
    "files_with_error": "FilesWithError",
    "added_folders": "AddedFolders",
    "modified_folders": "ModifiedFolders",
    "deleted_folders": "DeletedFolders",
    "added_symlinks": "AddedSymlinks",
    "modified_symlinks": "ModifiedSymlinks",
    "deleted_symlinks": "DeletedSymlinks",
}
# A synchronisation counts its files under other names.
_SYNC_COUNTS = _COUNTS | {"examined_files": "SourceFiles", "examined_bytes": "SizeOfSourceFiles"}
_BACKEND_COUNTS = {
    "uploaded_bytes": "BytesUploaded",
    "downloaded_bytes": "BytesDownloaded",
    "storage_bytes": "KnownFileSize",
}
# Log lines have the time separator of their culture: a colon, or a dot in Danish, Finnish or Indonesian.
_MARK = re.compile(r"(?:[\d-]{8,10} [\d:.]{7,8}(?: [+-][\d:]+)? - )?\[(Warning|Error)-[^\]]*\]: ?", re.ASCII)
# Errors are compared with the beginning of an exception only: searching megabytes for each would take minutes.
_COMPARED_LENGTH = 4_096
# Members of a serialised .NET exception, and how many nested exceptions are read.
_EXCEPTION_MEMBERS = ("ClassName", "StackTraceString", "StackTrace")
_MOST_INNER_EXCEPTIONS = 10


class Figure(IntFlag):
    """Figures of a job that a report may lack.

    The job then keeps its previous values.
    """

    STORAGE = 1
    VERSION_COUNT = 2
    VERSION_LIST = 4
    FILES = 8
    QUOTA = 16
    UPLOADED = 32


NO_FIGURES = Figure(63)


class Format(IntFlag):
    """The formats in which a run was received. The text has fewer figures.

    A job's metadata have only times and an error.
    """

    JSON = 1
    TEXT = 2
    COLLECTED = 4
    METADATA = 8


# Both have whole seconds only.
WHOLE_SECONDS = Format.TEXT | Format.METADATA


class NotStored(NamedTuple):
    """A message of Duplicati that is accepted but not stored.

    The reason is in English.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report of one run. Sizes are bytes, instants UTC truncated to milliseconds.

    `status` is `parsed_result`, except that a success with warnings is a warning. A run that ended before it had
    results is Fatal, with all figures 0 and the second of its reception as `began_at`: a report that Duplicati sends to
    two of our URLs at once is then one run.

    `outcome` says whether the run was a dry run or was stopped, and whether it saved a version. `not_told` has the
    figures (`Figure`) that the report lacks; they are 0 here, and the job keeps its previous values.
    `reported_began_at` is the start as sent if the server's clock is ahead, see `correct_clock`. `server_id` is empty
    if the report has only the server's name.
    """

    server_id: str
    server_name: str
    job_name: str
    duplicati_id: str
    main_operation: str
    began_at: datetime
    ended_at: datetime
    duration_s: float
    status: str
    parsed_result: str
    duplicati_version: str | None = None

    examined_files: int = 0
    examined_bytes: int = 0
    opened_files: int = 0
    opened_bytes: int = 0
    added_files: int = 0
    added_bytes: int = 0
    modified_files: int = 0
    modified_bytes: int = 0
    deleted_files: int = 0
    not_processed_files: int = 0
    too_large_files: int = 0
    files_with_error: int = 0
    added_folders: int = 0
    modified_folders: int = 0
    deleted_folders: int = 0
    added_symlinks: int = 0
    modified_symlinks: int = 0
    deleted_symlinks: int = 0

    uploaded_bytes: int = 0
    downloaded_bytes: int = 0
    storage_bytes: int = 0
    version_count: int = 0
    quota_total_bytes: int | None = None
    quota_free_bytes: int | None = None

    is_partial: bool = False
    is_dry_run: bool = False
    was_interrupted: bool = False
    reported_quota_error: bool = False
    reported_quota_warning: bool = False

    message_count: int = 0
    warning_count: int = 0
    error_count: int = 0
    messages: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    available_versions: tuple[str, ...] = ()
    unread_versions: int = 0

    outcome: str = Outcome.NORMAL
    not_told: int = 0
    format: int = Format.JSON
    version_at: datetime | None = None
    broken_off_at: datetime | None = None
    reported_began_at: datetime | None = None
    clock_ahead_s: int = 0
    is_next_run_ignored: bool = False
    version_log: VersionLog = field(default_factory=VersionLog)
    utc_offset_min: int | None = None

    next_scheduled_at: datetime | None = None
    destination_type: str | None = None

    @property
    def is_scheduled(self) -> bool:
        """Whether it is a backup or synchronisation, not a restore, test, compaction etc."""
        return self.main_operation in SCHEDULED

    @property
    def counts(self) -> bool:
        """Whether the run decides the job's state: it saved data and was no dry run."""
        return self.outcome not in UNSAVED

    @property
    def sent_began_at(self) -> datetime:
        """The start as sent, whatever the clock; copies of a run are found by it."""
        return self.reported_began_at or self.began_at

    @property
    def has_results(self) -> bool:
        """Whether the run has results; if not, it begins at its reception."""
        return self.not_told != NO_FIGURES or self.duration_s > 0

    def has_figure(self, figure: Figure) -> bool:
        """Return whether the report has a figure."""
        return not self.not_told & figure

    def for_storage(self) -> "Report":
        """Return the report as stored: an operation without schedule gets its own job.

        So it changes neither the schedule nor the figures of the backups, and storage is counted once.
        """
        if self.is_scheduled:
            return self
        return replace(
            self,
            job_name=f"{self.job_name} ({self.main_operation})",
            next_scheduled_at=None,
            storage_bytes=0,
            version_count=0,
            available_versions=(),
            version_log=VersionLog(),
            version_at=None,
        )


def parse_report(
    text: str | bytes, *, received_at: datetime, zone: ZoneInfo, keeps_other_operations: bool = False
) -> Report | NotStored:
    """Parse a JSON or plain-text report.

    NotStored for accepted messages without a run.

    `zone` is for dates without an offset. Raise only InvalidReport, naming the field and what to do.
    """
    document, sent_as = _read_document(text)
    if _is_live_status(document):
        return NotStored("The status of a running operation is not stored; reports are sent when a run has ended")
    return read_report(
        document,
        sent_as=sent_as,
        received_at=received_at,
        zone=zone,
        keeps_other_operations=keeps_other_operations,
    )


def read_report(
    document: dict[str, Any],
    *,
    sent_as: Format,
    received_at: datetime,
    zone: ZoneInfo,
    keeps_other_operations: bool = False,
) -> Report | NotStored:
    """Read a report from parsed JSON. Returns and raises as `parse_report`.

    Versions are not read yet: that needs the other runs of the job. `version_log` has the log lines about them.
    """
    results = _find_results(document.get("Data"))
    operation = results.word("MainOperation", _LONGEST_WORD) if results is not None else _failed_operation(document)
    if not operation:
        raise InvalidReport("report_operation_missing")
    if operation not in SCHEDULED and not _has_identity(document.get("Extra")):
        raise InvalidReport("report_of_other_operation")
    identity = _read_identity(document.get("Extra"), zone)
    if operation not in SCHEDULED and not keeps_other_operations:
        return NotStored(f"Reports of the operation {operation[:40]} are not stored, only those of backups")
    try:
        outcome = (
            _read_failure(document, received_at)
            if results is None
            else _read_results(results, document, operation, zone)
        )
    except InvalidReport:
        if operation in SCHEDULED:
            raise
        return NotStored(f"This report of the operation {operation[:40]} has nothing that can be kept")
    return Report(main_operation=operation, format=sent_as, **identity, **outcome)


def correct_clock(report: Report, received_at: datetime, clock_ahead: timedelta | None = None) -> Report:
    """Return the report with plausible times if the clock is over a day ahead.

    Its end is then its reception, its start that minus the duration; the start as sent is stored as well. `clock_ahead`
    is the known clock error if the report came long after its run (collected reports). The next run that Duplicati
    announces is corrected by the same error, and ignored if it is still more than `LATEST_NEXT_RUN` away.
    """
    if report.began_at - received_at > CLOCK_TOLERANCE:
        ahead = clock_ahead or report.ended_at - received_at
        ended_at = min(report.ended_at - ahead, received_at)
        began_at = cut_to_milliseconds(ended_at - min(timedelta(seconds=report.duration_s), LONGEST_RUN))
        next_at = report.next_scheduled_at and report.next_scheduled_at - ahead
        report = replace(
            report,
            began_at=began_at,
            ended_at=cut_to_milliseconds(ended_at),
            reported_began_at=report.began_at,
            clock_ahead_s=int(ahead.total_seconds()),
            next_scheduled_at=next_at,
            broken_off_at=report.broken_off_at and report.broken_off_at - ahead,
            version_at=None if report.version_at is None else began_at.replace(microsecond=0),
        )
    next_at = report.next_scheduled_at
    if next_at is not None and next_at - received_at > LATEST_NEXT_RUN:
        report = replace(report, next_scheduled_at=None, is_next_run_ignored=True)
    return report


def _is_live_status(document: dict[str, Any]) -> bool:
    """Return whether this is a post of `--http-report-status-url`: no Data, no Extra."""
    names = {name.lower() for name in document}
    return {"operation", "status", "iscompleted"} <= names and not {"data", "extra"} & names


def _read_document(text: str | bytes) -> tuple[dict[str, Any], Format]:
    """Return the report as Duplicati's JSON has it, and its format."""
    body = without_mark(text)
    if body.startswith((b"{", b"[")):
        check_extent(body)
    try:
        document = read_json(body)
    except ValueError:
        readable = body.decode("utf-8", "replace")
        if is_plain_text_report(readable):
            if readable.count("\n") > MOST_VALUES:
                raise InputTooLarge("report_too_many_lines", most=MOST_VALUES) from None
            return read_plain_text(clean_text(readable)), Format.TEXT
        raise InvalidReport("report_unreadable") from None
    if not isinstance(document, dict):
        raise InvalidReport("report_not_an_object")
    return document, Format.JSON


def _find_results(data: Any) -> FieldReader | None:
    """Return the results; None if the run had none: Data is null or the exception."""
    if data is None:
        return None
    if not isinstance(data, dict):
        raise InvalidReport("report_data_not_an_object")
    if "MainOperation" not in data and any(member in data for member in _EXCEPTION_MEMBERS):
        return None
    return FieldReader("Data", data)


def _failed_operation(document: dict[str, Any]) -> str:
    """Return the operation that failed without results.

    "" if none or no backup named.
    """
    extra = document.get("Extra")
    if not isinstance(extra, dict) or not extra.get("backup-name"):
        return ""
    if "Data" not in document and not _exception_text(document.get("Exception")):
        return ""
    return FieldReader("Extra", extra).word("OperationName", _LONGEST_WORD) or BACKUP


def _has_identity(extra: Any) -> bool:
    """Return whether a server, by id or name, and a job are named."""
    if not isinstance(extra, dict):
        return False
    missing = FieldReader("Extra", extra).missing(_EXTRA_REQUIRED)
    return "backup-name" not in missing and not {"machine-id", "machine-name"} <= set(missing)


def _read_identity(extra: Any, zone: ZoneInfo) -> dict[str, Any]:
    """Return server, job and schedule. Values too long for a key are cut with a hash."""
    if not extra and not isinstance(extra, dict):
        raise InvalidReport("report_extra_missing")
    if not isinstance(extra, dict):
        raise InvalidReport("report_extra_not_an_object")
    section = FieldReader("Extra", extra)
    if not _has_identity(extra):
        _require(section, _EXTRA_REQUIRED, "extraSection", _EXTRA_REQUIRED)
    machine_id, machine_name, backup_name, backup_id = (
        shorten_identity(section.text(field)) for field in _EXTRA_REQUIRED
    )
    return {
        "server_id": machine_id,
        "server_name": machine_name or machine_id,
        "job_name": backup_name,
        "duplicati_id": backup_id,
        "next_scheduled_at": section.instant_if_readable("next-scheduled-run", zone),
        "destination_type": section.shortened("destination-type", _LONGEST_WORD),
    }


def _require(section: FieldReader, fields: tuple[str, ...], echo_name: str, echoed: tuple[str, ...]) -> None:
    """Raise InvalidReport if a section lacks fields."""
    missing = section.missing(fields)
    if missing:
        extra: dict[str, Any] = {"missingFields": missing, echo_name: section.echo(echoed)}
        raise InvalidReport("report_fields_missing", body=extra, section=section.name, names=", ".join(missing))


def _read_results(data: FieldReader, document: dict[str, Any], operation: str, zone: ZoneInfo) -> dict[str, Any]:
    """Return times, figures and texts of a run with results."""
    _require(data, _DATA_REQUIRED, "dataSection", ("MainOperation", *_DATA_REQUIRED))
    began_at, ended_at, duration_s = _read_times(data, zone)
    parsed_result = data.word("ParsedResult", _LONGEST_WORD)
    texts = _read_texts(data, document)
    messages = texts["messages"]
    warning_count = data.count("WarningsActualLength", LARGEST_INTEGER)
    message_count = data.count("MessagesActualLength", LARGEST_INTEGER)
    counts = {name: data.count(field) for name, field in (_SYNC_COUNTS if operation == SYNC else _COUNTS).items()}
    backend = _find_backend(data)
    figures = {
        "began_at": began_at,
        "ended_at": ended_at,
        "duration_s": duration_s,
        "parsed_result": parsed_result,
        "status": "Warning" if parsed_result == "Success" and warning_count else parsed_result,
        "duplicati_version": data.shortened("Version", _LONGEST_WORD),
        "is_partial": data.flag("PartialBackup"),
        "is_dry_run": data.flag("Dryrun"),
        "was_interrupted": data.flag("Interrupted"),
        "message_count": message_count,
        "warning_count": warning_count,
        "error_count": data.count("ErrorsActualLength", LARGEST_INTEGER),
        **counts,
        **_read_backend(backend),
    }
    if operation == SYNC:
        figures["uploaded_bytes"] = data.count("SizeOfUploadedFiles") or figures["uploaded_bytes"]
    outcome = find_outcome(
        is_dry_run=figures["is_dry_run"],
        was_interrupted=figures["was_interrupted"],
        is_partial=figures["is_partial"],
        parsed_result=parsed_result,
        uploaded_files=_uploaded_files(backend, counts["examined_files"]),
        messages=messages,
        is_cut=len(messages) < message_count,
    )
    version_log = find_version_log(messages)
    return (
        figures
        | texts
        | {
            "outcome": outcome,
            "not_told": _find_missing(figures, backend, version_log, outcome),
            "version_log": version_log,
            "utc_offset_min": machine_offset(messages, began_at, ended_at),
            "version_at": None
            if operation == SYNC or outcome in UNSAVED
            else find_version_time(
                _last_backup_at(backend), messages, began_at, ended_at, is_good=not is_failure(parsed_result)
            ),
            "broken_off_at": find_broken_off(messages, began_at),
        }
    )


def _uploaded_files(backend: FieldReader | None, examined_files: int) -> int:
    """Return the number of uploaded files.

    If missing, it is estimated from bytes or examined files.
    """
    if backend is None:
        return examined_files
    return backend.count("FilesUploaded" if "FilesUploaded" in backend.values else "BytesUploaded")


def _last_backup_at(backend: FieldReader | None) -> datetime | None:
    value = backend.values.get("LastBackupDate") if backend is not None else None
    try:
        # Without an offset it is in the server's time zone, which is not known.
        at = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        return at.astimezone(UTC) if at is not None and at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _find_missing(
    figures: dict[str, Any], backend: FieldReader | None, version_log: VersionLog, outcome: str
) -> Figure:
    """Return the figures that a report lacks.

    The plain text has no BackendStatistics. A run that failed, was stopped or saved nothing has 0 for all that it did
    not reach; if LastBackupDate is in year 1, all of BackendStatistics is 0.
    """
    is_incomplete = is_failure(figures["parsed_result"]) or outcome != Outcome.NORMAL
    not_told = Figure(0)
    statistics = {} if backend is None else backend.values
    is_blank = backend is None or str(statistics.get("LastBackupDate") or "").startswith(_FIRST_YEAR)
    if is_blank or "KnownFileSize" not in statistics:
        not_told |= Figure.STORAGE
    if is_blank or "BackupListCount" not in statistics:
        not_told |= Figure.VERSION_COUNT
    if backend is None and not figures["uploaded_bytes"]:
        not_told |= Figure.UPLOADED
    if is_incomplete and not figures["storage_bytes"]:
        not_told |= Figure.STORAGE
    if is_incomplete and not figures["version_count"]:
        not_told |= Figure.VERSION_COUNT
    if is_incomplete and not figures["examined_files"]:
        not_told |= Figure.FILES
    if figures["quota_total_bytes"] is None and figures["quota_free_bytes"] is None and (is_blank or is_incomplete):
        not_told |= Figure.QUOTA
    if not version_log.has_list:
        not_told |= Figure.VERSION_LIST
    return not_told


def _read_times(data: FieldReader, zone: ZoneInfo) -> tuple[datetime, datetime, float]:
    """Return start, end and duration (seconds); a missing or early end is computed."""
    try:
        began_at = read_instant(data.text("BeginTime", _LONGEST_WORD), zone)
    except ValueError:
        raise data.refusal("BeginTime", Refused("value_no_date")) from None
    try:
        # Interrupted runs report durations that are negative.
        duration_s = max(0.0, parse_duration(data.text("Duration", _LONGEST_WORD)))
        computed_end_at = began_at + timedelta(milliseconds=int(duration_s * 1000))
    except (ValueError, OverflowError):
        raise data.refusal("Duration", Refused("value_no_duration")) from None
    reported_end_at = data.instant_if_readable("EndTime", zone)
    if reported_end_at is None or reported_end_at < began_at:
        return began_at, computed_end_at, duration_s
    return began_at, reported_end_at, duration_s


def _find_backend(data: FieldReader) -> FieldReader | None:
    """Return the backend statistics, None if the report has none."""
    values = data.values.get("BackendStatistics")
    if not values:
        return None
    if not isinstance(values, dict):
        raise data.refusal("BackendStatistics", Refused("value_no_object"))
    return FieldReader("Data.BackendStatistics", values)


def _read_backend(backend: FieldReader | None) -> dict[str, Any]:
    """Read the backend statistics.

    A free space of -1 is unknown; 0 means full only if the total is above 0.
    """
    backend = backend or FieldReader("Data.BackendStatistics", {})
    total = backend.count("TotalQuotaSpace") or None
    is_free_known = backend.amount("FreeQuotaSpace") >= (0 if total else 1)
    return {name: backend.count(field) for name, field in _BACKEND_COUNTS.items()} | {
        "version_count": backend.count("BackupListCount", LARGEST_INTEGER),
        "quota_total_bytes": total,
        "quota_free_bytes": backend.count("FreeQuotaSpace") if is_free_known else None,
        "reported_quota_error": backend.flag("ReportedQuotaError"),
        "reported_quota_warning": backend.flag("ReportedQuotaWarning"),
    }


def _read_texts(data: FieldReader, document: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Read the lists of messages, warnings and errors.

    Reports sent by HTTP have only log lines; collected reports have separate lists.
    """
    messages = FieldReader("The report", document).lines("LogLines")
    if messages is None:
        messages = data.lines("Messages") or ()
    warnings = data.lines("Warnings")
    errors = data.lines("Errors")
    exception = _exception_text(data.values.get("Exception")) or _exception_text(document.get("Exception"))
    if errors is None:
        errors = _with_exception(exception, _marked_lines(messages, "Error"))
    return {
        "messages": messages,
        "warnings": _marked_lines(messages, "Warning") if warnings is None else warnings,
        "errors": errors or ((exception,) if exception else ()),
    }


def _read_failure(document: dict[str, Any], received_at: datetime) -> dict[str, Any]:
    """Return the values of a run without results from its exception and log."""
    texts = _read_texts(FieldReader("Data", {}), document)
    exception = _exception_text(document.get("Data")) or _exception_text(document.get("Exception"))
    errors = _with_exception(exception, texts["errors"]) or (
        "The run ended without results; Duplicati gave no reason.",
    )
    second = received_at.astimezone(UTC).replace(microsecond=0)
    return texts | {
        "errors": errors,
        "began_at": second,
        "ended_at": second,
        "duration_s": 0.0,
        "status": "Fatal",
        "parsed_result": "Fatal",
        "message_count": len(texts["messages"]),
        "warning_count": len(texts["warnings"]),
        "error_count": len(errors),
        "not_told": NO_FIGURES,
    }


def _marked_lines(lines: tuple[str, ...], level: str) -> tuple[str, ...]:
    """Return the log lines of one level."""
    begin = f"[{level}-"
    return tuple(line for line in lines if begin in line and (mark := _MARK.match(line)) and mark[1] == level)


def _with_exception(exception: str, errors: tuple[str, ...]) -> tuple[str, ...]:
    """Put the exception first, and drop errors that it contains."""
    if not exception:
        return errors
    beginning = exception[:_COMPARED_LENGTH]
    others = (error for error in errors if _MARK.sub("", error, count=1).strip() not in beginning)
    return (exception, *others)


def _exception_text(value: Any) -> str:
    """Return a text or serialised exception as .NET prints it, with inner exceptions."""
    if isinstance(value, str):
        return clean_text(value).strip()
    parts: list[str] = []
    for exception in _exceptions_within(value):
        kind, message = (exception.get(member) for member in ("ClassName", "Message"))
        head = ": ".join(part for part in (kind, message) if isinstance(part, str) and part)
        if head:
            parts.append(f" ---> {head}" if parts else head)
    stack = (value.get("StackTraceString") or value.get("StackTrace")) if isinstance(value, dict) else None
    if isinstance(stack, str) and stack:
        parts.append(stack)
    return clean_text("\n".join(parts)).strip()


def _exceptions_within(value: Any) -> Iterable[dict[str, Any]]:
    """Yield an exception and its causes, outermost first.

    The innermost has the reason.
    """
    for _ in range(_MOST_INNER_EXCEPTIONS):
        if not isinstance(value, dict):
            return
        yield value
        others = value.get("InnerExceptions")
        value = value.get("InnerException") or (others[0] if isinstance(others, list) and others else None)


# From a request body to a report, or to what is kept of an unusable body

# The URL of a destination may hold a password: it is never stored.
_REMOTE_URLS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.DOTALL)
    for pattern in (
        rb'("RemoteUrl"\s*:\s*")(?:[^"\\]+|\\.)*+',
        rb"^([ \t]*RemoteUrl:)[^\r\n]*",
        # The same two in a form that could not be decoded.
        rb"(%22RemoteUrl%22(?:%20|\+)*(?:%3A|:)(?:%20|\+)*%22)(?:[^%]+|%5C%22|%(?!22))*+",
        rb"(RemoteUrl%3A)(?:[^%&]+|%(?!0D|0A|22))*+",
    )
)


@dataclass(frozen=True, slots=True)
class Posted:
    """A decompressed request body, and what is needed to parse it."""

    content: bytes
    content_type: str
    received_at: datetime
    zone: ZoneInfo
    keeps_other_operations: bool


@dataclass(frozen=True, slots=True)
class StoredBody:
    """An unusable body as stored: compressed, without destination URLs."""

    packed: bytes
    size_bytes: int
    content_type: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a body is unusable, and what to store of it."""

    error: Refused
    kept: StoredBody


def read_posted(posted: Posted) -> Report | NotStored | Unusable:
    """Parse a body; the texts of a report are bounded as they are stored."""
    kept, kept_type = posted.content, posted.content_type
    try:
        text = decode_body(posted.content, posted.content_type)
        opened = text.encode("utf-8", "replace") if isinstance(text, str) else text
        if opened != posted.content:
            kept, kept_type = opened, "text/plain"
        report = parse_report(
            text,
            received_at=posted.received_at,
            zone=posted.zone,
            keeps_other_operations=posted.keeps_other_operations,
        )
    except Refused as error:
        return Unusable(error, compress_body(kept, kept_type))
    return report if isinstance(report, NotStored) else _bounded(report.for_storage())


def compress_body(body: bytes, content_type: str) -> StoredBody:
    """Compress an unusable body, without destination URLs."""
    masked = body
    if b"remoteurl" in body.lower():
        for address in _REMOTE_URLS:
            masked = address.sub(rb"\1(removed)", masked)
    return StoredBody(zlib.compress(masked), len(body), content_type)


def _bounded(report: Report) -> Report:
    messages, warnings, errors = map(tuple, bound_texts(report.messages, report.warnings, report.errors))
    return replace(report, messages=messages, warnings=warnings, errors=errors)


Read = Report | NotStored | Unusable
