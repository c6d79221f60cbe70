"""The scheduled tasks, their default times and results, and their schedule."""

import logging
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Thread
from time import monotonic
from typing import Any

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from flask import Flask
from flask_apscheduler import APScheduler
from sqlalchemy.exc import SQLAlchemyError

from app import runtime
from app.accounts import sessions, sign_in
from app.accounts.models import ALL_SERVERS
from app.backups import duplicati_versions, repairs
from app.collector import batches
from app.core.db.orm import insert_for, writing
from app.core.errors import Refused, dump_refusal, load_refusal
from app.core.settings import store as settings_store
from app.database import checks, external_monitor, health_alarms, local_backups, maintenance, retention
from app.database.external_monitor import ExternalMonitor
from app.database.health import ALARM_CHECK
from app.notifications import digests, summaries, summary_settings, watchdogs
from app.notifications.summary_settings import SummaryPlan
from app.plugin import N_
from app.schedules import overdue_check
from app.scheduling import control
from app.scheduling.control import OVERDUE_CHECK, Planned, Task

log = logging.getLogger(__name__)

# Name of this process among those that share the database.
HOLDER = uuid.uuid4().hex
# Clocks of several machines may differ by this much, and each trigger is still handled only once.
TICK = timedelta(seconds=50)

AUDIT_CLEANUP = "audit-log-cleanup"
HOUSEKEEPING = "housekeeping"
COMPACTION = "compaction"
DAILY_SUMMARY = "daily-summary"
DIGEST = "digest"
RETENTION = "retention"
LOCAL_BACKUP = "local-backup"
COLLECTING = "collect-from-servers"
VERSION_CHECK = "duplicati-versions"
VERSION_LISTS = "version-lists"
INTEGRITY_CHECK = "integrity-check"
MONITOR_PING = "external-monitor"


def choose_holder() -> None:
    """Set a new name of this process, after a fork."""
    global HOLDER
    HOLDER = uuid.uuid4().hex


class UnknownTask(Refused):
    """There is no task of this name."""

    def __init__(self, name: str) -> None:
        super().__init__("task_unknown", name=name)


class Sentence:
    """What a task did: a text marked for translation, and its parameters, which may be errors."""

    def __init__(self, text: str, /, **params: Any) -> None:
        self.text = text
        self.params = params

    def __str__(self) -> str:
        """Return the English sentence."""
        return self.text % self.params


# A sentence, and figures for the API.
Done = tuple[Sentence, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Result of one run of a task: a sentence and figures, or the error.

    `problem` is the error if it is one for users.
    """

    name: str
    sentence: Sentence | None = None
    statistics: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    problem: Refused | None = None

    @property
    def message(self) -> str:
        """The English sentence."""
        return str(self.sentence or "")


@dataclass(frozen=True, slots=True)
class ScheduledTask:
    """A scheduled task.

    `expression` is a crontab in UTC, `work` returns a sentence and figures. `plan` is for tasks whose times users
    choose in the settings. Their runs may be late, and are made up for at each start: the work decides what is due,
    and does it once. `starts_soon` is for work that is due at each start.
    """

    name: str
    expression: str
    work: Callable[[datetime], Done]
    plan: Callable[[], SummaryPlan | ExternalMonitor] | None = None
    starts_soon: bool = False


def _check_overdue(now: datetime) -> Done:
    found = overdue_check.check_overdue(now, ALL_SERVERS)
    return Sentence(N_("Task executed successfully")), {
        "totalBackupConfigs": found.settings_count,
        "checkedBackups": found.checked_count,
        "overdueBackupsFound": found.overdue_count,
        "notificationsSent": found.notified_count,
    }


def _run_watchdogs(now: datetime) -> Done:
    count = watchdogs.run_watchdogs(now) + health_alarms.run_health_alerts(now)
    return Sentence(
        N_("Queued %(count)s alerts about missing reports, channels, destinations and health"), count=count
    ), {}


def _check_integrity(now: datetime) -> Done:
    damage = checks.check_damage(now)
    if damage is None:
        return Sentence(N_("Not applicable to PostgreSQL")), {}
    if damage:
        return Sentence(N_("The database file is damaged: %(damage)s"), damage=damage), {}
    return Sentence(N_("Integrity check passed")), {}


def _ping_monitor(now: datetime) -> Done:
    result = external_monitor.ping_if_due(now)
    if result is None:
        return Sentence(N_("No ping was due")), {}
    if result.error:
        reason = load_refusal(result.error_details) or result.error
        return Sentence(N_("The ping to the external monitor failed: %(reason)s"), reason=reason), {}
    if result.reason:
        return Sentence(N_("Reported as failing: %(reason)s"), reason=result.reason), {}
    return Sentence(N_("Pinged the external monitor")), {}


def _clean_audit_log(now: datetime) -> Done:
    days = retention.audit_retention_days()
    count = retention.purge_audit_log(days, now=now)
    return Sentence(N_("Deleted %(count)s audit log entries older than %(days)s days"), count=count, days=days), {}


def _tidy_up(now: datetime) -> Done:
    sessions.purge_expired(now)
    sign_in.purge_networks(now)
    count = repairs.repack_logs(now)
    return Sentence(N_("Removed expired sessions, packed %(count)s logs"), count=count), {}


def _delete_old(now: datetime) -> Done:
    done = retention.clean_up(retention.rules(), now=now)
    sentence = Sentence(
        N_("Deleted %(runs)s runs of %(jobs)s jobs, %(deliveries)s old deliveries and %(logs)s old log files"),
        runs=done.run_count,
        jobs=done.job_count,
        deliveries=done.delivery_count,
        logs=done.log_count,
    )
    return sentence, {"deletedRuns": done.run_count}


def _back_up(now: datetime) -> Done:
    made = local_backups.back_up_if_due(now)
    return (Sentence(N_("Created %(name)s"), name=made.name) if made else Sentence(N_("No backup was due"))), {}


def _collect(now: datetime) -> Done:
    found = batches.collect_due(now)
    if not found.server_count:
        return Sentence(N_("No server was due")), {}
    sentence = Sentence(
        N_("Collected from %(servers)s servers, stored %(runs)s runs; %(failures)s failed"),
        servers=found.server_count,
        runs=found.run_count,
        failures=found.failure_count,
    )
    return sentence, {}


def _check_versions(now: datetime) -> Done:
    found = duplicati_versions.check_if_due(now)
    if found is None:
        return Sentence(N_("No version check was due")), {}
    known = ", ".join(f"{channel} {version}" for channel, version in (found.newest or {}).items())
    if not known:
        return Sentence(N_("Latest Duplicati versions: unknown")), {}
    return Sentence(N_("Latest Duplicati versions: %(versions)s"), versions=known), {}


def _compact(now: datetime) -> Done:
    found = maintenance.run_maintenance(now)
    removed = {"servers": found.server_count, "jobs": found.job_count, "badges": found.badge_count}
    freed = N_(
        "Removed %(servers)s empty servers, %(jobs)s empty jobs and %(badges)s badges; "
        "the database freed %(bytes)s bytes"
    )
    unchanged = N_(
        "Removed %(servers)s empty servers, %(jobs)s empty jobs and %(badges)s badges; the database had nothing to free"
    )
    if not found.freed_bytes:
        return Sentence(unchanged, **removed), {}
    return Sentence(freed, bytes=found.freed_bytes, **removed), {}


def _send_summary(now: datetime) -> Done:
    count = summaries.send_due(now)
    if count is None:
        return Sentence(N_("No summary was due")), {}
    return Sentence(N_("Queued %(count)s emails"), count=count), {}


def _send_digest(now: datetime) -> Done:
    count = digests.send_due(now)
    if count is None:
        return Sentence(N_("No digest was due")), {}
    return Sentence(N_("Queued %(count)s notifications"), count=count), {}


def _read_lists_again(now: datetime) -> Done:
    count = repairs.reread_versions(now)
    progress = repairs.progress()
    if progress is not None:
        sentence = Sentence(
            N_("Read the version lists of %(count)s jobs again: %(done)s of %(total)s runs are done"),
            count=count,
            done=progress.done_runs,
            total=progress.total_runs,
        )
        return sentence, {"jobsLeft": progress.job_count}
    if not count:
        return Sentence(N_("Nothing to read")), {}
    return Sentence(N_("Read the version lists of %(count)s jobs again"), count=count), {}


TASKS: Mapping[str, ScheduledTask] = {
    task.name: task
    for task in (
        ScheduledTask(OVERDUE_CHECK, "*/5 * * * *", _check_overdue),
        ScheduledTask(ALARM_CHECK, "*/5 * * * *", _run_watchdogs),
        ScheduledTask(AUDIT_CLEANUP, "0 2 * * *", _clean_audit_log),
        ScheduledTask(HOUSEKEEPING, "17 * * * *", _tidy_up),
        ScheduledTask(RETENTION, "40 2 * * *", _delete_old),
        ScheduledTask(LOCAL_BACKUP, "*/5 * * * *", _back_up),
        ScheduledTask(COLLECTING, "*/5 * * * *", _collect),
        ScheduledTask(VERSION_CHECK, "23 * * * *", _check_versions),
        ScheduledTask(VERSION_LISTS, "*/5 * * * *", _read_lists_again, starts_soon=True),
        ScheduledTask(INTEGRITY_CHECK, "20 3 * * *", _check_integrity),
        ScheduledTask(MONITOR_PING, external_monitor.EVERY_MINUTE, _ping_monitor, external_monitor.read),
        ScheduledTask(COMPACTION, "0 4 * * 0", _compact),
        ScheduledTask(DAILY_SUMMARY, "0 1 * * *", _send_summary, summary_settings.daily_summary),
        ScheduledTask(DIGEST, "0 6 * * 1", _send_digest, summary_settings.digest),
    )
}


def run_task(app: Flask, name: str) -> TaskResult:
    """Run a task now and record the result.

    This process need not hold its lease. Raise UnknownTask.
    """
    if name not in TASKS:
        raise UnknownTask(name)
    with app.app_context():
        began, started_at = monotonic(), runtime.now()
        try:
            sentence, statistics = TASKS[name].work(started_at)
            result = TaskResult(name, sentence, statistics)
        except Exception as error:  # the next run must happen, whatever failed in this one
            log.exception("task %s failed", name)
            problem = error if isinstance(error, Refused) else None
            result = TaskResult(name, error=f"{type(error).__name__}: {error}", problem=problem)
        _record(result, started_at, monotonic() - began)
        return result


def run_tick(app: Flask, name: str) -> TaskResult | None:
    """Run a task because its time has come; None if another process does it."""
    with app.app_context():
        now = runtime.now()
        if not control.take_lease(f"task:{name}", HOLDER, now):
            return None
    result = run_task(app, name)
    with app.app_context():
        control.set_lease_end(f"task:{name}", HOLDER, until=now + TICK)
    return result


def _record(result: TaskResult, started_at: datetime, duration_s: float) -> None:
    values = {
        "last_started_at": started_at,
        "last_duration_s": duration_s,
        "last_error": result.error,
        "last_error_details": dump_refusal(result.problem) if result.problem else None,
    }
    with writing() as session:
        connection = session.connection()
        statement = insert_for(connection.dialect.name)(Task.__table__).values(name=result.name, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


# Crontab expressions in the usual form: in UTC, with 0 and 7 for Sunday

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def read_crontab(expression: str) -> CronTrigger:
    """Return a trigger for five fields separated by blanks.

    Raise ValueError if it is invalid. APScheduler counts weekdays from Monday, so their numbers are replaced by names
    first.
    """
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(f"expected 5 fields, found {len(fields)}: {expression!r}")
    minute, hour, day, month, weekday = fields
    return CronTrigger(
        minute=minute,
        hour=hour,
        day=day,
        month=month,
        day_of_week=",".join(_weekdays(part) for part in weekday.split(",")),
        timezone=UTC,
    )


def _weekdays(part: str) -> str:
    """Return one part of the fifth field with names.

    A step counts from Sunday, as in cron.
    """
    numbers, _, step = part.partition("/")
    if numbers == "*" and not step:
        return "*"
    match = re.fullmatch(r"(?:\*|([0-7])(?:-([0-7]))?)", numbers)
    if match is None:
        return part
    first = int(match[1] or 0)
    last = int(match[2] or (6 if step or not match[1] else first))
    if last < first or (step and not step.strip("0")):
        raise ValueError(f"invalid weekdays {part!r}")
    return ",".join(WEEKDAYS[number] for number in range(first, last + 1, int(step or 1)))


# The schedule starts the tasks at their times. One per application, so that tests may create many.

# A late trigger, after a sleep or a jump of the clock, is still handled within this time, and once.
GRACE_S = 600
LONGEST_STOP_S = 2.0
# How long after a start missed runs are made up for.
CATCH_UP_AFTER = timedelta(seconds=30)
# How often each process checks for settings that another one has changed, and the id of this check.
FOLLOW_EVERY_S = 10
FOLLOW = "follow-settings"


class Schedule:
    """The schedule of one application.

    Source: docs/compatibility/scheduler.md#get-post-apicron. Every process that shares the database uses the same
    settings, and the same tasks stopped and started manually.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.RLock()
        # The expression of each task, and whether it is enabled, as last applied.
        self._taken_over: dict[str, Planned] = {}
        self._scheduler = APScheduler(
            BackgroundScheduler(
                timezone=UTC,
                job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": GRACE_S},
            )
        )

    def start(self) -> None:
        """Schedule what is enabled, and begin.

        An invalid expression must not stop the monitor. Tasks that were stopped or started manually follow the
        settings again, in all processes.
        """
        self._scheduler.init_app(self._app)
        self._forget_changes()
        for error in self.rebuild():
            log.error("%s", error)
        for name in self.active_tasks():
            if TASKS[name].plan is not None or TASKS[name].starts_soon:
                self._catch_up(name)
        # Flask-APScheduler's own start does nothing in debug mode without a reloader, and we have none.
        self._scheduler.scheduler.start()

    def stop(self) -> None:
        """Stop, and wait a few seconds for a running task."""
        ending = Thread(target=self._scheduler.shutdown, daemon=True)
        ending.start()
        ending.join(LONGEST_STOP_S)

    @property
    def is_running(self) -> bool:
        """Whether tasks are triggered."""
        return bool(self._scheduler.running)

    def active_tasks(self) -> list[str]:
        """Return the names of the scheduled tasks, in the order of their declaration."""
        return [name for name in TASKS if self._scheduler.get_job(name) is not None]

    def start_task(self, name: str) -> None:
        """Schedule a task as in the settings, even if disabled there.

        Replaces a scheduled one. Raise UnknownTask, and ValueError for an invalid expression.
        """
        if name not in TASKS:
            raise UnknownTask(name)
        with self._lock:
            planned = self._planned()[name]
            self._add(name, planned[0])
            self._change(name, True, planned)

    def stop_task(self, name: str) -> None:
        """Remove a task from the schedule, until a reload or a start.

        Raise UnknownTask if it is not scheduled.
        """
        with self._lock:
            self.follow()
            try:
                self._scheduler.remove_job(name)
            except JobLookupError as error:
                raise UnknownTask(name) from error
            self._change(name, False, self._planned()[name])

    def reload(self) -> None:
        """Schedule every task again as in the settings.

        Applies to all processes that share the database. Raise ValueError for an invalid expression; that task then
        runs at its default times.
        """
        self._forget_changes()
        if errors := self.rebuild():
            raise ValueError(errors[0])

    def rebuild(self) -> list[str]:
        """Create the whole schedule again; return the errors of the settings."""
        with self._lock:
            self._scheduler.remove_all_jobs()
            self._taken_over.clear()
            self._scheduler.add_job(FOLLOW, self._follow_quietly, trigger="interval", seconds=FOLLOW_EVERY_S)
            return self.follow()

    def follow(self) -> list[str]:
        """Apply what any process has changed since; return the errors of the settings."""
        with self._lock:
            errors = []
            for name, wanted in self._wanted().items():
                if wanted != self._taken_over.get(name):
                    self._taken_over[name] = wanted
                    errors += self._take_over(name, *wanted)
            return errors

    def run_now(self, name: str) -> TaskResult:
        """Run a task, scheduled or not.

        The result of a failed or unknown one contains the error.
        """
        try:
            return run_task(self._app, name)
        except UnknownTask as error:
            return TaskResult(name, error=str(error), problem=error)

    def plans(self) -> dict[str, tuple[str, datetime | None]]:
        """Return the crontab expression of each task, and its next run.

        None if it is not scheduled.
        """
        jobs = {name: self._scheduler.get_job(name) for name in TASKS}
        planned = self._planned()
        return {name: (planned[name][0], job.next_run_time if job else None) for name, job in jobs.items()}

    def _take_over(self, name: str, expression: str, is_on: bool) -> list[str]:
        try:
            if is_on:
                self._add(name, expression)
            elif self._scheduler.get_job(name) is not None:
                self._scheduler.remove_job(name)
        except ValueError as error:
            if self._scheduler.get_job(name) is None:
                self._add(name, TASKS[name].expression)
            return [f"task {name} keeps its times: {error}"]
        return []

    def _add(self, name: str, expression: str) -> None:
        may_be_late = {"misfire_grace_time": None} if TASKS[name].plan is not None else {}
        trigger = read_crontab(expression)
        self._scheduler.add_job(name, self._tick, args=(name,), trigger=trigger, replace_existing=True, **may_be_late)

    def _tick(self, name: str) -> None:
        run_tick(self._app, name)
        self._follow_quietly()

    def _follow_quietly(self) -> None:
        try:
            for error in self.follow():
                log.error("%s", error)
        except SQLAlchemyError as error:  # the next check is soon, and other users of the database report more
            log.warning("the schedule cannot be compared with the settings now: %s", error)

    def _catch_up(self, name: str) -> None:
        at = datetime.now(UTC) + CATCH_UP_AFTER
        self._scheduler.add_job(f"{name}:catch-up", run_tick, args=(self._app, name), trigger="date", run_date=at)

    def _change(self, name: str, is_on: bool, planned: Planned) -> None:
        self._taken_over[name] = (planned[0], is_on)
        with self._app.app_context():
            control.store_manual_change(name, is_on, planned, now=runtime.now())

    def _forget_changes(self) -> None:
        with self._app.app_context():
            control.clear_manual_changes(now=runtime.now())

    def _wanted(self) -> dict[str, Planned]:
        """Return what should be scheduled.

        The settings, overridden by manual stops and starts.
        """
        planned = self._planned()
        with self._app.app_context():
            by_hand = {name: control.manual_state(name, plan) for name, plan in planned.items()}
        return {
            name: (expression, is_on if by_hand[name] is None else bool(by_hand[name]))
            for name, (expression, is_on) in planned.items()
        }

    def _planned(self) -> dict[str, Planned]:
        """Return the stored expression of each task and whether it is enabled."""
        with self._app.app_context():
            stored = settings_store.get("cron_tasks")
            return {name: _planned(task, stored.get(name)) for name, task in TASKS.items()}


def _planned(task: ScheduledTask, stored: object) -> Planned:
    plan = task.plan() if task.plan is not None else None
    expression, is_on = (plan.rhythm.crontab, plan.is_on) if plan else (task.expression, True)
    values = stored if isinstance(stored, dict) else {}
    return str(values.get("cronExpression", expression)), bool(values.get("enabled", is_on))
