"""How long a far machine may take for a whole answer, however slowly it trickles.

The time limits of sockets begin anew with every byte that comes, so a machine that sends a header letter by letter
would hold a thread for as long as it likes. Here every read asks how much time is left in all.
"""

import http.client
import io
import math
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

LONGEST_ANSWER_S = 60.0
_longest_s: ContextVar[float] = ContextVar("longest_answer_s", default=LONGEST_ANSWER_S)


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Give the answers that begin within the block so long, from the request to the last byte, in place of a minute."""
    token = _longest_s.set(seconds)
    try:
        yield
    finally:
        _longest_s.reset(token)


def time_left(ends_at: float) -> float:
    """The seconds until an instant of `time.monotonic`. Raises TimeoutError when there are none."""
    left_s = ends_at - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the answer took too long")
    return left_s


def read_until(sock: socket.socket, ends_at: float, most_bytes: int) -> io.BufferedReader:
    """A file that reads from a socket until `ends_at`, an instant of `time.monotonic`, and no more than so many bytes.

    Reading on raises TimeoutError, or TooMuchData.
    """
    return io.BufferedReader(_TimedReader(sock.makefile("rb", buffering=0), sock, ends_at, most_bytes))


class TooMuchData(OSError):
    """The other side sends more than belongs to the protocol."""


class TimedResponse(http.client.HTTPResponse):
    """An answer that has to be there as a whole before its time is over, else reading it raises TimeoutError."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        unbuffered = self.fp.detach()
        self.fp = io.BufferedReader(_TimedReader(unbuffered, sock, time.monotonic() + _longest_s.get()))


class _TimedReader(io.RawIOBase):
    """Reads from a socket, and each time waits no longer than until the end."""

    def __init__(
        self, unbuffered: io.RawIOBase, sock: socket.socket, ends_at: float, most_bytes: float = math.inf
    ) -> None:
        self._unbuffered, self._sock, self._ends_at = unbuffered, sock, ends_at
        self._bytes_left = most_bytes
        self._idle_s = sock.gettimeout()

    def readable(self) -> bool:
        """It is made for nothing else."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what comes next. Raises TimeoutError when nothing does in time, and TooMuchData."""
        left_s = time_left(self._ends_at)
        if self._bytes_left <= 0:
            raise TooMuchData("the answer is too long")
        self._sock.settimeout(left_s if self._idle_s is None else min(self._idle_s, left_s))
        count: int | None = self._unbuffered.readinto(buffer)
        self._bytes_left -= count or 0
        return count

    def close(self) -> None:
        """Let go of the socket, too."""
        self._unbuffered.close()
        super().close()
