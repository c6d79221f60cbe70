"""The application's log files: list, read, filter and export."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.core.errors import Refused
from app.runtime import settings

BASE_NAME = "application.log"
MOST_ROTATED = 10
LEVELS = ("INFO", "WARN", "ERROR")
# Levels as lines name them, most severe first; other programs may write to the same file.
MARKS = {
    "ERROR": ("[ERROR]", "ERROR:", "[CRITICAL]"),
    "WARN": ("[WARN]", "WARNING:", "[WARNING]"),
    "INFO": ("[INFO]", "INFO:"),
}

_NAME = re.compile(re.escape(BASE_NAME) + r"(?:\.([0-9]{1,9}))?")


@dataclass(frozen=True, slots=True)
class LogExcerpt:
    """The end of a log file."""

    name: str
    text: str
    line_count: int
    size_bytes: int
    modified_at: datetime


def list_files() -> list[str]:
    """Return the names of the existing files, newest first."""
    names = [BASE_NAME, *(f"{BASE_NAME}.{number}" for number in range(1, MOST_ROTATED + 1))]
    return [name for name in names if (_folder() / name).is_file()]


def rotated_files() -> list[Path]:
    """Return the rotated files, from newer to older."""
    return [_folder() / name for name in list_files() if name != BASE_NAME]


def check_name(name: str) -> None:
    """Raise Refused unless this is the name of a log file.

    The name is from a request and becomes a path.
    """
    if not _may_exist(name):
        raise Refused("log_number_invalid")


def read_end(name: str, line_limit: int | None) -> LogExcerpt | None:
    """Return the last lines of a file, all without a limit; None if it does not exist.

    Raise Refused. Lines are separated by newlines, so a final newline produces an empty last line.
    """
    path = _path(name)
    text = _read(path)
    if text is None:
        return None
    lines = text.split("\n")
    shown = lines if line_limit is None else lines[-line_limit:]
    status = path.stat()
    modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
    return LogExcerpt(name, "\n".join(shown), len(lines), status.st_size, modified_at)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the file and the level that it names."""

    text: str
    level: str | None


@dataclass(frozen=True, slots=True)
class LogView:
    """The end of a log file, filtered."""

    lines: list[LogLine]
    line_count: int
    size_bytes: int
    modified_at: datetime


def view(name: str, line_limit: int, levels: Collection[str], wanted: str) -> LogView | None:
    """Return the last lines that `search` would find, with their levels.

    None if the file does not exist. Blank lines do not count. Raise Refused for an invalid name.
    """
    excerpt = read_end(name, None)
    if excerpt is None:
        return None
    last = [line for line in excerpt.text.split("\n") if line.strip()]
    lines = [LogLine(line, _level(line)) for line in last[-line_limit:]]
    is_wanted = _condition(levels, wanted)
    return LogView([line for line in lines if is_wanted(line)], len(last), excerpt.size_bytes, excerpt.modified_at)


def state_of(name: str) -> str:
    """Return a text that changes whenever a file does; empty if it does not exist.

    Raise Refused.
    """
    try:
        status = _path(name).stat()
    except FileNotFoundError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}"


def search(name: str, levels: Collection[str], wanted: str) -> str:
    """Return the matching lines of a file.

    They have one of the levels, or none, and contain a text, ignoring case. Without a valid level, all levels match.
    Raise Refused, with status 500 for a missing file.
    """
    text = _read(_path(name)) if _may_exist(name) else None
    if text is None:  # wire: an unused number is treated as a missing file
        raise Refused("log_file_missing", body={"details": "Log file not found"})
    is_wanted = _condition(levels, wanted)
    return "\n".join(line for line in text.split("\n") if line.strip() and is_wanted(LogLine(line, _level(line))))


def _condition(levels: Collection[str], wanted: str) -> Callable[[LogLine], bool]:
    """Return a filter of lines; without a valid level, all levels match."""
    accepted = {level.strip().upper() for level in levels} & set(LEVELS) or set(LEVELS)
    text = wanted.casefold()
    return lambda line: line.level in (None, *accepted) and text in line.text.casefold()


def _level(line: str) -> str | None:
    upper = line.upper()
    return next((level for level, marks in MARKS.items() if any(mark in upper for mark in marks)), None)


def _may_exist(name: str) -> bool:
    """Whether a log file may have this number in its name.

    Raise Refused for any other name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise Refused("log_file_invalid")
    return match[1] is None or 1 <= int(match[1]) <= MOST_ROTATED


def _path(name: str) -> Path:
    check_name(name)
    return _folder() / name


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None


def _folder() -> Path:
    return settings().data_dir / "logs"
