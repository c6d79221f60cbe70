"""State of scheduled work: leases, last runs, and control of the schedule."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from marshmallow import ValidationError, fields
from sqlalchemy import String, Text, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from app import runtime
from app.audit.log import Actor, record_entry
from app.core.db.orm import Bounded, Instant, Json, Model, db, insert_for, writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Exact, Flag, Setting, declare
from app.legacy_import.stored_forms import is_crontab


def _check_crontab(text: str) -> None:
    if not is_crontab(text):
        raise ValidationError("expected the five fields of a crontab expression")


class TaskValue(Exact):
    """When a task runs, and whether it is enabled."""

    cronExpression = fields.String(validate=_check_crontab)
    enabled = Flag()


class TaskChangeValue(Exact):
    """A task that was stopped or started manually, with its settings at that time."""

    isOn = Flag(required=True)
    planned = fields.Tuple((fields.String(), Flag()), required=True)


CRON_TASKS = declare(
    Setting("cron_tasks", dict, default={}, shape=fields.Dict(keys=fields.String(), values=fields.Nested(TaskValue)))
)
# Tasks that were stopped or started by hand.
CRON_CHANGES = declare(
    Setting(
        "cron_changes_by_hand",
        dict,
        default={},
        shape=fields.Dict(keys=fields.String(), values=fields.Nested(TaskChangeValue)),
    )
)


class Lease(Model):
    """A right that one process holds until it expires.

    The holder runs the jobs of a shared database.
    """

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(Bounded(64))
    expires_at: Mapped[datetime] = mapped_column(Instant)


class Task(Model):
    """The last run of one scheduled task."""

    __tablename__ = "tasks"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    last_started_at: Mapped[datetime | None] = mapped_column(Instant)
    last_duration_s: Mapped[float | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    # The error as `dump_refusal` writes it; NULL for an unexpected one, and in older rows.
    last_error_details: Mapped[dict[str, Any] | None] = mapped_column(Json)


# Control of the schedule of this process
#
# The schedule itself is in `app.scheduling.tasks`; the application provides it.

log = logging.getLogger(__name__)

OVERDUE_CHECK = "overdue-backup-check"
DEFAULT_EXPRESSION = "*/5 * * * *"
CHANGES = "cron_changes_by_hand"
# Crontab expression of a task in the settings, and whether it is enabled.
Planned = tuple[str, bool]


class Schedule(Protocol):
    """Interface of a running schedule; unknown names raise Refused (404)."""

    @property
    def is_running(self) -> bool:
        """Whether tasks are triggered."""

    def active_tasks(self) -> list[str]:
        """Return the names of the scheduled tasks."""

    def start_task(self, name: str) -> None:
        """Schedule a task as in the settings."""

    def stop_task(self, name: str) -> None:
        """Remove a task from the schedule."""

    def reload(self) -> None:
        """Schedule every task again as in the settings."""

    def run_now(self, name: str) -> Any:
        """Run a task and return its result, also if it failed."""

    def plans(self) -> Mapping[str, tuple[str, datetime | None]]:
        """Return the crontab expression of each task, and its next run.

        None if it is not scheduled.
        """

    def stop(self) -> None:
        """Stop, and wait some seconds for a running task."""


class Worker(Protocol):
    """Interface of the delivery worker of this process."""

    @property
    def is_working(self) -> bool:
        """Whether its thread is alive and does not hang."""

    def announce_stop(self) -> None:
        """Send no further message, without waiting."""

    def stop(self) -> None:
        """Send no further message, and wait some seconds for those being sent."""

    def forget(self) -> None:
        """Disconnect from the queue in a forked process, which has no thread of the worker."""


class PendingStart(Protocol):
    """Interface of a start that has not happened yet."""

    def cancel(self) -> None:
        """Cancel the start; does not wait for one that is running."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for a start that is running."""


@dataclass
class Jobs:
    """The background work of this process."""

    pending: PendingStart | None = None
    schedule: Schedule | None = None
    worker: Worker | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset of the interval of the overdue check."""

    label: str
    expression: str
    every: timedelta | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether the check runs at all."""
        return self.every is not None


@dataclass(frozen=True, slots=True)
class CheckInterval:
    """The stored interval of the overdue check."""

    expression: str
    is_enabled: bool


def _crontab(minute: str, hour: str = "*", day: str = "*", month: str = "*", weekday: str = "*") -> str:
    # wire: the reference stores its presets in columns, and returns them in this form
    return f"{minute:<7}{hour:<5}{day:<13}{month:<6}{weekday}"


PRESETS: Mapping[str, Preset] = {
    "disabled": Preset("Disabled", _crontab("0", "0", "1", "1", "0")),
    "1min": Preset("1 minute", _crontab("*/1"), timedelta(minutes=1)),
    "5min": Preset("5 minutes", _crontab("*/5"), timedelta(minutes=5)),
    "10min": Preset("10 minutes", _crontab("*/10"), timedelta(minutes=10)),
    "15min": Preset("15 minutes", _crontab("*/15"), timedelta(minutes=15)),
    "20min": Preset("20 minutes", _crontab("*/20"), timedelta(minutes=20)),
    "30min": Preset("30 minutes", _crontab("*/30"), timedelta(minutes=30)),
    "1hour": Preset("1 hour", _crontab("0"), timedelta(hours=1)),
    "2hours": Preset("2 hours", _crontab("0", "*/2"), timedelta(hours=2)),
}
DEFAULT_PRESET = "5min"
# Stored as the crontab expression of a task.
CHECK_INTERVAL = Setting(
    "interval", str, default=DEFAULT_PRESET, choices=tuple(PRESETS), wire="interval", is_required=True
)


def check_interval() -> CheckInterval:
    """Return the interval of the overdue check."""
    stored = _stored(OVERDUE_CHECK)
    return CheckInterval(str(stored.get("cronExpression", DEFAULT_EXPRESSION)), is_enabled(OVERDUE_CHECK))


def length_of(interval: CheckInterval) -> timedelta | None:
    """Return the time from one check to the next.

    None if the interval is not a preset.
    """
    fields = interval.expression.split()
    return next((preset.every for preset in PRESETS.values() if preset.expression.split() == fields), None)


def is_enabled(name: str) -> bool:
    """Whether a task that is enabled by default has not been disabled."""
    return bool(_stored(name).get("enabled", True))


def _stored(name: str) -> Mapping[str, Any]:
    stored = settings_store.get("cron_tasks").get(name)
    return stored if isinstance(stored, dict) else {}


def is_stopped_here(name: str) -> bool:
    """Whether a task was stopped manually in the schedule of this process."""
    found = runtime.part(Jobs).schedule
    return found is not None and found.is_running and name not in found.active_tasks()


def has_ended() -> bool:
    """Whether this process has a schedule that no longer runs."""
    found = runtime.part(Jobs).schedule
    return found is not None and not found.is_running


def chosen_preset() -> str:
    """Return the name of the stored preset; the default for any other expression."""
    return _preset_of(check_interval())


def choose_interval(name: str, *, actor: Actor, now: datetime) -> None:
    """Store one of the presets.

    Every running schedule follows at its next check of the settings.
    """
    if not CHECK_INTERVAL.accepts(name):
        raise Refused("check_interval_unknown", "interval", interval=name)
    chosen = PRESETS[name]
    with writing():
        old = PRESETS[_preset_of(check_interval())].label
        task = {"cronExpression": chosen.expression, "enabled": chosen.is_enabled}
        settings_store.save("cron_tasks", {**settings_store.get("cron_tasks"), OVERDUE_CHECK: task}, now=now)
        record_entry(
            "overdue_monitoring_interval_updated",
            "config",
            now=now,
            actor=actor,
            target_type="configuration",
            target_id="cron_interval",
            details={"oldInterval": old, "newInterval": chosen.label},
        )


class NotRunning(Refused):
    """The schedule does not run in this process."""


def running() -> Schedule:
    """Return the schedule of this process. Raise Refused (503) if it does not run."""
    found = runtime.part(Jobs).schedule
    if found is None or not found.is_running:
        message = "Scheduled tasks are disabled in this process; start it without RUN_JOBS=false"
        raise NotRunning("scheduler_not_running", body={"message": message})
    return found


def manual_state(name: str, planned: Planned) -> bool | None:
    """Whether a task was started (true) or stopped (false) manually; else None.

    Changes before its settings became `planned` do not count.
    """
    change = settings_store.get(CHANGES).get(name, {})
    return bool(change["isOn"]) if change.get("planned") == list(planned) else None


def store_manual_change(name: str, is_on: bool, planned: Planned, *, now: datetime) -> None:
    """Store that a task was stopped or started manually.

    Applies to all processes that share the database. Valid until the settings of the task change, a reload, or the
    next start of a process.
    """
    with writing():
        change = {"isOn": is_on, "planned": list(planned)}
        settings_store.save(CHANGES, {**settings_store.get(CHANGES), name: change}, now=now)


def clear_manual_changes(*, now: datetime) -> None:
    """Remove all manual changes, so that only the settings count."""
    if settings_store.get(CHANGES):
        settings_store.save(CHANGES, None, now=now)


def start_task_schedule(name: str) -> None:
    """Schedule a task.

    Raise Refused (404), Refused (503), and Refused (500) for an invalid expression.
    """
    _try(lambda: running().start_task(name))


def reload() -> None:
    """Apply the stored settings.

    Raise Refused (503), and Refused (500) for an invalid expression.
    """
    _try(lambda: running().reload())


def apply_settings() -> None:
    """Apply the settings of a restored database to the schedule, if it runs."""
    if runtime.part(Jobs).schedule is None:
        return
    try:
        reload()
    except Refused as error:
        log.error("the schedule could not be updated from the restored settings: %s", error.message)


def last_runs() -> list[Task]:
    """Return the last run of each task and its result."""
    return list(db.session.scalars(select(Task).where(Task.last_started_at.is_not(None)).order_by(Task.name)))


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task with its times.

    A crontab in UTC, the next run (None if not scheduled), and the last one.
    """

    name: str
    expression: str
    next_run_at: datetime | None
    last_started_at: datetime | None
    last_duration_s: float | None
    last_error: str | None
    last_error_details: Any = None


def task_states() -> list[TaskState]:
    """Return all tasks, in the order of their declaration.

    Raise Refused (503) if this process runs none.
    """
    last = {row.name: row for row in last_runs()}
    return [
        TaskState(name, expression, next_run_at, *_last_run(last.get(name)))
        for name, (expression, next_run_at) in running().plans().items()
    ]


def next_runs() -> dict[str, datetime]:
    """Return the next run of each scheduled task; empty if this process runs none."""
    found = runtime.part(Jobs).schedule
    plans = found.plans() if found is not None and found.is_running else {}
    return {name: at for name, (_expression, at) in plans.items() if at is not None}


def run_now(name: str, *, actor: Actor, now: datetime) -> Any:
    """Run a task for a user, with an audit entry.

    Return its result, also if it failed. Raise Refused (503).
    """
    result = running().run_now(name)
    details = {"task": name, **({"error": result.error} if result.error else {"message": result.message})}
    status = "error" if result.error else "success"
    record_entry("task_run", "system", now=now, actor=actor, target_id=name, details=details, status=status)
    return result


def _last_run(row: Task | None) -> tuple[datetime | None, float | None, str | None, Any]:
    return (
        (row.last_started_at, row.last_duration_s, row.last_error, row.last_error_details)
        if row
        else (None, None, None, None)
    )


def _try(work: Callable[[], None]) -> None:
    try:
        work()
    except ValueError as error:
        raise Refused("task_change_failed", reason=str(error)) from error


def _preset_of(interval: CheckInterval) -> str:
    squeezed = " ".join(interval.expression.split())
    for name, preset in PRESETS.items():
        if (" ".join(preset.expression.split()), preset.is_enabled) == (squeezed, interval.is_enabled):
            return name
    return DEFAULT_PRESET


# Leases: of several processes that share a database, one does the scheduled work

LEASES = Lease.__table__
# Longer than any scheduled work; a process that dies while it holds a lease blocks the work no longer than this.
LEASE_TIME = timedelta(minutes=10)


def take_lease(name: str, holder: str, now: datetime) -> bool:
    """Take the lease if it is free, ours or expired.

    False if another process holds it. A lease that ends later than any new one was written before the clock was set
    back, and counts as expired.
    """
    values = {"holder": holder, "expires_at": now + LEASE_TIME}
    is_free = or_(LEASES.c.holder == holder, LEASES.c.expires_at <= now, LEASES.c.expires_at > now + 2 * LEASE_TIME)
    with writing() as session:
        connection = session.connection()
        statement = insert_for(connection.dialect.name)(LEASES).values(name=name, **values)
        statement = statement.on_conflict_do_update(index_elements=["name"], set_=values, where=is_free)
        return connection.scalar(statement.returning(LEASES.c.name)) is not None


def set_lease_end(name: str, holder: str, until: datetime) -> None:
    """Change the end of our lease; does nothing if we have lost it."""
    with writing() as session:
        is_ours = (LEASES.c.name == name) & (LEASES.c.holder == holder)
        session.connection().execute(update(LEASES).where(is_ours).values(expires_at=until))
