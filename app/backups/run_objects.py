"""Schemas of runs and chart points that several API groups use."""

from datetime import tzinfo
from typing import Any

from marshmallow import INCLUDE, fields

from app.backups.models import Run
from app.backups.run_logs import RunLogTexts
from app.charts.series import DayPoint
from app.core.db.orm import AnyRow
from app.core.instants import iso
from app.plugin import Run as ChartRun
from app.reports.decoding import format_duration
from app.web.http import NUMBER, TEXT, TEXTS, IsoInstant, Out


class RunOut(Out):
    """A run as `/api/lastbackup` and `/api/servers/<id>` send it; the texts are added by `dump_run`."""

    id = fields.String()
    date = IsoInstant(attribute="sent_began_at")
    status = fields.String()
    warnings = fields.Integer(attribute="warning_count")
    errors = fields.Integer(attribute="error_count")
    messages = fields.Integer(attribute="message_count")
    file_count = fields.Integer(data_key="fileCount", attribute="examined_files")
    file_size = fields.Integer(data_key="fileSize", attribute="examined_bytes")
    uploaded_size = fields.Integer(data_key="uploadedSize", attribute="uploaded_bytes")
    duration = fields.Function(lambda run: format_duration(run.duration_s), metadata=TEXT)
    duration_seconds = fields.Float(attribute="duration_s")
    duration_in_minutes = fields.Function(
        lambda run: run.duration_s / 60, data_key="durationInMinutes", metadata=NUMBER
    )
    known_file_size = fields.Integer(data_key="knownFileSize", attribute="storage_bytes")
    backup_list_count = fields.Integer(attribute="version_count")
    available_backups = fields.Raw(attribute="available_versions", metadata=TEXTS)


class FullRunOut(RunOut):
    """A run with its texts, as `dump_run` returns it."""

    server_id = fields.String()
    name = fields.String()
    messages_array = fields.List(fields.String())
    warnings_array = fields.List(fields.String())
    errors_array = fields.List(fields.String())


class ListedRunOut(RunOut):
    """A run in a long list, as `dump_listed_run` returns it: whole minutes, and counts instead of texts."""

    server_id = fields.String()
    name = fields.String()
    duration_in_minutes = fields.Integer(data_key="durationInMinutes")  # type: ignore[assignment]
    messages_array = fields.List(fields.String())
    warnings_array = fields.List(fields.String())
    errors_array = fields.List(fields.String())


class ChartPointOut(Out):
    """A run or a day as a chart point, including the series requested with `?series=`."""

    class Meta:
        unknown = INCLUDE

    date = fields.String()
    iso_date = IsoInstant(data_key="isoDate", missing="")
    uploaded_bytes = fields.Integer(data_key="uploadedSize")
    duration = fields.Float(metadata={"description": "Minutes"})
    examined_files = fields.Integer(data_key="fileCount")
    examined_bytes = fields.Integer(data_key="fileSize")
    storage_bytes = fields.Integer(data_key="storageSize")
    version_count = fields.Integer(data_key="backupVersions")


_run_out = RunOut()


def dump_run(run: Run, job_name: str, server_id: str, log: RunLogTexts) -> dict[str, Any]:
    """Return a run with its texts as arrays."""
    return _run_out.dump(run) | {
        "server_id": server_id,
        "name": job_name,
        "messages_array": log.messages,
        "warnings_array": log.warnings,
        "errors_array": log.errors,
    }


def dump_listed_run(run: Run, job_name: str, server_id: str) -> dict[str, Any]:
    """Return a run for a long list: whole minutes, without texts."""
    return _run_out.dump(run) | {
        "server_id": server_id,
        "name": job_name,
        "durationInMinutes": int(run.duration_s // 60),
        # wire: always present, and arrays as everywhere, in a list without texts
        "messages_array": [],
        "warnings_array": [],
        "errors_array": [],
    }


def dump_run_point(run: Run | ChartRun | AnyRow, zone: tzinfo) -> dict[str, Any]:
    """Return one run as a chart point: whole minutes, the day as DD/MM/YYYY."""
    return {
        "date": run.began_at.astimezone(zone).strftime("%d/%m/%Y"),
        "isoDate": iso(run.began_at),
        "uploadedSize": run.uploaded_bytes,
        "duration": int(run.duration_s // 60),
        "fileCount": run.examined_files,
        "fileSize": run.examined_bytes,
        "storageSize": run.storage_bytes,
        "backupVersions": run.version_count,
    }


def dump_day_point(point: DayPoint) -> dict[str, Any]:
    """Return one UTC day as a chart point: minutes (two decimals), day as YYYY-MM-DD."""
    return {
        "date": point.day.isoformat(),
        "isoDate": iso(point.last_began_at),
        "uploadedSize": point.uploaded_bytes,
        "duration": round(point.duration_s / 60, 2),
        "fileCount": point.examined_files,
        "fileSize": point.examined_bytes,
        "storageSize": point.storage_bytes,
        "backupVersions": point.version_count,
    }
