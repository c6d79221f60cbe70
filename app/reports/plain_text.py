"""Convert Duplicati's plain-text report to the structure of its JSON report."""

import re
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from app.reports.decoding import LONGEST_SENT_IDENTITY, SCHEDULED, InvalidReport

# `Duplicati Backup report for <name>`, from 2.1 on followed by ` (<machine-id>, <backup-id>, <machine-name>)`.
_TITLE = re.compile(r"Duplicati (\w+) report for (.*)", re.DOTALL)
# With custom templates the results may begin on the title's line: with one of these values.
_RESULT_ON_TITLE = re.compile(
    r"(?<=\s)(?:(?:Deleted|Modified|Examined|Opened|Added|Restored|Patched|Source|Downloaded|Copied)Files"
    r"|(?:Deleted|Downloaded|Repaired|Compacted)FileCount|DeletedSets|Verifications|RestoredFolders|PartialBackup"
    r"|MainOperation|ParsedResult|BeginTime|EndTime|Failed): "
)
_BEFORE_RESULT = (":", ",", ";", "-")
# The usual forms of a backup-id: `DB-7`, a hash for runs from the command line, or nothing.
_USUAL_BACKUP_ID = re.compile(r"(?:[A-Za-z]+-\d+|[0-9A-Fa-f]{64})?")
_OPENING = " ("
_PARTING = ", "
# Number of brackets in a title that are tried for the identity, from the right.
_MOST_BRACKETS = 50
# Maximum length of a title with an identity: its four names are bounded, too.
_LONGEST_TITLE = 4 * LONGEST_SENT_IDENTITY
_LOG_TITLE = "Log data:"
_VALUE = re.compile(r"( *)([A-Za-z][\w-]*):(?: (.*))?", re.ASCII)
# Separators and calendar vary by culture: `2026-04-07 23.52.38 +02 - [`, `1405-01-15 23:45:29 +03 - [`.
_LOG_LINE = re.compile(r"\d{4}-\d\d?-\d\d? \d\d?[:.]\d\d[:.]\d\d(?: [+-][\d:]+)? - \[", re.ASCII)
# Dates are in the language of the server, followed by the seconds since 1970.
_UNIX_SECONDS = re.compile(r".*\((\d{1,11})\)\s*", re.ASCII)
_LONGEST_DATE = 200
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# Lists of texts that are read; other lists in brackets are skipped.
_LISTS = frozenset({"Messages", "Warnings", "Errors"})
_EXTRA_NAMES = frozenset({"OperationName", "RemoteUrl", "LocalPath"})
# Results are about 70 lines; the rest is for the stack traces of an exception.
_MOST_HEAD_LINES = 5_000
_NO_RESULTS = "null?"


def is_plain_text_report(text: str) -> bool:
    """Return whether a text is a plain-text report."""
    return bool(_TITLE.match(text.lstrip())) or "\nMainOperation: " in text or "\nmachine-id: " in text


def read_plain_text(text: str) -> dict[str, Any]:
    """Return a plain-text report as the dict that a JSON report gives.

    Its keys are `Data`, `Extra`, `LogLines` and `Exception`. Raise InvalidReport if server or backup are not named, or
    the start time is ambiguous.
    """
    head, log = _split_log(text.strip().replace("\r\n", "\n").split("\n"))
    title, results = _split_title(head[:_MOST_HEAD_LINES])
    reader = _HeadReader(_read_title(title))
    reader.read(results)
    _check_identity(reader.extra)
    report: dict[str, Any] = {"Data": _dated(reader.data) if "MainOperation" in reader.data else None}
    report["Extra"] = reader.extra
    if log is not None:
        report["LogLines"] = _join_continued(log)
    if reader.exception:
        report["Exception"] = _exception_text(reader.exception)
    return report


def _split_log(lines: list[str]) -> tuple[list[str], list[str] | None]:
    """Split the values from the log lines that follow them."""
    if _LOG_TITLE not in lines:
        return lines, None
    index = lines.index(_LOG_TITLE)
    return lines[:index], lines[index + 1 :]


def _split_title(lines: list[str]) -> tuple[str, list[str]]:
    """Split the title from the results.

    The title is the first line, the text up to its results, or all up to a blank line. Names may contain line breaks:
    the lines up to the first blank one are the title if they contain an identity.
    """
    if not lines or not _TITLE.match(lines[0]):
        return "", lines
    if _split_identity(lines[0].rstrip()):
        return lines[0], lines[1:]
    end = next((index for index, line in enumerate(lines) if not line.strip()), len(lines))
    joined = "\n".join(lines[:end])
    if not any(_VALUE.fullmatch(line) for line in lines[1:end]) and _split_identity(joined.rstrip()):
        return joined, lines[end:]
    result = _RESULT_ON_TITLE.search(lines[0], 0, _LONGEST_TITLE)
    if result is None:
        return lines[0], lines[1:]
    title = lines[0][: result.start()].rstrip()
    return title[: -title.endswith(_BEFORE_RESULT) or None].rstrip(), [lines[0][result.start() :], *lines[1:]]


def _read_title(text: str) -> dict[str, Any]:
    """Return operation, backup and server from the title."""
    title = _TITLE.fullmatch(text.strip())
    if title is None:
        return {}
    operation, name = title.groups()
    identity = _split_identity(name)
    if identity is None:
        return {"OperationName": operation, "backup-name": name}
    backup_name, machine_id, backup_id, machine_name = identity
    return {
        "OperationName": operation,
        "backup-name": backup_name,
        "machine-id": machine_id,
        "backup-id": backup_id,
        "machine-name": machine_name,
    }


def _split_identity(name: str) -> tuple[str, str, str, str] | None:
    """Split `NAME (MACHINE-ID, BACKUP-ID, MACHINE-NAME)`, read from the right.

    Else None.

    Each name may contain brackets and commas. Of several readings, one whose backup-id has a usual form is preferred,
    then one with balanced brackets in each part, then the first.
    """
    if not name.endswith(")") or len(name) > _LONGEST_TITLE:
        return None
    readings, end = [], len(name)
    for _ in range(_MOST_BRACKETS):
        end = name.rfind(_OPENING, 0, end)
        if end < 0:
            break
        identity = name[end + len(_OPENING) : -1]
        parts = identity.split(_PARTING)
        if len(parts) < 3:
            continue
        is_usual = _USUAL_BACKUP_ID.fullmatch(parts[1]) is not None
        is_closed = all(text.count("(") == text.count(")") for text in (name[:end], identity))
        readings.append(((is_usual, is_closed), (name[:end], parts[0], parts[1], _PARTING.join(parts[2:]))))
    return max(readings, key=itemgetter(0))[1] if readings else None


class _HeadReader:
    """Sorts the lines above the log into results, server data and the exception."""

    def __init__(self, extra: dict[str, Any]) -> None:
        self.extra = extra
        self.data: dict[str, Any] = {}
        self.exception: list[str] = []
        # Target of indented lines: an object, a list in brackets, or the details of the exception.
        self._inner: dict[str, Any] | None = None
        self._list: list[str] | None = None
        self._is_in_details = False

    def read(self, lines: list[str]) -> None:
        """Sort all lines."""
        for line in lines:
            if self._list is not None:
                self._read_entry(self._list, line)
                continue
            # Written without a line break after it.
            match = _VALUE.fullmatch(line.removeprefix(_NO_RESULTS))
            if match is not None and not match[1]:
                self._read_value(match[2], match[3] or "")
            elif line == _NO_RESULTS:
                self._is_in_details = False
            elif self._is_in_details:
                self.exception.append(line)
            elif match is not None and self._inner is not None:
                self._inner[match[2]] = match[3] or ""

    def _read_entry(self, entries: list[str], line: str) -> None:
        if line.strip() == "]":
            self._list = None
        else:
            entries.append(line.strip().removesuffix(","))

    def _read_value(self, name: str, value: str) -> None:
        self._inner, self._is_in_details = None, name == "Details"
        if name in ("Failed", "Details"):
            self.exception.append(value)
        elif value.strip() in ("[", "[]"):
            entries: list[str] = []
            self._list = entries if value.strip() == "[" else None
            if name in _LISTS:
                self.data[name] = entries
        elif not value:
            self._inner = self.data[name] = {}
        elif "-" in name or name in _EXTRA_NAMES:
            self.extra[name] = value
        else:
            self.data.setdefault(name, value)


def _exception_text(lines: list[str]) -> str:
    """Join failure and details; details that repeat the failure are used alone."""
    text = "\n".join(lines).strip()
    failure, _, details = text.partition("\n")
    return details if failure and failure in details else text


def _dated(data: dict[str, Any]) -> dict[str, Any]:
    """Convert start and end to unambiguous dates."""
    for name in ("BeginTime", "EndTime"):
        seconds = _UNIX_SECONDS.fullmatch(str(data.get(name))[-_LONGEST_DATE:])
        if seconds:
            data[name] = datetime.fromtimestamp(int(seconds[1]), UTC).isoformat()
    if str(data["MainOperation"]) in SCHEDULED and not _ISO_DATE.match(str(data.get("BeginTime"))):
        raise InvalidReport("report_date_localized")
    return data


def _check_identity(extra: dict[str, Any]) -> None:
    """Check that server and job are named; add empty descriptive values."""
    missing = [] if extra.get("machine-id") or extra.get("machine-name") else ["machine-id"]
    missing += [] if extra.get("backup-name") else ["backup-name"]
    if missing:
        raise InvalidReport(
            "report_identity_missing",
            body={"missingFields": missing},
            names=" and ".join(missing),
            fields=", ".join(missing),
        )


def _join_continued(lines: list[str]) -> list[str]:
    """Append lines without a prefix of their own to the preceding log line."""
    entries: list[list[str]] = []
    for line in lines:
        if entries and not _LOG_LINE.match(line):
            entries[-1].append(line)
        else:
            entries.append([line])
    texts = ("\n".join(entry).rstrip() for entry in entries)
    return [text for text in texts if text]
