"""Fixtures for tests with an application: reports, jobs, channels, deliveries, accounts, scheduled work.

The application is imported by the fixtures that need it, so that tests of pure functions start without it.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flask import Flask

    from app.backups.models import Job
    from app.notifications.models import Delivery
    from app.plugin.testing.http_servers import RecordingServer
    from app.reports.parser import Report

BEGAN_AT = datetime(2031, 5, 4, 11, 0, tzinfo=UTC)


@pytest.fixture
def ntfy() -> "Iterator[RecordingServer]":
    """A fake ntfy server."""
    from app.plugin.testing.http_servers import recording_server

    with recording_server() as server:
        yield server


@pytest.fixture
def ntfy_channel(db, clock, ntfy) -> Any:
    """The standard ntfy channel, with the fake server."""
    from app.notifications import channels

    return channels.save_settings("ntfy", "ntfy", {"url": ntfy.url, "topic": "main", "token": ""}, now=clock())


@pytest.fixture
def mail_channel(db, clock) -> Any:
    """A standard email channel at a closed port."""
    from app.notifications import channels

    return channels.save_settings("email", "email", mail_settings(), now=clock())


@pytest.fixture
def ingest(db, clock) -> "Callable[..., Job]":
    """Store a report, as `make_report` makes it; return its job."""
    from app.audit.log import Actor
    from app.reports.ingest import ingest_report

    def ingest(**changes: Any) -> "Job":
        report = make_report(**changes)
        ingest_report(report, now=clock(), actor=Actor())
        return job_of(db, report)

    return ingest


@pytest.fixture
def report() -> "Callable[..., Report]":
    """Return reports, as `make_report` does."""
    return make_report


def make_report(**changes: Any) -> "Report":
    """Return a report of a good run."""
    from app.reports.parser import Report

    usual = {
        "server_id": "machine-1",
        "server_name": "nas",
        "job_name": "photos",
        "duplicati_id": "DB-1",
        "main_operation": "Backup",
        "began_at": BEGAN_AT,
        "ended_at": changes.get("began_at", BEGAN_AT) + timedelta(minutes=2),
        "duration_s": 120.0,
        "status": "Success",
        "parsed_result": changes.get("status", "Success"),
    }
    return Report(**{**usual, **changes})


def mail_settings(port: int = 9, **changes: Any) -> dict[str, Any]:
    """Settings of a plain mail server on loopback."""
    return {
        "host": "127.0.0.1",
        "port": port,
        "connection_type": "plain",
        "mailto": "admin@example.org",
        "from_address": "watch@example.org",
        **changes,
    }


def job_of(db, report: "Report") -> "Job":
    """Return the job of a report from the database."""
    from sqlalchemy import select

    from app.backups.models import Job

    wanted = select(Job).where(Job.server_id == report.server_id, Job.name == report.job_name)
    return db.session.scalars(wanted.execution_options(populate_existing=True)).one()


@pytest.fixture
def deliveries(db) -> "Callable[[], list[Delivery]]":
    """Return all deliveries from the database, oldest first."""
    from sqlalchemy import select

    from app.notifications.models import Delivery

    def read() -> "list[Delivery]":
        db.session.commit()
        wanted = select(Delivery).order_by(Delivery.id).execution_options(populate_existing=True)
        return list(db.session.scalars(wanted))

    return read


Post = Callable[..., None]


def make_posted_report(
    began_at: datetime, *, server: str = "nas", job: str = "Photos", status: str = "Success", **changes: Any
) -> dict[str, Any]:
    """Return a report as Duplicati sends it; `changes` are fields of its data."""
    ended_at = began_at + timedelta(minutes=7)
    return {
        "Data": {
            "MainOperation": "Backup",
            "ParsedResult": status,
            "BeginTime": began_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "EndTime": ended_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Duration": "00:07:00",
            "ExaminedFiles": 48211,
            "SizeOfExaminedFiles": 3 * 1024**3,
            "Version": "2.2.0.1 (2.2.0.1_stable_2025-11-09)",
            "BackendStatistics": {"BytesUploaded": 5 * 1024**2, "KnownFileSize": 7 * 1024**3, "BackupListCount": 4},
            "Messages": [
                "2031-05-04 10:00:00 +00 - [Information-Duplicati.Library.Main.Controller]: The operation ran"
            ],
            "Warnings": [],
            "Errors": [],
            **changes,
        },
        "Extra": {
            "OperationName": "Backup",
            "machine-id": f"id-of-{server}",
            "machine-name": server,
            "backup-name": job,
            "backup-id": "DB-1",
        },
    }


@pytest.fixture
def post(client, clock) -> Post:
    """Send reports: `post(hours_ago=3, job="Mail", status="Error")`."""

    def send(hours_ago: float = 1, **values: Any) -> None:
        report = make_posted_report(clock.now - timedelta(hours=hours_ago), **values)
        assert client.post("/api/upload", json=report).status_code == 200

    return send


@pytest.fixture
def viewer(admin, app):
    """A signed-in user who is no administrator."""
    new = {"username": "viewer", "password": "Viewer1234", "isAdmin": False, "requirePasswordChange": False}
    assert admin.send("POST", "/api/users", json=new).status_code == 201
    viewer = app.test_client()
    assert viewer.sign_in("viewer", "Viewer1234").status_code == 200
    return viewer


@pytest.fixture
def working_app(app: "Flask") -> "Iterator[Flask]":
    """The application with its schedule and its delivery worker."""
    from app.scheduling import background

    background.start_jobs(app)
    yield app
    background.stop_jobs(app)
