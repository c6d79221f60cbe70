"""Views of the backups group."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.answers import CACHE_SET_A
from app.api.backups.schemas import (
    CleanupIn,
    DeleteJobIn,
    NewestRunsOut,
    dump_last_timestamps,
)
from app.api.client import actor, json_body, visible_server_ids
from app.api.wire import (
    MESSAGE,
)
from app.contracts import (
    Guard,
    described,
    guarded,
)
from app.services import cleanup as cleaning
from app.services import clock, history

bp = Blueprint("backups", __name__, url_prefix="/backups")


@bp.post("/cleanup")
@described({200: {**MESSAGE, "status": fields.Integer()}}, body=CleanupIn)
def cleanup() -> ResponseReturnValue:
    """Delete the runs that ended before the period, or all servers with all their runs."""
    period = CleanupIn().load(json_body())["period"]
    return {"message": delete_runs(period), "status": 200}


@bp.delete("/delete-job")
@described(
    {
        200: {
            **MESSAGE,
            "status": fields.Integer(),
            "deletedCount": fields.Integer(),
            "serverName": fields.String(),
            "backupName": fields.String(),
        }
    },
    body=DeleteJobIn,
    errors=(404,),
)
def delete_job() -> ResponseReturnValue:
    """Delete all runs of a job; its settings stay. 404 when it has none."""
    wanted = DeleteJobIn().load(json_body())
    count, server_name = cleaning.delete_runs_of_job(**wanted, actor=actor(), now=clock.now())
    name = wanted["job_name"]
    message = f'Successfully deleted {count} backup record(s) for "{name}" from server "{server_name}"'
    told = {"deletedCount": count, "serverName": server_name, "backupName": name}
    return {"message": message, "status": 200, **told}


@bp.get("/last-timestamps")
@guarded(Guard.LOGIN)
@described({200: NewestRunsOut})
def last_timestamps() -> ResponseReturnValue:
    """When each job ran last."""
    return dump_last_timestamps(history.overview(clock.now(), visible_server_ids())), CACHE_SET_A


def delete_runs(period: str) -> str:
    """Delete what the words of a period mean, and say how much it was."""
    if period == cleaning.EVERYTHING:
        runs, servers = cleaning.delete_everything(actor=actor(), now=clock.now())
        return f"Successfully deleted all {runs} backups and {servers} servers, and cleared configuration settings"
    count = cleaning.delete_older_runs(period, actor=actor(), now=clock.now())
    return f"Successfully deleted {count} old backups"
