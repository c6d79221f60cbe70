"""Reads what was posted: from a body that is unpacked to a report, or to the reason why it is none."""

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
from app.plugin import AppError
from app.plugin.errors import TooLarge
from app.reports.decoding import open_envelope
from app.reports.report import NotStored, Report, parse_report

# The address of a destination may hold a password: it is never stored.
_REMOTE_URLS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.DOTALL)
    for pattern in (
        rb'("RemoteUrl"\s*:\s*")(?:[^"\\]+|\\.)*+',
        rb"^([ \t]*RemoteUrl:)[^\r\n]*",
        # The same two in a form that could not be opened.
        rb"(%22RemoteUrl%22(?:%20|\+)*(?:%3A|:)(?:%20|\+)*%22)(?:[^%]+|%5C%22|%(?!22))*+",
        rb"(RemoteUrl%3A)(?:[^%&]+|%(?!0D|0A|22))*+",
    )
)


@dataclass(frozen=True, slots=True)
class Posted:
    """A body that was posted, unpacked, and by what it is read."""

    content: bytes
    content_type: str
    received_at: datetime
    zone: ZoneInfo
    keeps_other_operations: bool


@dataclass(frozen=True, slots=True)
class KeptBody:
    """A body that cannot be used, as it is kept: packed, and without the addresses of destinations."""

    packed: bytes
    size_bytes: int
    content_type: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a body cannot be used, and what to keep of it."""

    error: AppError
    kept: KeptBody


def read_posted(posted: Posted) -> Report | NotStored | Unusable:
    """Read a body; the texts of a report are bounded as they are stored."""
    kept, kept_type = posted.content, posted.content_type
    try:
        text = open_envelope(posted.content, posted.content_type)
        opened = text.encode("utf-8", "replace") if isinstance(text, str) else text
        if opened != posted.content:
            kept, kept_type = opened, "text/plain"
        report = parse_report(
            text,
            received_at=posted.received_at,
            zone=posted.zone,
            keeps_other_operations=posted.keeps_other_operations,
        )
    except AppError as error:
        return Unusable(error, keep_body(kept, kept_type))
    return report if isinstance(report, NotStored) else _bounded(report.filed())


def keep_body(body: bytes, content_type: str) -> KeptBody:
    """Pack a body that cannot be used."""
    masked = body
    if b"remoteurl" in body.lower():
        for address in _REMOTE_URLS:
            masked = address.sub(rb"\1(removed)", masked)
    return KeptBody(zlib.compress(masked), len(body), content_type)


def _bounded(report: Report) -> Report:
    messages, warnings, errors = map(tuple, bound_texts(report.messages, report.warnings, report.errors))
    return replace(report, messages=messages, warnings=warnings, errors=errors)


# Has bodies read: small ones here, large ones by a process of its own, which is this module, too.
#
# Reading a large body takes a tenth of a second and more, during which no other thread of a process can work.

Read = Report | NotStored | Unusable

log = logging.getLogger(__name__)

LARGE_BYTES = 256 * 1024
# Far more than any body needs that is within the bounds.
LONGEST_S = 30.0
# A process that has nothing to do for so long ends.
IDLE_S = 300.0
SOURCES = Path(__file__).resolve().parents[2]


class ReaderProcess:
    """The process that reads large bodies, one at a time; started for the first one, and again when it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, posted: Posted) -> Read:
        """Read a body. Raises OSError where no process can be started, and TooLarge for one that takes too long."""
        with self._lock:
            while True:
                process = self._process = self._process or _start()
                with suppress(BrokenPipeError, EOFError, pickle.UnpicklingError):
                    return _exchange(process, posted)
                if self._end():
                    log.error("the process that reads large reports was killed or failed")
                    raise TooLarge("Reading the report takes too much time or memory")

    def _end(self) -> int:
        """Let go of the process; gives its exit status, which is 0 when it had nothing to do for long."""
        process, self._process = self._process, None
        assert process is not None  # noqa: S101 (there was one until now)
        status = process.wait()
        with suppress(BrokenPipeError):
            process.communicate()
        return status


_process = ReaderProcess()


def renew_process() -> None:
    """Have a process of this one's own, after a fork."""
    global _process
    _process = ReaderProcess()


def read_body(posted: Posted) -> Read:
    """Read a body, wherever that is best."""
    if len(posted.content) <= LARGE_BYTES:
        return read_posted(posted)
    try:
        return _process.read(posted)
    except TooLarge as error:
        return Unusable(error, keep_body(b"", posted.content_type))
    except OSError:
        log.exception("cannot start a process to read a large report; reading it in this process")
        return read_posted(posted)


def _start() -> "subprocess.Popen[bytes]":
    # Within Apache or uWSGI the running program is none that could run a module.
    own = Path(sys.prefix, "bin", "python3")
    program = str(own) if own.exists() else sys.executable
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCES), os.environ.get("PYTHONPATH", "")])}
    command = [program, "-m", "app.reports.reading"]
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
        answer: Read = pickle.load(process.stdout)  # noqa: S301 (from a process of ours)
    finally:
        alarm.cancel()
    return answer


def _answer(requests: BinaryIO, answers: BinaryIO) -> None:
    """Read one body after the other until there is no more, or nothing to do."""
    while select.select([requests], [], [], IDLE_S)[0]:
        try:
            posted: Any = pickle.load(requests)  # noqa: S301 (from the process that started this one)
        except EOFError:
            return
        pickle.dump(read_posted(posted), answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the server, which then closes the input
    os.nice(10)
    _answer(sys.stdin.buffer, sys.stdout.buffer)
