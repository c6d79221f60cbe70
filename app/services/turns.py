"""Large deletions in small steps: uploads get their turn between two of them, and never wait for the whole."""

import time
from collections.abc import Callable

# The lock of writers is not fair: whoever lets go of it and takes it at once would keep the others out.
LEAST_PAUSE_S = 0.002


def in_turns(delete_some: Callable[[], int]) -> int:
    """Repeat a short writing transaction until it finds nothing more to do; returns how much it did in all.

    Others have the database for as long as each step took.
    """
    total = 0
    while True:
        began = time.monotonic()
        count = delete_some()
        if not count:
            return total
        total += count
        time.sleep(max(time.monotonic() - began, LEAST_PAUSE_S))
