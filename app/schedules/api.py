"""API group `cron`: interval of the overdue check, control of scheduled tasks."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load

from app import runtime
from app.core.instants import iso
from app.plugin import Access, ApiGroup, described, guarded
from app.scheduling import control
from app.scheduling.control import CHECK_INTERVAL, CheckInterval, Task, TaskState
from app.web.forms import fields_in
from app.web.http import MESSAGE, SOMETIMES, IsoInstant, Out, actor, json_body

# Schemas

# wire: the original knows these two; our own maintenance tasks are shown if they fail
SHOWN_TASKS = ("overdue-backup-check", "audit-log-cleanup")


class IntervalIn(Schema):
    """One of the presets for the overdue check."""

    class Meta:
        unknown = EXCLUDE
        include = fields_in((CHECK_INTERVAL,))

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Require an interval, with the original's message."""
        if not data.get("interval"):
            raise ValidationError("Interval is required")
        return data


class IntervalOut(Out):
    """Get the interval of the overdue check."""

    expression = fields.String(data_key="cronExpression")
    is_enabled = fields.Boolean(data_key="enabled")


class ScheduleHealthOut(Out):
    """State of the scheduler; times and errors by task name."""

    is_running = fields.Boolean(data_key="isRunning")
    active_tasks = fields.List(fields.String(), data_key="activeTasks")
    last_runs = fields.Dict(values=IsoInstant(missing=""), data_key="lastRunTimes")
    errors = fields.Dict(values=fields.String())


class TaskOut(Out):
    """A scheduled task: schedule (crontab in UTC), last run and its result."""

    name = fields.String()
    expression = fields.String(data_key="cronExpression")
    next_run_at = IsoInstant(data_key="nextRun")
    last_started_at = IsoInstant(data_key="lastRun")
    last_duration_s = fields.Float(data_key="lastDurationSeconds", allow_none=True)
    last_error = fields.String(data_key="lastError", allow_none=True)


class TasksOut(Out):
    """All scheduled tasks."""

    tasks = fields.List(fields.Nested(TaskOut))


class ResultOut(Out):
    """Result of a task: a message with optional statistics, or an error."""

    name = fields.String(data_key="taskName")
    success = fields.Boolean()
    message = fields.String(metadata=SOMETIMES)
    statistics = fields.Dict(metadata=SOMETIMES)
    error = fields.String(metadata=SOMETIMES)


_interval_out, _task_out = IntervalOut(), TaskOut()


def dump_interval(interval: CheckInterval) -> dict[str, Any]:
    """Return the interval of the overdue check."""
    return _interval_out.dump(interval)


def dump_health(is_running: bool, active_tasks: Sequence[str], runs: Sequence[Task]) -> dict[str, Any]:
    """Return the state of the scheduler."""
    return {
        "isRunning": is_running,
        "activeTasks": [name for name in active_tasks if name in SHOWN_TASKS],
        "lastRunTimes": {
            run.name: iso(run.last_started_at) for run in runs if run.last_started_at and run.name in SHOWN_TASKS
        },
        "errors": {run.name: run.last_error for run in runs if run.last_error},
    }


def dump_tasks(states: Sequence[TaskState]) -> dict[str, Any]:
    """Return all scheduled tasks."""
    return {"tasks": _task_out.dump(states, many=True)}


def dump_result(result: Any) -> dict[str, Any]:
    """Return the result of one execution of a task.

    `result` has the attributes `name`, `message`, `statistics` and `error`.
    """
    if result.error is not None:
        return {"taskName": result.name, "success": False, "error": f"Error: {result.error}"}
    dumped = {"taskName": result.name, "success": True, "message": result.message}
    return dumped | ({"statistics": dict(result.statistics)} if result.statistics else {})


# Cron group. Routes below `/cron` answer 503 if this process runs no scheduled tasks

bp = Blueprint("cron", __name__)


@bp.get("/cron-config")
@described({200: IntervalOut})
def show_interval() -> ResponseReturnValue:
    """Get the interval of the overdue check."""
    return dump_interval(control.check_interval())


@bp.post("/cron-config")
@guarded(Access.ADMIN)
@described({200: {"success": fields.Boolean()}}, body=IntervalIn)
def save_interval() -> ResponseReturnValue:
    """Set the interval of the overdue check.

    Applied by every process within 30 seconds, or at once on reload.
    """
    chosen = IntervalIn().load(json_body())["interval"]
    control.choose_interval(chosen, actor=actor(), now=runtime.now())
    return {"success": True}


@bp.get("/cron/health")
@described({200: ScheduleHealthOut})
def health() -> ResponseReturnValue:
    """Get the scheduled tasks, their last runs and errors."""
    schedule = control.running()
    return dump_health(schedule.is_running, schedule.active_tasks(), control.last_runs())


@bp.get("/cron/tasks")
@described({200: TasksOut})
def tasks() -> ResponseReturnValue:
    """List all tasks with schedule, last run and last error."""
    return dump_tasks(control.task_states())


@bp.post("/cron/trigger/<task>")
@guarded(Access.ADMIN)
@described({200: ResultOut})
def trigger(task: str) -> ResponseReturnValue:
    """Run a task now. A failure is reported in the response, which is still 200."""
    return dump_result(control.running().run_now(task))


@bp.post("/cron/stop/<task>")
@guarded(Access.ADMIN)
@described({200: MESSAGE})
def stop(task: str) -> ResponseReturnValue:
    """Remove a task from the schedule until the next reload.

    404 if it is not scheduled.
    """
    control.running().stop_task(task)
    return {"message": f"Task {task} stopped"}


@bp.post("/cron/start/<task>")
@guarded(Access.ADMIN)
@described({200: MESSAGE})
def start(task: str) -> ResponseReturnValue:
    """Add a task to the schedule, even if disabled in the settings.

    404 if it is unknown.
    """
    control.start_task_schedule(task)
    return {"message": f"Task {task} started"}


@bp.post("/cron/reload-config")
@guarded(Access.ADMIN)
@described({200: MESSAGE})
def reload_config() -> ResponseReturnValue:
    """Rebuild the schedule from the stored settings."""
    control.reload()
    return {"message": "Configuration reloaded successfully"}


group = ApiGroup(name="cron", blueprint=bp, summary="Interval of the overdue check, and scheduled tasks")
