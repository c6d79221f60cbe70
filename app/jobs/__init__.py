"""Floor 4: scheduled work. Each task opens a context and calls one service."""

from flask import Flask

from app.jobs.courier import Courier
from app.jobs.schedule import Schedule
from app.jobs.tasks import TASKS, TaskResult, UnknownTask, run_task
from app.services import clock, health

__all__ = [
    "TASKS",
    "Schedule",
    "TaskResult",
    "UnknownTask",
    "announce_stop",
    "run_task",
    "schedule",
    "start_jobs",
    "stop_jobs",
]

SCHEDULE, COURIER = "duplistatus.schedule", "duplistatus.courier"


def start_jobs(app: Flask) -> None:
    """Start the schedule and the delivery of this application; doing it twice changes nothing."""
    if SCHEDULE in app.extensions:
        return
    with app.app_context():
        health.note_jobs_started(clock.now())
    app.extensions[SCHEDULE] = Schedule(app)
    app.extensions[SCHEDULE].start()
    app.extensions[COURIER] = Courier(app, on_clock_change=app.extensions[SCHEDULE].reload)
    app.extensions[COURIER].start()


def announce_stop(app: Flask) -> None:
    """Have the delivery begin nothing more, without waiting; `stop_jobs` has to follow."""
    if courier := app.extensions.get(COURIER):
        courier.announce_stop()


def stop_jobs(app: Flask) -> None:
    """Stop both and wait some seconds for what they are at; work that was never started is fine."""
    if courier := app.extensions.pop(COURIER, None):
        courier.stop()
    if running := app.extensions.pop(SCHEDULE, None):
        running.stop()


def schedule(app: Flask) -> Schedule | None:
    """The running schedule of an application, or None where jobs do not run."""
    found: Schedule | None = app.extensions.get(SCHEDULE)
    return found
