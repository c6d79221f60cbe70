"""Background thread that sends queued notifications.

It is woken on enqueue and otherwise polls every few seconds. A thread instead of a scheduled task: it can be woken
without a race, and a slow mail server delays no other task. Several processes may each have one, since rows are claimed
in the database.
"""

import logging
import threading
import time
from collections.abc import Callable

from flask import Flask

from app import runtime
from app.database import health, health_alarms
from app.notifications import delivery, outbox

log = logging.getLogger(__name__)

PERIOD_S = 5.0
# Reports of several jobs often arrive together: one pass then sends them all.
GATHER_S = 0.05
# A pass that takes longer than this hangs.
LONGEST_PASS_S = 900.0
# Interval of the health check that sends alerts about duplistatus itself.
HEALTH_PERIOD_S = 30.0
# The wall clock was set if it differs from the monotonic clock by more than this.
CLOCK_CHANGE_S = 60.0
# Longer than a stop waits for active sends.
LONGEST_STOP_S = 5.0


class DeliveryWorker:
    """The delivery thread of one application."""

    def __init__(self, app: Flask, on_clock_change: Callable[[], object]) -> None:
        self._app = app
        self._on_clock_change = on_clock_change
        self._wake = threading.Event()
        self._is_stopping = threading.Event()
        self._passed_s = self._looked_s = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="delivery-worker", daemon=True)

    def start(self) -> None:
        """Start the thread and subscribe to `queued`."""
        outbox.queued.connect(self._on_queued)
        self._thread.start()

    @property
    def is_working(self) -> bool:
        """Whether the thread is alive and completes passes."""
        return self._thread.is_alive() and time.monotonic() - self._passed_s < LONGEST_PASS_S

    def announce_stop(self) -> None:
        """Start nothing more; does not wait, so a signal handler may call it."""
        self._is_stopping.set()
        self._wake.set()

    def stop(self) -> None:
        """Stop after the active sends have ended, except those that hang."""
        self.forget()
        self.announce_stop()
        self._thread.join(LONGEST_STOP_S)

    def forget(self) -> None:
        """Unsubscribe, in a process that was forked without this thread."""
        outbox.queued.disconnect(self._on_queued)

    def _on_queued(self, _sender: object, **_details: object) -> None:
        self._wake.set()

    def _work(self) -> None:
        offset_s = time.time() - time.monotonic()
        while not self._is_stopping.is_set():
            self._deliver()
            self._passed_s = time.monotonic()
            self._check_health()
            self._wake.wait(PERIOD_S)
            self._is_stopping.wait(GATHER_S)
            self._wake.clear()
            if abs(time.time() - time.monotonic() - offset_s) > CLOCK_CHANGE_S:
                offset_s = time.time() - time.monotonic()
                self._adjust()

    def _deliver(self) -> None:
        try:
            with self._app.app_context():
                delivery.deliver_due(runtime.now(), self._is_stopping)
        except Exception:  # the outermost loop: an unavailable database may return in a moment
            log.exception("notifications cannot be delivered now")

    def _check_health(self) -> None:
        """Send alerts about duplistatus itself.

        The schedule, which does so too, may be what stopped.
        """
        if time.monotonic() - self._looked_s < HEALTH_PERIOD_S:
            return
        self._looked_s = time.monotonic()
        try:
            with self._app.app_context():
                health_alarms.run_health_alerts(runtime.now())
        except Exception:  # the outermost loop, as above
            log.exception("health cannot be checked now")

    def _adjust(self) -> None:
        """Reschedule tasks.

        After the clock was set back, the next run times would be far in the future.
        """
        log.warning("the system clock changed; rebuilding the schedule")
        try:
            with self._app.app_context():
                health.record_scheduler_start(runtime.now())  # checks are not late because the clock was set forward
            self._on_clock_change()
        except Exception:  # the outermost loop, as above
            log.exception("the schedule cannot be rebuilt now")
