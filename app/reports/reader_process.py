"""The reader process: parses large request bodies.

Parsing one takes a tenth of a second and more, in which no other thread of this process could run.
"""

import atexit
import logging
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from app.core.errors import InputTooLarge
from app.reports.parser import Posted, Read, Unusable, compress_body, read_posted

log = logging.getLogger(__name__)

LARGE_BYTES = 256 * 1024
# Far more than any body within the limits needs.
LONGEST_S = 30.0
# The process ends after being idle for this long.
IDLE_S = 300.0
# Wait for a body that is being parsed when the server stops.
LONGEST_STOP_S = 1.0
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

    def stop(self) -> None:
        """End the process, if there is one and it is idle; the next body starts another one."""
        if not self._lock.acquire(timeout=LONGEST_STOP_S):
            return  # it is parsing, and ends when this process has
        try:
            if self._process is not None:
                self._end()
        finally:
            self._lock.release()

    def _end(self) -> int:
        """Release the process; return its exit status, which is 0 after the idle timeout."""
        process, self._process = self._process, None
        assert process is not None  # noqa: S101 (there was one until now)
        with suppress(BrokenPipeError):
            process.communicate()
        return process.wait()


_process = ReaderProcess()


def renew_process() -> None:
    """Create a reader process of this process's own, after a fork."""
    global _process
    _process = ReaderProcess()


@atexit.register
def stop_process() -> None:
    """Stop the reader process when this process ends."""
    _process.stop()


def read_in_process(posted: Posted) -> Read:
    """Parse a body in the reader process; in this one if there is none."""
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
    command = [program, "-c", "from app.reports import reader_process; reader_process.serve()"]
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
