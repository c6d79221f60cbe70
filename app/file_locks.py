"""Locks between processes, held on a file; the system releases them when a process ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of this file; waits for other processes and threads that hold it. Raises OSError."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        # Not by closing alone: a process that was forked meanwhile would hold it on.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)
