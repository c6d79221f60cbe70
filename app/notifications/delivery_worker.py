"""Carries the outbox out: at once when something was queued, and every few seconds for what is tried again.

A thread of its own instead of a scheduled task: it can be woken without a race, and a slow mail server holds up
no other task. Several processes may each have one, since rows are claimed in the database.
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
# Reports of several jobs often come together: one pass then takes them all.
GATHER_S = 0.05
# A pass that takes longer than this hangs.
LONGEST_PASS_S = 900.0
# How often the health is looked at, for alarms about this program itself.
HEALTH_PERIOD_S = 30.0
# The wall clock was set when it moved this much more or less than time itself.
CLOCK_CHANGE_S = 60.0
# Longer than a stop waits for messages that are on their way.
LONGEST_STOP_S = 5.0


class DeliveryWorker:
    """The thread that delivers for one application."""

    def __init__(self, app: Flask, on_clock_change: Callable[[], object]) -> None:
        self._app = app
        self._on_clock_change = on_clock_change
        self._wake = threading.Event()
        self._is_stopping = threading.Event()
        self._passed_s = self._looked_s = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)

    def start(self) -> None:
        """Begin, and listen for what is queued."""
        outbox.queued.connect(self._on_queued)
        self._thread.start()

    @property
    def is_working(self) -> bool:
        """Whether the thread is alive and passes come."""
        return self._thread.is_alive() and time.monotonic() - self._passed_s < LONGEST_PASS_S

    def announce_stop(self) -> None:
        """Begin nothing more; does not wait, so a signal handler may call it."""
        self._is_stopping.set()
        self._wake.set()

    def stop(self) -> None:
        """End after the messages that are on their way, or without those that hang."""
        self.forget()
        self.announce_stop()
        self._thread.join(LONGEST_STOP_S)

    def forget(self) -> None:
        """Listen no more, in a process that was forked without this thread."""
        outbox.queued.disconnect(self._on_queued)

    def _on_queued(self, _sender: object, **_details: object) -> None:
        self._wake.set()

    def _work(self) -> None:
        offset_s = time.time() - time.monotonic()
        while not self._is_stopping.is_set():
            self._deliver()
            self._passed_s = time.monotonic()
            self._look_at_health()
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
        except Exception:  # the outermost loop: a database that is away now may be back in a moment
            log.exception("notifications cannot be delivered now")

    def _look_at_health(self) -> None:
        """Notify people of trouble with this program; the schedule, which does so too, may be what stopped."""
        if time.monotonic() - self._looked_s < HEALTH_PERIOD_S:
            return
        self._looked_s = time.monotonic()
        try:
            with self._app.app_context():
                health_alarms.look(runtime.now())
        except Exception:  # the outermost loop, as above
            log.exception("health cannot be checked now")

    def _adjust(self) -> None:
        """Plan anew: after a clock was set back, the next ticks would lie in a far future."""
        log.warning("the system clock changed; rebuilding the schedule")
        try:
            with self._app.app_context():
                health.note_jobs_started(runtime.now())  # checks are not late because the clock went on
            self._on_clock_change()
        except Exception:  # the outermost loop, as above
            log.exception("the schedule cannot be rebuilt now")
