"""What a forked process must not share with its parent: connections, locks, threads, and the name of a lease holder.

Servers such as `gunicorn --preload` and uWSGI load the application once and fork their workers. Two processes on one
connection mix up their answers, a lock that another thread held stays locked, and threads do not come along.
A process that serves or works already should not fork others that serve: what its threads hold inside SQLite at that
moment cannot be renewed.
"""

import logging
import os
import sys
from weakref import WeakSet

from flask import Flask

from app import database, jobs
from app.extensions import db
from app.jobs import tasks
from app.services import health, passwords, report_reader, transaction
from app.services.collect import batches

log = logging.getLogger(__name__)

CACHE = "duplistatus.cache"

_applications: WeakSet[Flask] = WeakSet()
# Those whose jobs run in the children of this process alone.
_left_to_children: WeakSet[Flask] = WeakSet()
# What the parent still uses. It is neither closed nor freed here: that would end the parent's connections.
_inherited: list[object] = []
_pid = os.getpid()


def prepare_for_forks(app: Flask) -> None:
    """Have each process that is forked from now on serve the application with connections and threads of its own.

    Closes the connections that the start has used. SQLite takes locks for the process: a child that inherits an open
    connection believes that it holds locks which its parent holds (https://www.sqlite.org/howtocorrupt.html, 2.6).
    """
    database.close_connections(app, is_quiet=True)
    _applications.add(app)


def start_jobs_in_workers(app: Flask) -> None:
    """Start scheduled work and delivery in each process that serves, and not in one that only forks those.

    Raises RuntimeError under uWSGI without threads.
    """
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        jobs.start_jobs_soon(app)
        return
    if not uwsgi.has_threads:
        raise RuntimeError("uWSGI runs no threads, which scheduled work and delivery need: add --enable-threads")
    if uwsgi.worker_id():
        jobs.start_jobs_soon(app)
        return
    _left_to_children.add(app)
    # It forks without telling Python, and calls this in each worker.
    vars(uwsgi)["post_fork_hook"] = _begin_in_worker


def _begin_in_worker() -> None:
    _renew_in_child()
    for app in list(_left_to_children):  # in the same process, where it forks none
        _left_to_children.discard(app)
        jobs.start_jobs_soon(app)


def _renew_in_child() -> None:
    global _pid
    if os.getpid() == _pid:
        return
    _pid = os.getpid()
    tasks.choose_holder()
    transaction.renew_lock()
    passwords.renew_seats()
    report_reader.renew_process()
    _inherited.append(dict(db.session.registry.registry))
    db.session.registry.registry.clear()
    for app in list(_applications):
        _renew(app)


def _renew(app: Flask) -> None:
    with app.app_context():
        for engine in db.engines.values():
            _inherited.append(engine.pool)
            engine.dispose(close=False)
    _inherited.extend(app.extensions.pop(name, None) for name in (CACHE, health.EXTENSION, batches.EXTENSION))
    dropped = jobs.drop_jobs(app)
    _inherited.append(dropped)
    if dropped or app in _left_to_children:
        _left_to_children.discard(app)
        jobs.start_jobs_soon(app)


def _leave_jobs_to_children() -> None:
    """Start no jobs in a process that forks before they began: it only loads the application for its workers."""
    for app in list(_applications):
        if jobs.cancel_start(app):
            _left_to_children.add(app)
            log.info("scheduled work and delivery run in the forked processes")


os.register_at_fork(after_in_child=_renew_in_child, after_in_parent=_leave_jobs_to_children)
