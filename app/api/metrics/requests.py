"""Counts requests and how long they took. Every request passes here, so it is a dictionary and two additions."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from threading import Lock

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

BOUNDS_S = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
BUCKETS = (*map(str, BOUNDS_S), "+Inf")


class RequestFigures:
    """Requests of one application since it started, by method, route and status."""

    def __init__(self) -> None:
        # Seconds in all, then requests in each bucket of duration.
        self._figures: dict[tuple[str, str, int], list[float]] = {}
        self._lock = Lock()

    def add(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count one request."""
        key = (method, route, status)
        with self._lock:
            figures = self._figures.get(key)
            if figures is None:
                figures = self._figures[key] = [0.0] * (len(BUCKETS) + 1)
            figures[0] += duration_s
            figures[1 + bisect_left(BOUNDS_S, duration_s)] += 1

    def collect(self) -> Iterator[Metric]:
        """The figures as metrics."""
        with self._lock:
            copied = {key: tuple(figures) for key, figures in self._figures.items()}
        labels = ("method", "route", "status")
        requests = CounterMetricFamily("duplistatus_http_requests", "Requests that were answered", labels=labels)
        durations = HistogramMetricFamily(
            "duplistatus_http_request_duration_seconds", "How long answers took to make", labels=labels
        )
        for (method, route, status), (total_s, *counts) in sorted(copied.items()):
            named = (method, route, str(status))
            buckets = list(zip(BUCKETS, accumulate(counts), strict=True))
            requests.add_metric(named, buckets[-1][1])
            durations.add_metric(named, buckets, total_s)
        yield from (requests, durations)
