"""Locks between processes, held on a file; the system releases them when a process ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Read only: a command that somebody else runs must not keep the server from opening it.
LOCK_FLAGS = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of this file; waits for other processes and threads that hold it. Raises OSError."""
    handle = os.open(path, LOCK_FLAGS, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        # Not by closing alone: a process that was forked meanwhile would hold it on.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)
