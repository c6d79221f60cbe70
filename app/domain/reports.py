"""Reports of Duplicati: the first stop on the way in. Text goes in, one frozen `Report` comes out."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.available_versions import extract_versions
from app.domain.durations import parse_duration
from app.domain.lenient_json import read_json
from app.domain.plain_text_reports import is_plain_text_report, read_plain_text
from app.domain.reported_values import LARGEST_INTEGER, InvalidReport, Section, clean_text, read_instant

__all__ = ["InvalidReport", "Report", "parse_report", "read_report"]

BACKUP = "Backup"
_EXTRA_REQUIRED = ("machine-id", "machine-name", "backup-name", "backup-id")
# A plain-text report of an older Duplicati names no more; its reader sees to it that these are there.
_PLAIN_TEXT_REQUIRED = ("machine-id", "machine-name", "backup-name")
_DATA_REQUIRED = ("ParsedResult", "BeginTime", "Duration")

# Characters. Machine and backup are keys in an index, whose entries PostgreSQL limits to 2,704 bytes.
_LONGEST_ID = 200
_LONGEST_NAME = 400
_LONGEST_WORD = 200

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
_BACKEND_COUNTS = {
    "uploaded_bytes": "BytesUploaded",
    "downloaded_bytes": "BytesDownloaded",
    "storage_bytes": "KnownFileSize",
}
_MARK = re.compile(r"(?:[\d-]{10} [\d:]{8}(?: [+-][\d:]+)? - )?\[(Warning|Error)-[^\]]*\]: ?", re.ASCII)
# Errors are looked for in the beginning of an exception only: looking in megabytes for each would take minutes.
_COMPARED_LENGTH = 4_096
# Members of a serialised .NET exception.
_EXCEPTION_MEMBERS = ("ClassName", "StackTraceString", "StackTrace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one report told of one run. Sizes are bytes, instants UTC cut to milliseconds.

    `status` is `parsed_result`, except that a success with warnings is a warning. A run that ended before it had
    results is Fatal, with every figure 0 and the second of its reception as `began_at`: a report that Duplicati
    sends to two addresses of ours at once is then one run.
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

    next_scheduled_at: datetime | None = None
    destination_type: str | None = None

    @property
    def is_backup(self) -> bool:
        """Whether a backup ran, and not a restore, a test, a compaction or the like."""
        return self.main_operation == BACKUP

    def filed(self) -> "Report":
        """The report as it is stored: what is no backup goes to a job of its own, beside that of the backups.

        So it moves neither plan nor figures of the backups, and what is in storage is counted once.
        """
        if self.is_backup:
            return self
        return replace(
            self,
            job_name=f"{self.job_name} ({self.main_operation})",
            next_scheduled_at=None,
            storage_bytes=0,
            version_count=0,
            available_versions=(),
        )


def parse_report(
    text: str | bytes, *, received_at: datetime, zone: ZoneInfo, keeps_other_operations: bool = False
) -> Report:
    """Read a report, JSON or plain text.

    `zone` is for dates without an offset. Raises InvalidReport, naming the field and what to do, and nothing else.
    """
    document, required = _read_document(text)
    return read_report(
        document, required, received_at=received_at, zone=zone, keeps_other_operations=keeps_other_operations
    )


def read_report(
    document: dict[str, Any],
    required: tuple[str, ...] = _EXTRA_REQUIRED,
    *,
    received_at: datetime,
    zone: ZoneInfo,
    keeps_other_operations: bool = False,
) -> Report:
    """Read a report whose JSON is taken apart already; `required` are the fields that Extra has to name.

    Raises as `parse_report`.
    """
    extra = document.get("Extra")
    results = _find_results(document.get("Data"))
    operation = results.text("MainOperation", _LONGEST_WORD) if results is not None else _failed_operation(document)
    if operation != BACKUP and not (keeps_other_operations and operation):
        raise InvalidReport("Only reports of backups are taken: Data.MainOperation is not Backup")
    identity = _read_identity(extra, required, zone)
    if results is not None:
        outcome = _read_results(results, document, zone)
    else:
        outcome = _read_failure(document, received_at, zone)
    return Report(main_operation=operation, **identity, **outcome)


def _read_document(text: str | bytes) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Give the report as Duplicati's JSON has it, and the fields of Extra that it has to name."""
    try:
        document = read_json(text)
    except ValueError:
        body = text.encode("utf-8", "replace") if isinstance(text, str) else text
        readable = body.removeprefix(b"\xef\xbb\xbf").strip().decode("utf-8", "replace")
        if is_plain_text_report(readable):
            return read_plain_text(clean_text(readable)), _PLAIN_TEXT_REQUIRED
        raise InvalidReport(
            "The body is neither JSON nor a plain-text report of Duplicati: use --send-http-json-urls, "
            "or set --send-http-result-output-format=Json and leave --send-http-message alone"
        ) from None
    if not isinstance(document, dict):
        raise InvalidReport("The report is JSON, but not an object with Data and Extra")
    return document, _EXTRA_REQUIRED


def _find_results(data: Any) -> Section | None:
    """Give the results, or None when the run ended before it had any: then Data is null, or the exception itself."""
    if data is None:
        return None
    if not isinstance(data, dict):
        raise InvalidReport("Data is not an object")
    if "MainOperation" not in data and any(member in data for member in _EXCEPTION_MEMBERS):
        return None
    return Section("Data", data)


def _failed_operation(document: dict[str, Any]) -> str:
    """Give the operation that failed without results; empty when not even a backup is named, or nothing failed."""
    extra = document.get("Extra")
    if not isinstance(extra, dict) or not extra.get("backup-name"):
        return ""
    if "Data" not in document and not _exception_text(document.get("Exception")):
        return ""
    return Section("Extra", extra).text("OperationName", _LONGEST_WORD) or BACKUP


def _read_identity(extra: Any, required: tuple[str, ...], zone: ZoneInfo) -> dict[str, Any]:
    """Read machine, backup and schedule."""
    if not extra and not isinstance(extra, dict):
        raise InvalidReport("The section Extra is missing: send the whole JSON report")
    if not isinstance(extra, dict):
        raise InvalidReport("Extra is not an object")
    section = Section("Extra", extra)
    _require(section, required, "extraSection", required)
    return {
        "server_id": section.text("machine-id", _LONGEST_ID),
        "server_name": section.text("machine-name", _LONGEST_NAME),
        "job_name": section.text("backup-name", _LONGEST_NAME),
        "duplicati_id": section.text("backup-id", _LONGEST_ID),
        "next_scheduled_at": section.instant_if_readable("next-scheduled-run", zone),
        "destination_type": section.shortened("destination-type", _LONGEST_WORD),
    }


def _require(section: Section, fields: tuple[str, ...], echo_name: str, echoed: tuple[str, ...]) -> None:
    """Refuse a section that lacks fields."""
    missing = section.missing(fields)
    if missing:
        extra: dict[str, Any] = {"missingFields": missing, echo_name: section.echo(echoed)}
        raise InvalidReport(f"These fields are missing in {section.name}: {', '.join(missing)}", **extra)


def _read_results(data: Section, document: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """Read times, figures and texts of a run that has results."""
    _require(data, _DATA_REQUIRED, "dataSection", ("MainOperation", *_DATA_REQUIRED))
    began_at, ended_at, duration_s = _read_times(data, zone)
    parsed_result = data.text("ParsedResult", _LONGEST_WORD)
    texts = _read_texts(data, document, zone)
    warning_count = data.count("WarningsActualLength", LARGEST_INTEGER)
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
        "message_count": data.count("MessagesActualLength", LARGEST_INTEGER),
        "warning_count": warning_count,
        "error_count": data.count("ErrorsActualLength", LARGEST_INTEGER),
    }
    counts = {name: data.count(field) for name, field in _COUNTS.items()}
    return figures | counts | _read_backend(data) | texts


def _read_times(data: Section, zone: ZoneInfo) -> tuple[datetime, datetime, float]:
    """Give begin, end and duration in seconds; an end that is absent or lies before the begin is computed."""
    try:
        began_at = read_instant(data.text("BeginTime", _LONGEST_WORD), zone)
    except ValueError:
        raise data.refusal("BeginTime", "is not an ISO 8601 date such as 2026-11-20T02:00:01Z") from None
    try:
        # Runs that were broken off report spans that end before they begin.
        duration_s = max(0.0, parse_duration(data.text("Duration", _LONGEST_WORD)))
        computed_end_at = began_at + timedelta(milliseconds=int(duration_s * 1000))
    except (ValueError, OverflowError):
        raise data.refusal("Duration", "is not a duration of the form [d.]hh:mm:ss[.fffffff]") from None
    reported_end_at = data.instant_if_readable("EndTime", zone)
    if reported_end_at is None or reported_end_at < began_at:
        return began_at, computed_end_at, duration_s
    return began_at, reported_end_at, duration_s


def _read_backend(data: Section) -> dict[str, Any]:
    """Read what the storage told."""
    values = data.values.get("BackendStatistics") or {}
    if not isinstance(values, dict):
        raise data.refusal("BackendStatistics", "is not an object")
    backend = Section("Data.BackendStatistics", values)
    return {name: backend.count(field) for name, field in _BACKEND_COUNTS.items()} | {
        "version_count": backend.count("BackupListCount", LARGEST_INTEGER),
        "quota_total_bytes": backend.count("TotalQuotaSpace") or None,
        "quota_free_bytes": backend.count("FreeQuotaSpace") or None,
        "reported_quota_error": backend.flag("ReportedQuotaError"),
        "reported_quota_warning": backend.flag("ReportedQuotaWarning"),
    }


def _read_texts(data: Section, document: dict[str, Any], zone: ZoneInfo) -> dict[str, tuple[str, ...]]:
    """Read the lists of texts.

    Reports sent by HTTP hold log lines alone; the lists of their own come with what is collected from Duplicati.
    """
    messages = Section("The report", document).lines("LogLines")
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
        "available_versions": tuple(extract_versions(messages, zone)),
    }


def _read_failure(document: dict[str, Any], received_at: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Describe a run without results by its exception and its log."""
    texts = _read_texts(Section("Data", {}), document, zone)
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
    }


def _marked_lines(lines: tuple[str, ...], level: str) -> tuple[str, ...]:
    """Give the log lines of one level."""
    begin = f"[{level}-"
    return tuple(line for line in lines if begin in line and (mark := _MARK.match(line)) and mark[1] == level)


def _with_exception(exception: str, errors: tuple[str, ...]) -> tuple[str, ...]:
    """Put the exception first, and drop errors that say nothing beyond it."""
    if not exception:
        return errors
    told = exception[:_COMPARED_LENGTH]
    others = (error for error in errors if _MARK.sub("", error, count=1).strip() not in told)
    return (exception, *others)


def _exception_text(value: Any) -> str:
    """Give an exception as .NET prints it, whether it came as text or taken apart."""
    if isinstance(value, str):
        return clean_text(value).strip()
    if not isinstance(value, dict):
        return ""
    kind, message = (value.get(member) for member in ("ClassName", "Message"))
    stack = value.get("StackTraceString") or value.get("StackTrace")
    head = ": ".join(part for part in (kind, message) if isinstance(part, str) and part)
    return clean_text("\n".join(part for part in (head, stack) if isinstance(part, str) and part)).strip()
