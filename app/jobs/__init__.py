"""Floor 4: scheduled work. Each task opens a context and calls one service."""

import logging
import threading
from typing import Any

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app.jobs.courier import Courier
from app.jobs.schedule import Schedule
from app.jobs.tasks import TASKS, TaskResult, UnknownTask, run_task
from app.services import clock, health, task_schedule

__all__ = [
    "TASKS",
    "Schedule",
    "TaskResult",
    "UnknownTask",
    "announce_stop",
    "cancel_start",
    "drop_jobs",
    "run_task",
    "schedule",
    "start_jobs",
    "start_jobs_soon",
    "stop_jobs",
]

log = logging.getLogger(__name__)

SCHEDULE, COURIER, PENDING = task_schedule.EXTENSION, health.WORKER, "duplistatus.pending_start"
# A server that loads the application and then forks its workers has forked by then.
SETTLE_S = 1.0
RETRY_S = 15.0
# How long a stop waits for a start that is under way.
LONGEST_START_S = 2.0


def start_jobs(app: Flask) -> None:
    """Start the schedule and the delivery of this application; doing it twice changes nothing."""
    if SCHEDULE in app.extensions:
        return
    with app.app_context():
        health.note_jobs_started(clock.now())
    started = Schedule(app)
    started.start()
    courier = Courier(app, on_clock_change=started.plan_anew)
    courier.start()
    app.extensions.update({COURIER: courier, SCHEDULE: started})


def start_jobs_soon(app: Flask) -> None:
    """Start them in a moment, unless this process forks before: then its children do the work (see `forks`)."""
    app.extensions[PENDING] = pending = _PendingStart(app)
    pending.start()


def cancel_start(app: Flask) -> bool:
    """Give up a start that is still to come; returns whether there was one."""
    pending: _PendingStart | None = app.extensions.pop(PENDING, None)
    if pending:
        pending.give_up()
    return pending is not None


def announce_stop(app: Flask) -> None:
    """Have the delivery begin nothing more, without waiting; `stop_jobs` has to follow."""
    if courier := app.extensions.get(COURIER):
        courier.announce_stop()


def stop_jobs(app: Flask) -> None:
    """Stop both and wait some seconds for what they are at; work that was never started is fine."""
    pending: _PendingStart | None = app.extensions.get(PENDING)
    if cancel_start(app) and pending is not None:
        pending.join(LONGEST_START_S)  # a start that is under way leaves work to stop
    if courier := app.extensions.pop(COURIER, None):
        courier.stop()
    if running := app.extensions.pop(SCHEDULE, None):
        running.stop()


def drop_jobs(app: Flask) -> list[Any]:
    """Forget jobs whose threads did not come along in a fork; returns what was forgotten."""
    dropped = [app.extensions.pop(name, None) for name in (PENDING, SCHEDULE, COURIER)]
    if dropped[-1]:
        dropped[-1].forget()
    return [part for part in dropped if part]


def schedule(app: Flask) -> Schedule | None:
    """The running schedule of an application, or None where jobs do not run."""
    found: Schedule | None = app.extensions.get(SCHEDULE)
    return found


class _PendingStart(threading.Thread):
    """Starts the jobs after a moment, and tries again where the database is away, until it is given up."""

    def __init__(self, app: Flask) -> None:
        super().__init__(name="start-jobs", daemon=True)
        self._app = app
        self._is_given_up = threading.Event()

    def give_up(self) -> None:
        """Begin no start any more; does not wait for one that is under way."""
        self._is_given_up.set()

    def run(self) -> None:
        wait_s = SETTLE_S
        while not self._is_given_up.wait(wait_s):
            try:
                start_jobs(self._app)
            except SQLAlchemyError:  # the outermost loop: a database that is away now may be back in a moment
                log.exception("scheduled work cannot be started now")
                wait_s = RETRY_S
            else:
                self._app.extensions.pop(PENDING, None)
                return
