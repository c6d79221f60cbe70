"""The program's own log files, as an administrator reads them."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.plugin import AppError
from app.runtime import settings

BASE_NAME = "application.log"
MOST_ROTATED = 10
LEVELS = ("INFO", "WARN", "ERROR")
# What a line says of its own level, the loudest first; other programs may write into the same file.
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
    """The names of the files that exist, the present one first, then from newer to older."""
    names = [BASE_NAME, *(f"{BASE_NAME}.{number}" for number in range(1, MOST_ROTATED + 1))]
    return [name for name in names if (_folder() / name).is_file()]


def put_away() -> list[Path]:
    """The files that nothing is written to any more, from newer to older."""
    return [_folder() / name for name in list_files() if name != BASE_NAME]


def check_name(name: str) -> None:
    """Raise AppError for anything but the name of a log file: the name comes from outside and becomes a path."""
    if not _may_exist(name):
        raise AppError("Invalid rotated file number")


def read_end(name: str, line_limit: int | None) -> LogExcerpt | None:
    """The last lines of a file, all of them without a limit; None when there is no such file. Raises AppError.

    Lines are what stands between newlines, so a final newline makes an empty last one.
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
    """A line as it stands in the file, and what it says of its own level."""

    text: str
    level: str | None


@dataclass(frozen=True, slots=True)
class LogView:
    """The end of a log file, of which only the lines that were asked for are shown."""

    lines: list[LogLine]
    line_count: int
    size_bytes: int
    modified_at: datetime


def view(name: str, line_limit: int, levels: Collection[str], wanted: str) -> LogView | None:
    """Those of the last lines of a file that `search` would find, each with its level; None when there is no such file.

    Blank lines do not count. Raises AppError for what is no name of a log file.
    """
    excerpt = read_end(name, None)
    if excerpt is None:
        return None
    last = [line for line in excerpt.text.split("\n") if line.strip()]
    lines = [LogLine(line, _level(line)) for line in last[-line_limit:]]
    is_wanted = _condition(levels, wanted)
    return LogView([line for line in lines if is_wanted(line)], len(last), excerpt.size_bytes, excerpt.modified_at)


def state_of(name: str) -> str:
    """A word that changes whenever a file does; empty for one that is not there. Raises AppError."""
    try:
        status = _path(name).stat()
    except FileNotFoundError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}"


def search(name: str, levels: Collection[str], wanted: str) -> str:
    """The lines of a file that have one of these levels, or none, and hold the wanted text in any case.

    No valid level means every level. Raises AppError, with status 500 for a file that is not there.
    """
    text = _read(_path(name)) if _may_exist(name) else None
    if text is None:  # wire: a number that is never used is no worse than a file that is not there
        raise AppError("Failed to export logs", 500, details="Log file not found")
    is_wanted = _condition(levels, wanted)
    return "\n".join(line for line in text.split("\n") if line.strip() and is_wanted(LogLine(line, _level(line))))


def _condition(levels: Collection[str], wanted: str) -> Callable[[LogLine], bool]:
    """What a line has to be; without any valid level every one will do."""
    accepted = {level.strip().upper() for level in levels} & set(LEVELS) or set(LEVELS)
    text = wanted.casefold()
    return lambda line: line.level in (None, *accepted) and text in line.text.casefold()


def _level(line: str) -> str | None:
    upper = line.upper()
    return next((level for level, marks in MARKS.items() if any(mark in upper for mark in marks)), None)


def _may_exist(name: str) -> bool:
    """Whether a log file could have this name, as far as its number goes. Raises AppError for any other name."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise AppError("Invalid file parameter format")
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
