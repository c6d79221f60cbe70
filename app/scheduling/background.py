"""Background threads of scheduled work: start and end, also in forked processes."""

import logging
import os
import sys
import threading
from typing import Any
from weakref import WeakSet

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app import runtime
from app.accounts import passwords
from app.collector import batches
from app.core.db import engine as db_engine
from app.core.db import orm
from app.core.db.orm import ExactCache, db
from app.database import health
from app.notifications.delivery_worker import DeliveryWorker
from app.reports import reader_process
from app.runtime import runtime_of
from app.scheduling import tasks
from app.scheduling.control import Jobs
from app.scheduling.tasks import Schedule

log = logging.getLogger(__name__)

# A server that loads the application and then forks its workers has done so by then.
SETTLE_S = 1.0
RETRY_S = 15.0
# How long a stop waits for a running start.
LONGEST_START_S = 2.0


def start_jobs(app: Flask) -> None:
    """Start the schedule and the delivery worker of this application.

    Does nothing if they run.
    """
    jobs = jobs_of(app)
    if jobs.schedule:
        return
    with app.app_context():
        health.record_scheduler_start(runtime.now())
    started = Schedule(app)
    started.start()
    worker = DeliveryWorker(app, on_clock_change=started.rebuild)
    worker.start()
    jobs.worker, jobs.schedule = worker, started


def start_jobs_soon(app: Flask) -> None:
    """Start them in a moment, unless this process forks before.

    Then its children do the work.
    """
    jobs_of(app).pending = pending = _PendingStart(app)
    pending.start()


def cancel_start(app: Flask) -> bool:
    """Cancel a pending start; return whether there was one."""
    jobs = jobs_of(app)
    pending, jobs.pending = jobs.pending, None
    if pending:
        pending.cancel()
    return pending is not None


def announce_stop(app: Flask) -> None:
    """Make the delivery worker begin nothing more, without waiting.

    Call `stop_jobs` afterwards.
    """
    if worker := jobs_of(app).worker:
        worker.announce_stop()


def stop_jobs(app: Flask) -> None:
    """Stop both and wait some seconds for current work.

    Does nothing if they do not run.
    """
    jobs = jobs_of(app)
    pending = jobs.pending
    if cancel_start(app) and pending is not None:
        pending.join(LONGEST_START_S)  # a start that is running leaves work to stop
    worker, jobs.worker = jobs.worker, None
    if worker:
        worker.stop()
    schedule, jobs.schedule = jobs.schedule, None
    if schedule:
        schedule.stop()


def drop_jobs(app: Flask) -> list[Any]:
    """Forget jobs whose threads do not exist after a fork; return what was forgotten."""
    dropped = runtime_of(app).take(Jobs) or Jobs()
    if dropped.worker:
        dropped.worker.forget()
    return [job for job in (dropped.pending, dropped.schedule, dropped.worker) if job]


def jobs_of(app: Flask) -> Jobs:
    """Return the background work of an application."""
    return runtime_of(app).part(Jobs)


class _PendingStart(threading.Thread):
    """Starts the jobs after a moment.

    Retries if the database is unavailable, until it is cancelled.
    """

    def __init__(self, app: Flask) -> None:
        super().__init__(name="start-jobs", daemon=True)
        self._app = app
        self._is_given_up = threading.Event()

    def cancel(self) -> None:
        """Begin no further start; does not wait for a running one."""
        self._is_given_up.set()

    def run(self) -> None:
        wait_s = SETTLE_S
        while not self._is_given_up.wait(wait_s):
            try:
                start_jobs(self._app)
            except SQLAlchemyError:  # the outermost loop: an unavailable database may be back in a moment
                log.exception("scheduled tasks cannot be started now")
                wait_s = RETRY_S
            else:
                jobs_of(self._app).pending = None
                return


# What a forked process must not share with its parent: connections, locks, threads, and the holder of leases
#
# Servers such as `gunicorn --preload` and uWSGI load the application once and fork their workers. Two processes on
# one connection mix up their results, a lock that another thread held stays locked, and threads are not copied. A
# process that already serves or works should not fork others that serve: what its threads hold inside SQLite at that
# moment cannot be recreated.

_applications: WeakSet[Flask] = WeakSet()
# Applications whose jobs run only in the children of this process.
_started_in_children: WeakSet[Flask] = WeakSet()
# What the parent still uses. It is neither closed nor freed here: that would close the parent's connections.
_inherited: list[object] = []
_pid = os.getpid()


def prepare_for_forks(app: Flask) -> None:
    """Make each forked process serve the application with its own connections.

    And with its own threads. Closes the connections that the start has used. SQLite locks belong to the process: a
    child that inherits an open connection believes that it holds locks which its parent holds
    (https://www.sqlite.org/howtocorrupt.html, 2.6).
    """
    db_engine.close_connections(app, is_quiet=True)
    _applications.add(app)


def start_jobs_in_workers(app: Flask) -> None:
    """Start scheduled work in each process that serves.

    A process that only forks those starts none. Raise RuntimeError under uWSGI without threads.
    """
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        start_jobs_soon(app)
        return
    if not uwsgi.has_threads:
        raise RuntimeError("uWSGI runs without threads, which scheduled tasks and delivery need: add --enable-threads")
    if uwsgi.worker_id():
        start_jobs_soon(app)
        return
    _started_in_children.add(app)
    # uWSGI forks without notifying Python, and calls this in each worker.
    vars(uwsgi)["post_fork_hook"] = _begin_in_worker


def _begin_in_worker() -> None:
    _renew_in_child()
    for app in list(_started_in_children):  # in the same process if uWSGI forks none
        _started_in_children.discard(app)
        start_jobs_soon(app)


def _renew_in_child() -> None:
    global _pid
    if os.getpid() == _pid:
        return
    _pid = os.getpid()
    tasks.choose_holder()
    orm.renew_lock()
    passwords.renew_seats()
    reader_process.renew_process()
    _inherited.append(dict(db.session.registry.registry))
    db.session.registry.registry.clear()
    for app in list(_applications):
        _renew(app)


def _renew(app: Flask) -> None:
    with app.app_context():
        for engine in db.engines.values():
            _inherited.append(engine.pool)
            engine.dispose(close=False)
    own = runtime_of(app)
    _inherited.extend((own.take(ExactCache), own.take(health.Examiner), own.take(batches.Batches)))
    dropped = drop_jobs(app)
    _inherited.append(dropped)
    if dropped or app in _started_in_children:
        _started_in_children.discard(app)
        start_jobs_soon(app)


def _leave_jobs_to_children() -> None:
    """Start no jobs in a process that forks before they began.

    It only loads the application for its workers.
    """
    for app in list(_applications):
        if cancel_start(app):
            _started_in_children.add(app)
            log.info("scheduled tasks and delivery run in the forked processes")


os.register_at_fork(after_in_child=_renew_in_child, after_in_parent=_leave_jobs_to_children)
