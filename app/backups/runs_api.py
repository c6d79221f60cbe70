"""Views of the API group `backups`: delete runs, and the time of the last runs."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load

from app import runtime
from app.backups import overview, run_deletion
from app.backups.overview import Overview
from app.backups.run_deletion import EVERYTHING, PERIODS
from app.core.instants import iso
from app.plugin import Access, described, guarded
from app.web.http import CACHE_SET_A, MESSAGE, IsoInstant, Out, actor, json_body, visible_server_ids


class CleanupIn(Schema):
    """Which runs to delete."""

    class Meta:
        unknown = EXCLUDE

    period = fields.String(data_key="retentionPeriod", required=True, metadata={"enum": [*PERIODS, EVERYTHING]})

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Reject other values."""
        # wire: one message for all errors
        if body.get("retentionPeriod") not in (*PERIODS, EVERYTHING):
            raise ValidationError("Invalid retention period")
        return body


class DeleteJobIn(Schema):
    """A job, by its server and name."""

    class Meta:
        unknown = EXCLUDE

    server_id = fields.String(data_key="serverId", required=True)
    job_name = fields.String(data_key="backupName", required=True)

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Require both fields."""
        # wire: one message for both fields
        if not body.get("serverId") or not body.get("backupName"):
            raise ValidationError("Server ID and backup name are required")
        return body


class NewestRunOut(Out):
    """Time of the last run of a job."""

    server_name = fields.String()
    server_id = fields.String()
    job_name = fields.String(data_key="backup_name")
    began_at = IsoInstant(data_key="date", missing="")


class NewestRunsOut(Out):
    """The newest run of each job, by `<server id>:<job>` and as a list."""

    times = fields.Dict(values=IsoInstant(missing=""), data_key="timestamps")
    rows = fields.List(fields.Nested(NewestRunOut), data_key="raw")


def dump_last_timestamps(overview: Overview) -> dict[str, Any]:
    """Return the newest run of each job, as an object and as a sorted list."""
    ran = [(job, iso(job.newest.began_at)) for _, job in overview.named_jobs if job.newest.began_at is not None]
    return {
        "timestamps": {f"{job.server_id}:{job.name}": began_at for job, began_at in ran},
        "raw": [
            {"server_name": job.server_name, "server_id": job.server_id, "backup_name": job.name, "date": began_at}
            for job, began_at in ran
        ],
    }


# Backups group

bp = Blueprint("backups", __name__, url_prefix="/backups")


@bp.post("/cleanup")
@described({200: {**MESSAGE, "status": fields.Integer()}}, body=CleanupIn)
def cleanup() -> ResponseReturnValue:
    """Delete runs older than the period, or all servers with all their runs."""
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
    """Delete all runs of a job; its settings are kept. 404 if it has no runs."""
    wanted = DeleteJobIn().load(json_body())
    count, server_name = run_deletion.delete_runs_of_job(**wanted, actor=actor(), now=runtime.now())
    name = wanted["job_name"]
    message = f'Successfully deleted {count} backup record(s) for "{name}" from server "{server_name}"'
    answer = {"deletedCount": count, "serverName": server_name, "backupName": name}
    return {"message": message, "status": 200, **answer}


@bp.get("/last-timestamps")
@guarded(Access.USER)
@described({200: NewestRunsOut})
def last_timestamps() -> ResponseReturnValue:
    """Get the time of the last run of each job."""
    return dump_last_timestamps(overview.overview(runtime.now(), visible_server_ids())), CACHE_SET_A


def delete_runs(period: str) -> str:
    """Delete the runs of a period; return a message with the counts."""
    if period == run_deletion.EVERYTHING:
        runs, servers = run_deletion.delete_everything(actor=actor(), now=runtime.now())
        return f"Successfully deleted all {runs} backups and {servers} servers, and cleared configuration settings"
    count = run_deletion.delete_older_runs(period, actor=actor(), now=runtime.now())
    return f"Successfully deleted {count} old backups"
