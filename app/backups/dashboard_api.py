"""API group `dashboard`: all data of the dashboard in one answer."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app import runtime
from app.backups import overview
from app.backups.duplicati_versions import InstalledDuplicati
from app.backups.external_api import FullSummaryOut, dump_summary
from app.backups.overview import JobStatus, Overview, ServerStatus
from app.backups.run_objects import ChartPointOut, dump_run_point
from app.charts import series
from app.core.db.orm import AnyRow, second_of
from app.core.instants import iso
from app.notifications.messages import elapsed_text
from app.plugin import ApiGroup, described
from app.reports.decoding import format_duration
from app.reports.outcomes import statuses_of
from app.web.http import (
    CACHE_SET_A,
    COUNT,
    COUNT_OR_NULL,
    NOT_AVAILABLE,
    TEXT,
    TEXTS,
    IsoInstant,
    Out,
    cached_json,
    visible_server_ids,
)

# Schemas


class JobOut(Out):
    """A job with its newest run; `expectedBackupElapsed` is added by `dump_job`."""

    name = fields.String()
    last_backup_date = IsoInstant(data_key="lastBackupDate", attribute="newest.began_at", missing=NOT_AVAILABLE)
    last_backup_id = fields.Function(
        lambda job: job.newest.run_id or NOT_AVAILABLE, data_key="lastBackupId", metadata=TEXT
    )
    last_backup_status = fields.String(data_key="lastBackupStatus", attribute="newest.status")
    last_backup_duration = fields.Function(lambda job: _duration(job), data_key="lastBackupDuration", metadata=TEXT)
    last_backup_list_count = fields.Function(
        lambda job: job.version_count or None, data_key="lastBackupListCount", metadata=COUNT_OR_NULL
    )
    backup_count = fields.Integer(data_key="backupCount", attribute="run_count")
    status_history = fields.Function(
        lambda job: statuses_of(job.recent_statuses), data_key="statusHistory", metadata=TEXTS
    )
    file_count = fields.Integer(data_key="fileCount", attribute="examined_files")
    file_size = fields.Integer(data_key="fileSize", attribute="examined_bytes")
    storage_size = fields.Integer(data_key="storageSize", attribute="storage_bytes")
    uploaded_size = fields.Integer(data_key="uploadedSize", attribute="uploaded_bytes")
    warnings = fields.Integer(attribute="newest.warning_count")
    errors = fields.Integer(attribute="newest.error_count")
    available_backups = fields.Raw(data_key="availableBackups", attribute="available_versions", metadata=TEXTS)
    is_backup_overdue = fields.Boolean(data_key="isBackupOverdue", attribute="is_overdue")
    notification_event = fields.String(data_key="notificationEvent")
    expected_backup_date = IsoInstant(
        data_key="expectedBackupDate", attribute="next_expected_at", missing=NOT_AVAILABLE
    )
    last_notification_sent = IsoInstant(
        data_key="lastNotificationSent", attribute="overdue_alerted_at", missing=NOT_AVAILABLE
    )


class ServerOut(Out):
    """A server; its jobs and the values of its newest run are added by `dump_server`."""

    id = fields.String()
    name = fields.String()
    server_url = fields.String(attribute="url")
    alias = fields.String()
    note = fields.String()
    has_password = fields.Boolean(data_key="hasPassword")
    total_backup_count = fields.Function(
        lambda server: server.total("run_count"), data_key="totalBackupCount", metadata=COUNT
    )
    total_storage_size = fields.Function(
        lambda server: server.total("storage_bytes"), data_key="totalStorageSize", metadata=COUNT
    )
    total_file_count = fields.Function(
        lambda server: server.total("examined_files"), data_key="totalFileCount", metadata=COUNT
    )
    total_file_size = fields.Function(
        lambda server: server.total("examined_bytes"), data_key="totalFileSize", metadata=COUNT
    )
    total_uploaded_size = fields.Function(
        lambda server: server.total("uploaded_bytes"), data_key="totalUploadedSize", metadata=COUNT
    )
    have_overdue_backups = fields.Boolean(data_key="haveOverdueBackups", attribute="is_overdue")
    backup_names = fields.Function(
        lambda server: [job.name for job in server.jobs], data_key="backupNames", metadata=TEXTS
    )


class FullJobOut(JobOut):
    """A job as `dump_job` returns it."""

    expected_backup_elapsed = fields.String(data_key="expectedBackupElapsed")


class FullServerOut(ServerOut):
    """A server as `dump_server` returns it."""

    jobs = fields.List(fields.Nested(FullJobOut), data_key="backupInfo")
    last_began_at = IsoInstant(data_key="lastBackupDate", missing=NOT_AVAILABLE)
    last_status = fields.String(data_key="lastBackupStatus")
    last_duration = fields.String(data_key="lastBackupDuration")
    last_version_count = fields.Integer(data_key="lastBackupListCount", allow_none=True)
    last_job_name = fields.String(data_key="lastBackupName")
    last_run_id = fields.String(data_key="lastBackupId")
    checked_at = IsoInstant(data_key="lastOverdueCheck", missing=NOT_AVAILABLE)
    duplicati_version = fields.String(data_key="duplicatiVersion", allow_none=True)
    newest_duplicati_version = fields.String(data_key="newestDuplicatiVersion", allow_none=True)
    is_duplicati_outdated = fields.Boolean(data_key="isDuplicatiOutdated")


class DashboardOut(Out):
    """The data of the dashboard."""

    servers = fields.List(fields.Nested(FullServerOut), data_key="serversSummary")
    summary = fields.Nested(FullSummaryOut, data_key="overallSummary")
    points = fields.List(fields.Nested(ChartPointOut), data_key="chartData")


_job_out, _server_out = JobOut(), ServerOut()


def dump_dashboard(overview: Overview, points: Sequence[AnyRow], zone: tzinfo) -> dict[str, Any]:
    """Return the whole answer."""
    return {
        "serversSummary": [dump_server(server, overview) for server in overview.servers],
        "overallSummary": dump_summary(overview.summary, overview.now),
        "chartData": [dump_run_point(run, zone) for run in points],
    }


def dump_server(server: ServerStatus, overview: Overview) -> dict[str, Any]:
    """Return one server with its jobs and its newest run."""
    last = server.last_job
    return _server_out.dump(server) | {
        "backupInfo": [dump_job(job, overview.now) for job in server.jobs],
        "lastBackupDate": NOT_AVAILABLE if last is None or last.newest.began_at is None else iso(last.newest.began_at),
        "lastBackupStatus": last.newest.status if last else NOT_AVAILABLE,
        "lastBackupDuration": _duration(last) if last else NOT_AVAILABLE,
        # wire: 0 for a server without runs, null for a run that reports no versions
        "lastBackupListCount": (last.version_count or None) if last else 0,
        "lastBackupName": last.name if last else NOT_AVAILABLE,
        "lastBackupId": (last and last.newest.run_id) or NOT_AVAILABLE,
        "lastOverdueCheck": NOT_AVAILABLE if overview.checked_at is None else iso(overview.checked_at),
        **dump_duplicati(server.duplicati),
    }


def dump_duplicati(duplicati: InstalledDuplicati | None) -> dict[str, Any]:
    """Return a server's Duplicati version, and the newest of its channel if checked."""
    newest = duplicati.newest if duplicati else None
    return {
        "duplicatiVersion": str(duplicati.version) if duplicati else None,
        "newestDuplicatiVersion": str(newest) if newest else None,
        "isDuplicatiOutdated": duplicati is not None and duplicati.is_outdated,
    }


def dump_job(job: JobStatus, now: datetime) -> dict[str, Any]:
    """Return one job, with the time since it was expected in words."""
    elapsed = NOT_AVAILABLE if job.next_expected_at is None else elapsed_text(job.next_expected_at, now)
    return _job_out.dump(job) | {"expectedBackupElapsed": elapsed}


def _duration(job: JobStatus) -> str:
    return format_duration(job.newest.duration_s) if job.newest.duration_s else NOT_AVAILABLE


# Dashboard group

bp = Blueprint("dashboard", __name__)


@bp.get("/dashboard")
@described({200: DashboardOut, 304: None}, query={"all": fields.Boolean()})
def show() -> ResponseReturnValue:
    """Get all servers with their jobs, totals, and runs as chart points.

    The newest 2,000 runs; all runs with `?all=true`.
    """
    now, visible = runtime.now(), visible_server_ids()
    limit = None if request.args.get("all") == "true" else series.RUN_POINTS
    return cached_json(
        ("dashboard", visible, limit),
        lambda: dump_dashboard(
            overview.overview(now, visible),
            series.run_points(limit=limit, visible_server_ids=visible),
            runtime.settings().zone,
        ),
        moment=second_of(now),
        headers=CACHE_SET_A,
    )


group = ApiGroup(name="dashboard", blueprint=bp, summary="Servers, jobs and totals for a dashboard")
