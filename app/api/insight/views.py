"""Views of the insight group."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.api.client import actor, json_body, visible_server_ids
from app.api.insight.schemas import (
    InsightOut,
    LimitsIn,
    LimitsOut,
    QuotaIn,
    ScheduleIn,
    ServerInsightOut,
    dump_limits,
    dump_server,
)
from app.contracts import Guard, described, guarded
from app.services import clock, history, insight, job_settings

bp = Blueprint("insight", __name__)


@bp.get("/insight")
@described({200: InsightOut})
def index() -> ResponseReturnValue:
    """What is unusual about the newest run of each job, how its destination grows, and when that will be full."""
    return {"servers": [dump_server(server) for server in history.overview(clock.now(), visible_server_ids()).servers]}


@bp.get("/insight/<server_id>")
@described({200: ServerInsightOut})
def show(server_id: str) -> ResponseReturnValue:
    """The same of one server."""
    return dump_server(history.find_server(server_id, clock.now(), visible_server_ids()))


@bp.patch("/insight/<server_id>/quota")
@guarded(Guard.ADMIN)
@described({200: ServerInsightOut}, body=QuotaIn)
def update_quota(server_id: str) -> ResponseReturnValue:
    """Enter how much the destination of a job holds; it wins over what the destination reports."""
    insight.change_quota(server_id, **QuotaIn().load(json_body()), actor=actor(), now=clock.now())
    return show(server_id)


@bp.post("/insight/<server_id>/schedule")
@guarded(Guard.ADMIN)
@described({200: ServerInsightOut}, body=ScheduleIn, errors=(409,))
def update_schedule(server_id: str) -> ResponseReturnValue:
    """Keep the schedule that is learned or offered for a job, or have it learned again."""
    body = ScheduleIn().load(json_body())
    change = job_settings.keep_schedule if body["choice"] == "keep" else job_settings.learn_schedule
    change(server_id, body["job_name"], actor=actor(), now=clock.now())
    return show(server_id)


@bp.get("/insight-limits")
@described({200: LimitsOut})
def show_limits() -> ResponseReturnValue:
    """From when on something counts as unusual, and whether people are told of it."""
    return dump_limits(insight.limits())


@bp.patch("/insight-limits")
@guarded(Guard.ADMIN)
@described({200: LimitsOut}, body=LimitsIn)
def update_limits() -> ResponseReturnValue:
    """Change the limits; the newest run of every job is looked at again."""
    return dump_limits(insight.change_limits(LimitsIn().load(json_body()), actor=actor(), now=clock.now()))
