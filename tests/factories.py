"""Reports and runs with sensible defaults: name only what a test is about."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from app.audit.log import Actor
from app.backups.models import Job, Run, Server
from app.core.db.orm import db
from app.reports.ingest import ingest_report
from app.reports.parser import Report
from app.schedules import overdue_check

BEGAN_AT = datetime(2031, 5, 4, 11, 0, tzinfo=UTC)
SENDER = Actor(ip_address="192.0.2.10", user_agent="Duplicati")


def find_overdue(now: datetime) -> list[Job]:
    """The jobs that are overdue, by server and name."""
    wanted = select(Job).join(Server).where(overdue_check._is_overdue(now)).order_by(Server.name, Job.name)
    return list(db.session.scalars(wanted))


def make_report(**changes: Any) -> Report:
    """Return a parsed report of a good run."""
    began_at = changes.get("began_at", BEGAN_AT)
    usual = {
        "server_id": "machine-1",
        "server_name": "nas",
        "job_name": "photos",
        "duplicati_id": "DB-1",
        "main_operation": "Backup",
        "began_at": began_at,
        "ended_at": began_at + timedelta(minutes=2),
        "duration_s": 120.0,
        "status": "Success",
        "parsed_result": changes.get("status", "Success"),
    }
    return Report(**{**usual, **changes})


def make_run(*, now: datetime | None = None, **changes: Any) -> Run:
    """Return a stored run with its job, as after a report of these values."""
    report = make_report(**changes)
    run_id = ingest_report(report, now=now or report.ended_at, actor=SENDER)
    return db.session.scalars(select(Run).where(Run.id == run_id)).one()


def find_job(server_id: str = "machine-1", name: str = "photos") -> Job:
    """Return a job from the database."""
    db.session.commit()
    statement = select(Job).where(Job.server_id == server_id, Job.name == name)
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()


def report_document(
    *,
    server_id: str = "machine-1",
    server_name: str = "nas",
    job_name: str = "photos",
    began_at: datetime = BEGAN_AT,
    result: str = "Success",
    data: dict[str, Any] | None = None,
    storage: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
    lines: list[str] | None = None,
) -> dict[str, Any]:
    """Return a report as Duplicati sends it; `data`, `storage` and `extra` change fields of its sections."""
    return {
        "Data": {
            "MainOperation": "Backup",
            "ParsedResult": result,
            "BeginTime": began_at.isoformat(),
            "EndTime": (began_at + timedelta(minutes=2)).isoformat(),
            "Duration": "00:02:00.5000000",
            "ExaminedFiles": 120,
            "SizeOfExaminedFiles": 5_000_000,
            "WarningsActualLength": 0,
            "ErrorsActualLength": 0,
            "MessagesActualLength": len(lines or ()),
            "BackendStatistics": {
                "BytesUploaded": 1_000,
                "KnownFileSize": 2_000_000,
                "BackupListCount": 4,
                **(storage or {}),
            },
            **(data or {}),
        },
        "Extra": {
            "machine-id": server_id,
            "machine-name": server_name,
            "backup-name": job_name,
            "backup-id": "DB-1",
            **(extra or {}),
        },
        "LogLines": lines or [],
    }


def report_body(**changes: Any) -> bytes:
    """Return the bytes of such a report."""
    return json.dumps(report_document(**changes)).encode()
