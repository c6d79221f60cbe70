"""Health check: database, schema, a real write, disk space, scheduled checks, delivery.

Used by `/api/health`, the doctor, alerts and pings to an external monitor, so that all agree.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

from flask import Flask, current_app
from marshmallow import fields
from sqlalchemy import func, inspect, select, text

from app import runtime
from app.backups.models import Job, Server
from app.core.db import engine
from app.core.db.faults import DATABASE_ERRORS, Fault, describe, fault_of
from app.core.db.orm import db, exclusive_writer, insert_for
from app.core.instants import to_milliseconds
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, check_instant, declare
from app.database import checks
from app.database.backup import database_file
from app.legacy_import.stored_forms import read_time
from app.notifications import delivery
from app.notifications.models import Delivery
from app.runtime import settings
from app.scheduling import control
from app.scheduling.control import Lease, Task

STARTED_AT = declare(Setting("jobs_started_at", str, default=None, shape=fields.String(validate=check_instant)))


log = logging.getLogger(__name__)

# A check reads and writes, and anyone may request one.
KEPT = timedelta(seconds=30)
# Time a request waits for a check, and a check waits for another writer of the database.
PATIENCE_S = 4.0
WRITE_PATIENCE_S = 1.0
# A message is retried for hours; if one has been due for this long, the delivery worker is not running.
LONGEST_WAIT = timedelta(minutes=15)
# Number of intervals without a run after which a check counts as missing.
CHECKS_MISSED = 3
# For a check with a custom schedule, which is unknown here.
LONGEST_REST = timedelta(hours=26)
ALARM_CHECK = "alarm-check"
JOBS_STARTED = "jobs_started_at"
# The lease whose row is written by each check.
PROBE = "health-probe"

# Reasons besides the values of `Fault`, also codes for programs.
NO_ANSWER = "no_answer"
LOW_DISK_SPACE = "low_disk_space"
NO_CHECKS = "overdue_check_late"
FAILED_CHECKS = "overdue_check_failed"
SCHEDULE_STOPPED = "schedule_stopped"
WORKER_STOPPED = "delivery_worker_stopped"
LATE_MESSAGES = "deliveries_late"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem: a code for programs, and technical details for signed-in users."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Health:
    """Result of a check; the most serious problem comes first."""

    is_connected: bool
    is_migrated: bool = False
    queries_work: bool = False
    can_write: bool = False
    tables: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    query_error: str = ""

    @property
    def is_healthy(self) -> bool:
        """Whether there are no problems."""
        return self.is_connected and self.is_migrated and self.queries_work and not self.problems

    @property
    def reason(self) -> str:
        """Return the code of the most serious problem; empty if none."""
        return self.problems[0].code if self.problems else ""

    @property
    def codes(self) -> frozenset[str]:
        """Return the codes of all problems."""
        return frozenset(problem.code for problem in self.problems)


class Examiner:
    """Caches the latest result and renews it, in a thread of its own, after half a minute.

    So requests cannot cause load, and a database that does not respond delays no request for long.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[datetime, Health] | None = None
        self._running: threading.Thread | None = None
        self._began_s = 0.0

    def ask(self, now: datetime) -> Health:
        """Return the health, at most half a minute old."""
        with self._lock:
            if self._is_fresh(now):
                return self._last()
            if self._running is None:
                app = current_app._get_current_object()  # type: ignore[attr-defined]
                self._began_s = monotonic()
                self._running = threading.Thread(target=self._examine, args=(app, now), name="health", daemon=True)
                self._running.start()
            elif self._kept and self._left_s() > 0:
                return self._last()
            running, left_s = self._running, self._left_s()
        running.join(max(0.0, left_s))
        with self._lock:
            return self._last() if self._running is not running else _unanswered()

    def _is_fresh(self, now: datetime) -> bool:
        return self._kept is not None and abs(now - self._kept[0]) < KEPT

    def _last(self) -> Health:
        assert self._kept is not None  # noqa: S101 (called only if there is one)
        return self._kept[1]

    def _left_s(self) -> float:
        return self._began_s + PATIENCE_S - monotonic()

    def _examine(self, app: Flask, now: datetime) -> None:
        found = Health(is_connected=False, problems=(Problem(NO_ANSWER, "The examination failed; see the log"),))
        try:
            with app.app_context():
                found = inspect_now(now)
        except Exception:  # a thread of its own: the error would be lost
            log.exception("health cannot be checked")
        finally:
            with self._lock:
                self._kept, self._running = (now, found), None


def examine(now: datetime) -> Health:
    """Return the health, at most half a minute old.

    Waits a few seconds at most and never raises.
    """
    return runtime.part(Examiner).ask(now)


def inspect_now(now: datetime) -> Health:
    """Run all checks now, however long they take; never raises for a broken database."""
    found = _inspect_database()
    if found.is_connected:
        problem = find_write_problem(now)
        found = replace(found, can_write=problem is None, problems=(*found.problems, *filter(None, (problem,))))
    # Consequences of an unreadable database are not reported separately.
    works = (partial(find_schedule_problems, now), partial(find_late_messages, now)) if found.queries_work else ()
    further = [problem for part in (find_disk_problems, find_worker_problems, *works) for problem in _collected(part)]
    return replace(found, problems=_unique([*found.problems, *further]))


def record_scheduler_start(now: datetime) -> None:
    """Record the start of the scheduler.

    Checks missed while the server was off are not late yet.
    """
    try:
        settings_store.save(JOBS_STARTED, now.isoformat(), now=now)
    except DATABASE_ERRORS as error:  # the start continues: a full disk may have space again
        log.error("the start of scheduled tasks could not be recorded: %s", describe(error))


def find_write_problem(now: datetime) -> Problem | None:
    """Write one small row durably, which a full disk, a read-only folder or a lock prevents."""
    try:
        with exclusive_writer(WRITE_PATIENCE_S):
            _write(now)
    except DATABASE_ERRORS as error:
        return _problem(error)
    return None


def find_disk_problems() -> Iterator[Problem]:
    """Return the folders whose disk has little free space."""
    for space in checks.measure_disks(settings().data_dir):
        if space.is_short:
            yield Problem(LOW_DISK_SPACE, f"{space.free_bytes / 1e6:.0f} MB are free in {space.folder}")


def find_schedule_problems(now: datetime) -> Iterator[Problem]:
    """Return checks that have not run for too long, by their last runs in the database."""
    rows = {row.name: row for row in db.session.scalars(select(Task).execution_options(populate_existing=True))}
    started_at = read_time(settings_store.get(JOBS_STARTED))
    for name, longest in _checks():
        row = rows.get(name)
        times = [at for at in (row.last_started_at if row else None, started_at) if at is not None]
        if times and now - max(times) > longest:
            yield Problem(NO_CHECKS, f"{name} has not run since {max(times):%Y-%m-%d %H:%M} UTC")
            return
        if row and row.last_error and name == control.OVERDUE_CHECK:
            yield Problem(FAILED_CHECKS, f"{name} failed: {row.last_error}")


def find_worker_problems() -> Iterator[Problem]:
    """Return problems of scheduler and delivery worker, if they should run in this process."""
    if control.has_ended():
        yield Problem(SCHEDULE_STOPPED, "The schedule of this process has stopped")
    worker = runtime.part(control.Jobs).worker
    if worker is not None and not worker.is_working:
        yield Problem(WORKER_STOPPED, "The delivery worker of this process has stopped or hangs")


def find_late_messages(now: datetime) -> Iterator[Problem]:
    """Return a problem if messages have been due for long while none was sent.

    Messages of failing channels do not count: these have an alert of their own.
    """
    since_at = now - LONGEST_WAIT
    count = delivery.count_overdue(since_at, now)
    newest = db.session.scalar(select(func.max(Delivery.finished_at))) if count else None
    if count and (newest is None or newest <= since_at):
        minutes = LONGEST_WAIT.seconds // 60
        yield Problem(LATE_MESSAGES, f"{count} notifications should have been sent more than {minutes} minutes ago")


def _checks() -> Iterator[tuple[str, timedelta]]:
    """Return the checks that should run, and after how long without a run they are late.

    Omits those that an administrator disabled, or stopped in this process.
    """
    chosen = control.check_interval()
    every = control.length_of(chosen)
    longest = LONGEST_REST if every is None else max(CHECKS_MISSED * every, LONGEST_WAIT)
    if chosen.is_enabled and not control.is_stopped_here(control.OVERDUE_CHECK):
        yield control.OVERDUE_CHECK, longest
    if control.is_enabled(ALARM_CHECK) and not control.is_stopped_here(ALARM_CHECK):
        yield ALARM_CHECK, LONGEST_WAIT


def _inspect_database() -> Health:
    """Check tables, columns, queries and the pages of the file."""
    problems: list[Problem] = []
    try:
        connection = db.session.connection()
        connection.execute(text("SELECT 1"))
    except DATABASE_ERRORS as error:
        db.session.rollback()
        return Health(is_connected=False, problems=(_problem(error),))
    tables: tuple[str, ...] = ()
    query_error = ""
    try:
        tables = tuple(sorted(inspect(connection).get_table_names()))
        if differences := engine.find_differences(connection):
            problems.append(Problem(Fault.SCHEMA, engine.name_differences(differences)))
        elif "alembic_version" not in tables:
            problems.append(Problem(Fault.SCHEMA, "table alembic_version is missing"))
        db.session.execute(select(func.count()).select_from(Server))
        db.session.execute(select(Job.id).limit(1))
    except DATABASE_ERRORS as error:
        query_error = describe(error)
        problems.append(_problem(error))
    db.session.rollback()
    problems += _collected(_find_damage)
    return Health(
        is_connected=True,
        is_migrated="alembic_version" in tables,
        queries_work=not query_error,
        tables=tables,
        problems=tuple(problems),
        query_error=query_error,
    )


def _find_damage() -> Iterator[Problem]:
    if damage := checks.known_damage():
        yield Problem(Fault.DAMAGED, damage)


def _collected(part: Callable[[], Iterator[Problem]]) -> list[Problem]:
    """Return the problems found by a check.

    An error of the database is a problem too.
    """
    found: list[Problem] = []
    try:
        found += part()
    except DATABASE_ERRORS as error:
        found.append(_problem(error))
    finally:
        db.session.rollback()
    return found


def _unique(problems: list[Problem]) -> tuple[Problem, ...]:
    """Return one problem of each code.

    Damage explains most others, so it comes first.
    """
    by_code = {problem.code: problem for problem in reversed(problems)}
    found = [by_code[code] for code in dict.fromkeys(problem.code for problem in problems)]
    return tuple(sorted(found, key=lambda problem: problem.code != Fault.DAMAGED))


def _problem(error: BaseException) -> Problem:
    return Problem(fault_of(error) or Fault.SCHEMA, describe(error))


def _unanswered() -> Health:
    sentence = f"The database did not answer within {PATIENCE_S:g} seconds"
    return Health(is_connected=False, problems=(Problem(NO_ANSWER, sentence),))


def _write(now: datetime) -> None:
    """Write the row of `PROBE` on a connection with a short lock timeout."""
    if db.engine.dialect.name == "sqlite":
        address = f"{database_file().absolute().as_uri()}?mode=rw"
        row = (PROBE, PROBE, to_milliseconds(now))
        with closing(sqlite3.connect(address, uri=True, timeout=WRITE_PATIENCE_S, isolation_level=None)) as connection:
            connection.execute("INSERT OR REPLACE INTO leases (name, holder, expires_at) VALUES (?, ?, ?)", row)
        return
    milliseconds = int(WRITE_PATIENCE_S * 1000)
    values = {"holder": PROBE, "expires_at": now}
    with db.engine.begin() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
        connection.execute(text(f"SET LOCAL statement_timeout = {2 * milliseconds}"))
        statement = insert_for("postgresql")(Lease).values(name=PROBE, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
