"""Wire forms of the backups group."""

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load

from app.api.wire import IsoInstant, Out, iso
from app.services.cleanup import EVERYTHING, PERIODS
from app.services.history import Overview


class CleanupIn(Schema):
    """Which runs to delete."""

    class Meta:
        unknown = EXCLUDE

    period = fields.String(data_key="retentionPeriod", required=True, metadata={"enum": [*PERIODS, EVERYTHING]})

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Refuse other words."""
        # wire: one sentence, whatever is wrong
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
        """Ask for both."""
        # wire: one sentence for both fields
        if not body.get("serverId") or not body.get("backupName"):
            raise ValidationError("Server ID and backup name are required")
        return body


class NewestRunOut(Out):
    """When a job ran last."""

    server_name = fields.String()
    server_id = fields.String()
    job_name = fields.String(data_key="backup_name")
    began_at = IsoInstant(data_key="date", missing="")


class NewestRunsOut(Out):
    """The newest run of each job, by `<server id>:<job>` and as a list."""

    times = fields.Dict(values=IsoInstant(missing=""), data_key="timestamps")
    rows = fields.List(fields.Nested(NewestRunOut), data_key="raw")


def dump_last_timestamps(overview: Overview) -> dict[str, Any]:
    """The newest run of each job, as a mapping and as a list by server name and job name."""
    ran = [(job, iso(job.newest.began_at)) for _, job in overview.named_jobs if job.newest.began_at is not None]
    return {
        "timestamps": {f"{job.server_id}:{job.name}": began_at for job, began_at in ran},
        "raw": [
            {"server_name": job.server_name, "server_id": job.server_id, "backup_name": job.name, "date": began_at}
            for job, began_at in ran
        ],
    }
