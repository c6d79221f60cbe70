"""Rate limits: a token bucket for each key, in bounded memory."""

import threading
from collections import OrderedDict
from datetime import datetime

from app import runtime

KEYS_KEPT = 10_000


class Limiter:
    """Allows `burst` events of a key at once, and then `rate_per_s` per second.

    Thread-safe.
    """

    def __init__(self, rate_per_s: float, burst: int, *, keys_kept: int = KEYS_KEPT) -> None:
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._keys_kept = keys_kept
        self._buckets: OrderedDict[str, tuple[datetime, float]] = OrderedDict()
        self._lock = threading.Lock()

    def allow(self, key: str, now: datetime) -> float | None:
        """Count one event of `key` and return None, or return the seconds to wait.

        The seconds are above 0; then nothing is counted. Only the most recent keys are remembered; a forgotten one
        starts with a full bucket.
        """
        with self._lock:
            seen_at, tokens = self._buckets.pop(key, (now, self._burst))
            elapsed_s = max(0.0, (now - seen_at).total_seconds())
            tokens = min(self._burst, tokens + elapsed_s * self._rate_per_s)
            is_allowed = tokens >= 1
            self._buckets[key] = (max(now, seen_at), tokens - 1 if is_allowed else tokens)
            if len(self._buckets) > self._keys_kept:
                self._buckets.popitem(last=False)
            return None if is_allowed else (1 - tokens) / self._rate_per_s

    def give_back(self, key: str) -> None:
        """Take back one counted event of `key`."""
        with self._lock:
            if key in self._buckets:
                seen_at, tokens = self._buckets[key]
                self._buckets[key] = (seen_at, min(self._burst, tokens + 1))

    def forget(self, key: str) -> None:
        """Forget all events of `key`."""
        with self._lock:
            self._buckets.pop(key, None)


# The rate limits of an application, in the memory of its process


class Limiters(dict[str, Limiter]):
    """The limiters by their names."""


def limiter(name: str, per_minute: float, burst: int) -> Limiter:
    """Return the limiter of this name; created at the first call."""
    limiters = runtime.part(Limiters)
    found = limiters.get(name)
    return found if found is not None else limiters.setdefault(name, Limiter(per_minute / 60, burst))
