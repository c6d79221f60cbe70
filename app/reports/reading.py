"""Parse a request body, in this process or, if large, in a reader process."""

import logging
import os
import pickle
import re
import select
import signal
import subprocess
import sys
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from app.backups.run_logs import bound_texts
from app.core.errors import InputTooLarge, Refused
from app.reports.decoding import decode_body
from app.reports.report import NotStored, Report, parse_report

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


# The reader process for large bodies
#
# Parsing a large body takes a tenth of a second and more, in which no other thread of a process can run.

Read = Report | NotStored | Unusable

log = logging.getLogger(__name__)

LARGE_BYTES = 256 * 1024
# Far more than any body within the limits needs.
LONGEST_S = 30.0
# The process ends after being idle for this long.
IDLE_S = 300.0
SOURCES = Path(__file__).resolve().parents[2]


class ReaderProcess:
    """The process that parses large bodies, one at a time; started on demand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, posted: Posted) -> Read:
        """Parse a body. Raise OSError without a process, TooLarge after the time limit."""
        with self._lock:
            while True:
                process = self._process = self._process or _start()
                with suppress(BrokenPipeError, EOFError, pickle.UnpicklingError):
                    return _exchange(process, posted)
                if self._end():
                    log.error("the process that reads large reports was killed or failed")
                    raise InputTooLarge("report_too_costly")

    def _end(self) -> int:
        """Release the process; return its exit status, which is 0 after the idle timeout."""
        process, self._process = self._process, None
        assert process is not None  # noqa: S101 (there was one until now)
        status = process.wait()
        with suppress(BrokenPipeError):
            process.communicate()
        return status


_process = ReaderProcess()


def renew_process() -> None:
    """Create a reader process of this process's own, after a fork."""
    global _process
    _process = ReaderProcess()


def read_body(posted: Posted) -> Read:
    """Parse a body, in the reader process if it is large."""
    if len(posted.content) <= LARGE_BYTES:
        return read_posted(posted)
    try:
        return _process.read(posted)
    except InputTooLarge as error:
        return Unusable(error, compress_body(b"", posted.content_type))
    except OSError:
        log.exception("cannot start a process to read a large report; reading it in this process")
        return read_posted(posted)


def _start() -> "subprocess.Popen[bytes]":
    # Within Apache or uWSGI, sys.executable cannot run a module.
    own = Path(sys.prefix, "bin", "python3")
    program = str(own) if own.exists() else sys.executable
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCES), os.environ.get("PYTHONPATH", "")])}
    command = [program, "-c", "from app.reports import reading; reading.serve()"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)  # noqa: S603


def _exchange(process: "subprocess.Popen[bytes]", posted: Posted) -> Read:
    assert process.stdin is not None  # noqa: S101 (both are pipes)
    assert process.stdout is not None  # noqa: S101
    alarm = threading.Timer(LONGEST_S, process.kill)
    alarm.daemon = True
    alarm.start()
    try:
        pickle.dump(posted, process.stdin, pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        answer: Read = pickle.load(process.stdout)  # noqa: S301 (from our own process)
    finally:
        alarm.cancel()
    return answer


def _answer(requests: BinaryIO, answers: BinaryIO) -> None:
    """Parse bodies until the input ends or the idle timeout passes."""
    while select.select([requests], [], [], IDLE_S)[0]:
        try:
            posted: Any = pickle.load(requests)  # noqa: S301 (from the process that started this one)
        except EOFError:
            return
        pickle.dump(read_posted(posted), answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


def serve() -> None:
    """Parse the bodies that arrive at the standard input.

    Called in the imported module, not by `python -m`: pickle would store its classes as those of `__main__`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the server, which then closes the input
    os.nice(10)
    _answer(sys.stdin.buffer, sys.stdout.buffer)
