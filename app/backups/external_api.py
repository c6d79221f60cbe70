"""API for widgets and scripts without sign-in: summary and newest runs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app import runtime
from app.accounts.models import ALL_SERVERS
from app.backups import overview, run_lists
from app.backups.models import Server
from app.backups.overview import Summary
from app.backups.run_lists import LatestRun
from app.backups.run_objects import FullRunOut, dump_run
from app.core.db.orm import second_of
from app.plugin import Access, ApiGroup, described
from app.web.errors import repeat_status
from app.web.guards import authenticate_api_key
from app.web.http import CACHE_SET_B, DatabaseTime, Out, cached_json

# Schemas


class SummaryOut(Out):
    """Get a summary of all servers."""

    total_servers = fields.Integer(data_key="totalServers", attribute="server_count")
    total_backups_runs = fields.Integer(data_key="totalBackupsRuns", attribute="run_count")
    total_backups = fields.Integer(data_key="totalBackups", attribute="job_count")
    total_uploaded_size = fields.Integer(data_key="totalUploadedSize", attribute="uploaded_bytes")
    total_storage_used = fields.Integer(data_key="totalStorageUsed", attribute="storage_bytes")
    total_backup_size = fields.Integer(data_key="totalBackupSize", attribute="examined_bytes")
    overdue_backups_count = fields.Integer(data_key="overdueBackupsCount", attribute="overdue_count")


class ServerOut(Out):
    """The requested server."""

    id = fields.String()
    name = fields.String()
    created_at = DatabaseTime()


class FullSummaryOut(SummaryOut):
    """The summary with the age of the newest run."""

    seconds_since_last_backup = fields.Integer(data_key="secondsSinceLastBackup", allow_none=True)


class LatestOut(Out):
    """The newest run of a server; null if there is none."""

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
    """Return the summary as of `now`."""
    return _summary_out.dump(summary) | {"secondsSinceLastBackup": summary.seconds_since_last_backup(now)}


def dump_latest(server: Server, latest: Sequence[LatestRun]) -> dict[str, Any]:
    """Return the newest run of a server over all its jobs."""
    runs = [dump_run(found.run, found.job_name, server.id, found.log) for found in latest[:1]]
    return {"server": _server_out.dump(server), "latest_backup": runs[0] if runs else None, "status": 200}


def dump_latest_of_jobs(server: Server, latest: Sequence[LatestRun]) -> dict[str, Any]:
    """Return the newest run of each job of a server, newest first."""
    return {
        "server": _server_out.dump(server),
        "latest_backups": [dump_run(found.run, found.job_name, server.id, found.log) for found in latest],
        "backup_jobs_count": len(latest),
        "backup_names": [found.job_name for found in latest],
        "status": 200,
    }


# External group

bp = Blueprint("external", __name__)
# wire: those two repeat the status in every body, also in successful ones
repeat_status(bp, "last_backup", "last_backups")


@bp.before_request
def admit() -> None:
    """Check the sender's API key and rate."""
    authenticate_api_key("read")


@bp.after_request
def forbid_caching(answer: Response) -> Response:
    """Disable caching of the newest runs and their errors.

    The summary has no such headers.
    """
    if request.endpoint != "external.summary":
        answer.headers.extend(CACHE_SET_B)
    return answer


@bp.get("/summary")
@described({200: FullSummaryOut, 304: None})
def summary() -> ResponseReturnValue:
    """Get a summary of all servers."""
    now = runtime.now()
    return cached_json(
        "summary", lambda: dump_summary(overview.overview(now, ALL_SERVERS).summary, now), moment=second_of(now)
    )


@bp.get("/lastbackup/<name:server>", merge_slashes=False)
@described({200: LatestOut, 304: None}, errors=(400,))
def last_backup(server: str) -> ResponseReturnValue:
    """Get the newest run of a server, by its id or exact name."""
    return cached_json(("lastbackup", server), lambda: dump_latest(*run_lists.newest_of_server(server)))


@bp.get("/lastbackups/<name:server>", merge_slashes=False)
@described({200: LatestOfJobsOut, 304: None}, errors=(400,))
def last_backups(server: str) -> ResponseReturnValue:
    """Get the newest run of each job of a server, by its id or exact name."""
    return cached_json(("lastbackups", server), lambda: dump_latest_of_jobs(*run_lists.newest_of_server(server)))


group = ApiGroup(
    name="external",
    blueprint=bp,
    access=Access.PUBLIC,
    csrf=False,
    summary="Summary and newest runs, for widgets and scripts",
    key_scope="read",
)
