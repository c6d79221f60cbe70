"""Wire form of the summary and of the newest runs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from marshmallow import fields

from app.api.runs import FullRunOut, dump_run
from app.api.wire import DatabaseTime, Out
from app.models import Server
from app.services.history import Summary
from app.services.latest import LatestRun


class SummaryOut(Out):
    """All servers in eight numbers."""

    total_servers = fields.Integer(data_key="totalServers", attribute="server_count")
    total_backups_runs = fields.Integer(data_key="totalBackupsRuns", attribute="run_count")
    total_backups = fields.Integer(data_key="totalBackups", attribute="job_count")
    total_uploaded_size = fields.Integer(data_key="totalUploadedSize", attribute="uploaded_bytes")
    total_storage_used = fields.Integer(data_key="totalStorageUsed", attribute="storage_bytes")
    total_backup_size = fields.Integer(data_key="totalBackupSize", attribute="examined_bytes")
    overdue_backups_count = fields.Integer(data_key="overdueBackupsCount", attribute="overdue_count")


class ServerOut(Out):
    """The server that a widget asked for."""

    id = fields.String()
    name = fields.String()
    created_at = DatabaseTime()


class FullSummaryOut(SummaryOut):
    """The summary with the age of the newest run."""

    seconds_since_last_backup = fields.Integer(data_key="secondsSinceLastBackup", allow_none=True)


class LatestOut(Out):
    """The newest run of a server; null where there is none."""

    server = fields.Nested(ServerOut)
    latest_backup = fields.Nested(FullRunOut, allow_none=True)
    status = fields.Integer()


class LatestOfJobsOut(Out):
    """The newest run of each job of a server, newest first."""

    server = fields.Nested(ServerOut)
    latest_backups = fields.List(fields.Nested(FullRunOut))
    backup_jobs_count = fields.Integer()
    backup_names = fields.List(fields.String())
    status = fields.Integer()


_summary_out, _server_out = SummaryOut(), ServerOut()


def dump_summary(summary: Summary, now: datetime) -> dict[str, Any]:
    """The summary as of `now`."""
    return _summary_out.dump(summary) | {"secondsSinceLastBackup": summary.seconds_since_last_backup(now)}


def dump_latest(server: Server, latest: Sequence[LatestRun]) -> dict[str, Any]:
    """The newest run of a server over all its jobs."""
    runs = [dump_run(found.run, found.job_name, server.id, found.log) for found in latest[:1]]
    return {"server": _server_out.dump(server), "latest_backup": runs[0] if runs else None, "status": 200}


def dump_latest_of_jobs(server: Server, latest: Sequence[LatestRun]) -> dict[str, Any]:
    """The newest run of each job of a server, newest first."""
    return {
        "server": _server_out.dump(server),
        "latest_backups": [dump_run(found.run, found.job_name, server.id, found.log) for found in latest],
        "backup_jobs_count": len(latest),
        "backup_names": [found.job_name for found in latest],
        "status": 200,
    }
