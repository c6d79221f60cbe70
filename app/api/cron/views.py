"""Views of the cron group. Those below `/cron` answer 503 where this process runs no scheduled work."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.client import actor, json_body
from app.api.cron.schemas import (
    IntervalIn,
    IntervalOut,
    ResultOut,
    ScheduleHealthOut,
    TasksOut,
    dump_health,
    dump_interval,
    dump_result,
    dump_tasks,
)
from app.api.wire import (
    MESSAGE,
)
from app.contracts import (
    Guard,
    described,
    guarded,
)
from app.services import clock, task_schedule

bp = Blueprint("cron", __name__)


@bp.get("/cron-config")
@described({200: IntervalOut})
def show_interval() -> ResponseReturnValue:
    """When the overdue check runs."""
    return dump_interval(task_schedule.check_interval())


@bp.post("/cron-config")
@guarded(Guard.ADMIN)
@described({200: {"success": fields.Boolean()}}, body=IntervalIn)
def save_interval() -> ResponseReturnValue:
    """Choose when the overdue check runs; every process takes it over within 30 seconds, and at a reload at once."""
    chosen = IntervalIn().load(json_body())["interval"]
    task_schedule.choose_interval(chosen, actor=actor(), now=clock.now())
    return {"success": True}


@bp.get("/cron/health")
@described({200: ScheduleHealthOut})
def health() -> ResponseReturnValue:
    """Which tasks are scheduled, when each ran last, and what went wrong."""
    schedule = task_schedule.running()
    return dump_health(schedule.is_running, schedule.active_tasks(), task_schedule.last_runs())


@bp.get("/cron/tasks")
@described({200: TasksOut})
def tasks() -> ResponseReturnValue:
    """Every task with its times, its last run and its last error."""
    return dump_tasks(task_schedule.task_states())


@bp.post("/cron/trigger/<task>")
@guarded(Guard.ADMIN)
@described({200: ResultOut})
def trigger(task: str) -> ResponseReturnValue:
    """Run a task now; a failure is told in the answer, which is 200 all the same."""
    return dump_result(task_schedule.running().run_now(task))


@bp.post("/cron/stop/<task>")
@guarded(Guard.ADMIN)
@described({200: MESSAGE})
def stop(task: str) -> ResponseReturnValue:
    """Take a task off the schedule until the next reload. 404 when it is not on it."""
    task_schedule.running().stop_task(task)
    return {"message": f"Task {task} stopped"}


@bp.post("/cron/start/<task>")
@guarded(Guard.ADMIN)
@described({200: MESSAGE})
def start(task: str) -> ResponseReturnValue:
    """Put a task on the schedule, once, even if the settings switch it off. 404 when it is unknown."""
    task_schedule.start(task)
    return {"message": f"Task {task} started"}


@bp.post("/cron/reload-config")
@guarded(Guard.ADMIN)
@described({200: MESSAGE})
def reload_config() -> ResponseReturnValue:
    """Schedule every task anew by the stored settings."""
    task_schedule.reload()
    return {"message": "Configuration reloaded successfully"}
