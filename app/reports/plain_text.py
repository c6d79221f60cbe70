"""Duplicati's plain-text report turned into the shape of its JSON report, so that one reader serves both."""

import re
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from app.reports.fields import LONGEST_SENT_IDENTITY, SCHEDULED, InvalidReport

# `Duplicati Backup report for <name>`, from 2.1 on with ` (<machine-id>, <backup-id>, <machine-name>)` behind.
_TITLE = re.compile(r"Duplicati (\w+) report for (.*)", re.DOTALL)
# In own templates the results may begin on the line of the title: one of these values comes first in them.
_RESULT_ON_TITLE = re.compile(
    r"(?<=\s)(?:(?:Deleted|Modified|Examined|Opened|Added|Restored|Patched|Source|Downloaded|Copied)Files"
    r"|(?:Deleted|Downloaded|Repaired|Compacted)FileCount|DeletedSets|Verifications|RestoredFolders|PartialBackup"
    r"|MainOperation|ParsedResult|BeginTime|EndTime|Failed): "
)
_BEFORE_RESULT = (":", ",", ";", "-")
# The usual forms of a backup-id: `DB-7`, or a hash for runs from the command line, or nothing.
_USUAL_BACKUP_ID = re.compile(r"(?:[A-Za-z]+-\d+|[0-9A-Fa-f]{64})?")
_OPENING = " ("
_PARTING = ", "
# Brackets of a title that are looked at for the identity, from the right.
_MOST_BRACKETS = 50
# Characters of a title that may hold an identity: its four names are read up to a length, too.
_LONGEST_TITLE = 4 * LONGEST_SENT_IDENTITY
_LOG_TITLE = "Log data:"
_VALUE = re.compile(r"( *)([A-Za-z][\w-]*):(?: (.*))?", re.ASCII)
# With the separators and the calendar of the culture: `2026-04-07 23.52.38 +02 - [`, `1405-01-15 23:45:29 +03 - [`.
_LOG_LINE = re.compile(r"\d{4}-\d\d?-\d\d? \d\d?[:.]\d\d[:.]\d\d(?: [+-][\d:]+)? - \[", re.ASCII)
# Dates stand in the language of the machine, with the seconds since 1970 behind.
_UNIX_SECONDS = re.compile(r".*\((\d{1,11})\)\s*", re.ASCII)
_LONGEST_DATE = 200
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# Lists of texts of the run; others in brackets are passed over.
_LISTS = frozenset({"Messages", "Warnings", "Errors"})
_EXTRA_NAMES = frozenset({"OperationName", "RemoteUrl", "LocalPath"})
# Results are some 70 lines; the rest is for the stack traces of an exception.
_MOST_HEAD_LINES = 5_000
_NO_RESULTS = "null?"
_USE_JSON = "set Duplicati's option --send-http-result-output-format=Json"


def is_plain_text_report(text: str) -> bool:
    """Tell a plain-text report from other text."""
    return bool(_TITLE.match(text.lstrip())) or "\nMainOperation: " in text or "\nmachine-id: " in text


def read_plain_text(text: str) -> dict[str, Any]:
    """Give `{"Data": ..., "Extra": ..., "LogLines": ..., "Exception": ...}` as a JSON report has them.

    Raises InvalidReport when machine or backup are not named, or the begin has no unambiguous form.
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
    """Part the values from the log lines behind them."""
    if _LOG_TITLE not in lines:
        return lines, None
    place = lines.index(_LOG_TITLE)
    return lines[:place], lines[place + 1 :]


def _split_title(lines: list[str]) -> tuple[str, list[str]]:
    """Part the title from the results: it is the first line, or that up to its results, or all up to a blank line.

    Names may hold line breaks: the lines up to the first blank one are the title where they give an identity.
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
    """Read what the title tells of operation, backup and machine."""
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
    """Part `NAME (MACHINE-ID, BACKUP-ID, MACHINE-NAME)`, read from the right; None where that is not its form.

    Each name may hold brackets and commas. Of several readings that one is taken whose backup-id has a usual form, then
    that whose brackets are closed in each part, then the first one.
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
    """Sorts the lines above the log into results, what is said of the machine, and the exception."""

    def __init__(self, extra: dict[str, Any]) -> None:
        self.extra = extra
        self.data: dict[str, Any] = {}
        self.exception: list[str] = []
        # Where indented lines belong: to an object, to a list in brackets, or to the details of the exception.
        self._inner: dict[str, Any] | None = None
        self._list: list[str] | None = None
        self._is_in_details = False

    def read(self, lines: list[str]) -> None:
        """Sort all lines."""
        for line in lines:
            if self._list is not None:
                self._read_entry(self._list, line)
                continue
            # Written without a line break behind.
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
    """Join failure and details; the details usually begin with the failure, which is then not said twice."""
    text = "\n".join(lines).strip()
    failure, _, details = text.partition("\n")
    return details if failure and failure in details else text


def _dated(data: dict[str, Any]) -> dict[str, Any]:
    """Turn begin and end into dates that mean the same everywhere."""
    for name in ("BeginTime", "EndTime"):
        seconds = _UNIX_SECONDS.fullmatch(str(data.get(name))[-_LONGEST_DATE:])
        if seconds:
            data[name] = datetime.fromtimestamp(int(seconds[1]), UTC).isoformat()
    if str(data["MainOperation"]) in SCHEDULED and not _ISO_DATE.match(str(data.get("BeginTime"))):
        raise InvalidReport(f"Data.BeginTime is missing or in a localized format: {_USE_JSON}")
    return data


def _check_identity(extra: dict[str, Any]) -> None:
    """Make sure that the report can be assigned to a machine and a job; what only describes may be absent."""
    missing = [] if extra.get("machine-id") or extra.get("machine-name") else ["machine-id"]
    missing += [] if extra.get("backup-name") else ["backup-name"]
    if missing:
        raise InvalidReport(
            f"The plain-text report does not name {' and '.join(missing)}: {_USE_JSON}, or leave --send-http-message "
            "alone, or add lines `machine-id: %machine-id%`, `backup-name: %backup-name%`, `backup-id: %backup-id%` "
            "and `machine-name: %machine-name%` to it",
            missingFields=missing,
        )


def _join_continued(lines: list[str]) -> list[str]:
    """Put lines without a head of their own back to the log line they continue."""
    entries: list[list[str]] = []
    for line in lines:
        if entries and not _LOG_LINE.match(line):
            entries[-1].append(line)
        else:
            entries.append([line])
    texts = ("\n".join(entry).rstrip() for entry in entries)
    return [text for text in texts if text]
