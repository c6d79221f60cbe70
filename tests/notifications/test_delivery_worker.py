"""The delivery worker detects a changed clock, and has the schedule recalculated; it continues despite errors."""

import threading
import time
from types import SimpleNamespace

import pytest

from app.notifications import delivery_worker


@pytest.fixture
def wall(monkeypatch):
    """A wall clock that a test may set, independent of real time; the delivery worker reads it often."""
    clock = SimpleNamespace(offset_s=0.0, monotonic=time.monotonic)
    clock.time = lambda: time.monotonic() + clock.offset_s
    monkeypatch.setattr(delivery_worker, "time", clock)
    monkeypatch.setattr(delivery_worker, "PERIOD_S", 0.01)
    monkeypatch.setattr(delivery_worker, "GATHER_S", 0.001)
    return clock


@pytest.fixture
def changes(app, wall):
    """Count how often a running delivery worker reports that the clock was set."""
    noticed, counted = threading.Semaphore(0), []

    def note() -> None:
        counted.append(wall.offset_s)
        noticed.release()
        raise RuntimeError("the database is away")

    running = delivery_worker.DeliveryWorker(app, on_clock_change=note)
    running.start()
    yield SimpleNamespace(wait=lambda: noticed.acquire(timeout=10), counted=counted)
    running.stop()


@pytest.mark.parametrize("hours", [-10, 10])
def test_a_changed_clock_is_detected_once_each_time(wall, changes, hours):
    wall.offset_s = hours * 3600.0
    assert changes.wait()
    wall.offset_s = 2 * hours * 3600.0
    assert changes.wait()
    assert changes.counted == [hours * 3600.0, 2 * hours * 3600.0]


def test_a_small_clock_correction_is_ignored(wall, changes):
    wall.offset_s = delivery_worker.CLOCK_CHANGE_S / 2
    time.sleep(0.1)
    assert changes.counted == []
