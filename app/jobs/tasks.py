"""The tasks by name: what each does, when by default, and what one run of it came to."""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

from flask import Flask

from app.contracts.errors import NotFound
from app.models import Task
from app.services import (
    alarms,
    clock,
    compaction,
    digests,
    duplicati_versions,
    evaluate,
    external_monitor,
    guesses,
    health_alarms,
    integrity,
    leases,
    local_backups,
    repairs,
    retention,
    session_store,
    summaries,
    summary_settings,
    tidying,
)
from app.services.collect import pulling
from app.services.external_monitor import ExternalMonitor
from app.services.health import ALARM_CHECK
from app.services.summary_settings import SummaryPlan
from app.services.task_schedule import OVERDUE_CHECK
from app.services.transaction import insert_for, writing
from app.services.visibility import ALL_SERVERS

log = logging.getLogger(__name__)

# One name for this process among those that share the database.
HOLDER = uuid.uuid4().hex
# Clocks of several machines may differ by this much, and still each tick of a schedule is worked off once.
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
    """Give this process a name of its own, after it was forked."""
    global HOLDER
    HOLDER = uuid.uuid4().hex


class UnknownTask(NotFound):
    """There is no task of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Unknown task: {name}")


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How one run of a task went: a sentence and figures, or the error."""

    name: str
    message: str = ""
    statistics: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduledTask:
    """Work that a schedule starts: `expression` is a crontab in UTC, `work` gives a sentence and figures.

    `plan` is for tasks whose times people choose in the settings. These may come late, and are looked after at each
    start: their work knows itself what is due, and does it once. `starts_soon` is for work that is due at each start.
    """

    name: str
    expression: str
    work: Callable[[datetime], tuple[str, Mapping[str, int]]]
    plan: Callable[[], SummaryPlan | ExternalMonitor] | None = None
    starts_soon: bool = False


def _check_overdue(now: datetime) -> tuple[str, Mapping[str, int]]:
    found = evaluate.check_overdue(now, ALL_SERVERS)
    return "Task executed successfully", {
        "totalBackupConfigs": found.settings_count,
        "checkedBackups": found.checked_count,
        "overdueBackupsFound": found.overdue_count,
        "notificationsSent": found.told_count,
    }


def _look_around(now: datetime) -> tuple[str, Mapping[str, int]]:
    count = alarms.look_around(now) + health_alarms.look(now)
    return f"Queued {count} alarms about silence, channels, destinations and health", {}


def _check_integrity(now: datetime) -> tuple[str, Mapping[str, int]]:
    damage = integrity.check(now)
    if damage is None:
        return "PostgreSQL looks after its own files", {}
    return (f"The database file is damaged: {damage}" if damage else "The database file is whole"), {}


def _ping_monitor(now: datetime) -> tuple[str, Mapping[str, int]]:
    result = external_monitor.ping_if_due(now)
    if result is None:
        return "No ping was due", {}
    if result.error:
        return f"The external monitor cannot be pinged: {result.error}", {}
    return ("The external monitor was pinged" if not result.reason else f"Reported as failing: {result.reason}"), {}


def _clean_audit_log(now: datetime) -> tuple[str, Mapping[str, int]]:
    days = retention.audit_retention_days()
    count = retention.purge_audit_log(days, now=now)
    return f"Deleted {count} audit log entries older than {days} days", {}


def _keep_house(now: datetime) -> tuple[str, Mapping[str, int]]:
    session_store.purge_expired(now)
    guesses.purge(now)
    return f"Removed expired sessions, packed {compaction.repack_logs(now)} logs", {}


def _delete_old(now: datetime) -> tuple[str, Mapping[str, int]]:
    done = retention.clean_up(retention.rules(), now=now)
    rest = f"{done.delivery_count} old deliveries and {done.log_count} old log files"
    return f"Deleted {done.run_count} runs of {done.job_count} jobs, {rest}", {"deletedRuns": done.run_count}


def _back_up(now: datetime) -> tuple[str, Mapping[str, int]]:
    made = local_backups.back_up_if_due(now)
    return f"Made {made.name}" if made else "No backup was due", {}


def _collect(now: datetime) -> tuple[str, Mapping[str, int]]:
    found = pulling.pull_due(now)
    told = f"Asked {found.server_count} servers, stored {found.run_count} runs; {found.failure_count} did not answer"
    return told if found.server_count else "No server was due", {}


def _look_for_versions(now: datetime) -> tuple[str, Mapping[str, int]]:
    found = duplicati_versions.check_if_due(now)
    if found is None:
        return "No look for versions of Duplicati was due", {}
    known = ", ".join(f"{channel} {version}" for channel, version in (found.newest or {}).items())
    return f"Newest versions of Duplicati: {known or 'unknown'}", {}


def _compact(now: datetime) -> tuple[str, Mapping[str, int]]:
    found = tidying.tidy_database(now)
    freed = f"gave {found.freed_bytes} bytes back" if found.freed_bytes else "had nothing to give back"
    removed = f"{found.server_count} empty servers, {found.job_count} empty jobs and {found.badge_count} badges"
    return f"Removed {removed}; the database {freed}", {}


def _send_summary(now: datetime) -> tuple[str, Mapping[str, int]]:
    count = summaries.send_due(now)
    return ("No summary was due" if count is None else f"Queued {count} mails"), {}


def _send_digest(now: datetime) -> tuple[str, Mapping[str, int]]:
    count = digests.send_due(now)
    return ("No digest was due" if count is None else f"Queued {count} messages"), {}


def _read_lists_again(now: datetime) -> tuple[str, Mapping[str, int]]:
    count = repairs.read_lists_again(now)
    left = repairs.progress()
    if left is not None:
        told = f"Read the lists of versions of {count} jobs again: {left.done_runs} of {left.total_runs} runs are done"
        return told, {"jobsLeft": left.job_count}
    return (f"Read the lists of versions of {count} jobs again" if count else "Nothing was left to read"), {}


TASKS: Mapping[str, ScheduledTask] = {
    task.name: task
    for task in (
        ScheduledTask(OVERDUE_CHECK, "*/5 * * * *", _check_overdue),
        ScheduledTask(ALARM_CHECK, "*/5 * * * *", _look_around),
        ScheduledTask(AUDIT_CLEANUP, "0 2 * * *", _clean_audit_log),
        ScheduledTask(HOUSEKEEPING, "17 * * * *", _keep_house),
        ScheduledTask(RETENTION, "40 2 * * *", _delete_old),
        ScheduledTask(LOCAL_BACKUP, "*/5 * * * *", _back_up),
        ScheduledTask(COLLECTING, "*/5 * * * *", _collect),
        ScheduledTask(VERSION_CHECK, "23 * * * *", _look_for_versions),
        ScheduledTask(VERSION_LISTS, "*/5 * * * *", _read_lists_again, starts_soon=True),
        ScheduledTask(INTEGRITY_CHECK, "20 3 * * *", _check_integrity),
        ScheduledTask(MONITOR_PING, external_monitor.EVERY_MINUTE, _ping_monitor, external_monitor.read),
        ScheduledTask(COMPACTION, "0 4 * * 0", _compact),
        ScheduledTask(DAILY_SUMMARY, "0 1 * * *", _send_summary, summary_settings.daily_summary),
        ScheduledTask(DIGEST, "0 6 * * 1", _send_digest, summary_settings.digest),
    )
}


def run_task(app: Flask, name: str) -> TaskResult:
    """Run a task now, whoever holds its lease, and record how it went. Raises UnknownTask."""
    if name not in TASKS:
        raise UnknownTask(name)
    with app.app_context():
        began, started_at = monotonic(), clock.now()
        try:
            message, statistics = TASKS[name].work(started_at)
            result = TaskResult(name, message, statistics)
        except Exception as error:  # the next tick must come, whatever went wrong in this one
            log.exception("task %s failed", name)
            result = TaskResult(name, error=f"{type(error).__name__}: {error}")
        _record(result, started_at, monotonic() - began)
        return result


def run_tick(app: Flask, name: str) -> TaskResult | None:
    """Run a task because its time has come; None when another process does it."""
    with app.app_context():
        now = clock.now()
        if not leases.take_lease(f"task:{name}", HOLDER, now):
            return None
    result = run_task(app, name)
    with app.app_context():
        leases.keep_lease(f"task:{name}", HOLDER, until=now + TICK)
    return result


def _record(result: TaskResult, started_at: datetime, duration_s: float) -> None:
    values = {"last_started_at": started_at, "last_duration_s": duration_s, "last_error": result.error}
    with writing() as session:
        connection = session.connection()
        statement = insert_for(connection.dialect.name)(Task.__table__).values(name=result.name, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
