"""Application logs: to the terminal, and to a rotated file in the data directory."""

import fcntl
import logging
import logging.handlers
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from app.config import Settings

# Locks between processes, held on a file; the system releases them when a process ends.

# Read-only: a command run by another user must not keep the server from opening it.
LOCK_FLAGS = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of this file; waits for other processes and threads.

    Raise OSError.
    """
    handle = os.open(path, LOCK_FLAGS, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        # Closing alone is not enough: a process that was forked meanwhile would still hold it.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
FILE_BYTES = 5 * 1024 * 1024
FILES_KEPT = 5
HANDLER_NAME = "duplistatus-file"
TRACE_INTERVAL_S = 60
FAULTS_KNOWN = 200


class TraceLimit(logging.Filter):
    """Shortens a traceback that was logged less than a minute ago.

    So one error does not fill the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written_at: dict[tuple[object, ...], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Accept every record; a repeated traceback is reduced to its first line."""
        if record.exc_info and record.exc_info[1] is not None:
            fault = _origin_of(record.exc_info[1])
            if record.created - self._written_at.get(fault, float("-inf")) < TRACE_INTERVAL_S:
                record.msg = f"{record.getMessage()}: {fault[0]}, with a traceback as above"
                record.args, record.exc_info, record.exc_text = (), None, None
            else:
                self._remember(fault, record.created)
        return True

    def _remember(self, fault: tuple[object, ...], at: float) -> None:
        if len(self._written_at) >= FAULTS_KNOWN:
            self._written_at.clear()
        self._written_at[fault] = at


def _origin_of(error: BaseException) -> tuple[object, ...]:
    """Return the type of an error and the line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    location = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else ()
    return (type(error).__name__, *location)


JOURNAL_FORMAT = "%(name)s: %(message)s"
SYSLOG_LEVELS = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


class SharedRotatingFileHandler(logging.handlers.RotatingFileHandler):
    """A rotated file that several processes write to.

    They take turns by a lock on a second file, and each switches to the new file after a rotation by another one.
    """

    def __init__(self, path: Path, file_bytes: int, files_kept: int) -> None:
        super().__init__(
            path, maxBytes=file_bytes, backupCount=files_kept, encoding="utf-8", errors="backslashreplace", delay=True
        )
        self._turn = path.with_name(f".{path.name}.lock")
        self._has_turn: int | None = None  # the process id, since a fork copies this

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; errors of the file are printed to the terminal and not raised."""
        if self._has_turn == os.getpid():  # logged while a record is formatted, or by a signal in between
            super().emit(record)
            return
        try:
            with file_lock(self._turn):
                self._has_turn = os.getpid()
                self._follow_rotation()
                super().emit(record)
        except OSError:
            self.handleError(record)
        finally:
            self._has_turn = None

    def _follow_rotation(self) -> None:
        if self.stream is not None and not _is_same_file(self.stream, self.baseFilename):
            self.stream.close()
            self.stream = self._open()

    def _open(self) -> TextIOWrapper:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with suppress(PermissionError):  # a file of an older version may belong to another user
            os.fchmod(handle, 0o600)
        return open(handle, "a", encoding=self.encoding, errors=self.errors)


def _is_same_file(stream: TextIOWrapper, path: str) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


class JournalFormatter(logging.Formatter):
    """Lines for systemd's journal.

    The journal adds a time stamp and reads the level from a number at the beginning. Source:
    https://www.freedesktop.org/software/systemd/man/sd-daemon.html
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write the level before each line, since the journal makes an entry of each."""
        mark = f"<{next(number for level, number in SYSLOG_LEVELS if record.levelno >= level)}>"
        return "\n".join(mark + line for line in super().format(record).split("\n"))


def is_journal() -> bool:
    """Whether the terminal is systemd's journal, which names the stream that it reads."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def configure(settings: Settings) -> None:
    """Set level and handlers once per process.

    A second application only changes the file.
    """
    root = logging.getLogger()
    root.setLevel(settings.log_level)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # waitress warns at each short burst of waiting requests; what counts is how long they wait, which the metrics
    # show.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    for handler in [handler for handler in root.handlers if handler.get_name() == HANDLER_NAME]:
        root.removeHandler(handler)
        handler.close()
    if not root.handlers:
        terminal = logging.StreamHandler()
        terminal.setFormatter(JournalFormatter(JOURNAL_FORMAT) if is_journal() else logging.Formatter(FORMAT))
        terminal.addFilter(TraceLimit())
        root.addHandler(terminal)
    folder = settings.data_dir / "logs"
    folder.mkdir(exist_ok=True, mode=0o700)
    handler = SharedRotatingFileHandler(folder / "application.log", FILE_BYTES, FILES_KEPT)
    handler.set_name(HANDLER_NAME)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(TraceLimit())
    root.addHandler(handler)
