"""Reports, jobs and channels for the tests of services."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.domain.reports import Report
from app.models import Delivery, Job
from app.services import channels
from app.services.audit import Actor
from app.services.ingest import ingest_report
from app.testing.http_servers import RecordingServer, recording_server

BEGAN_AT = datetime(2031, 5, 4, 11, 0, tzinfo=UTC)


@pytest.fixture
def ntfy() -> Iterator[RecordingServer]:
    """A stand-in for ntfy."""
    with recording_server() as server:
        yield server


@pytest.fixture
def ntfy_channel(db, clock, ntfy) -> Any:
    """The standard ntfy channel, which leads to the stand-in."""
    return channels.save_settings("ntfy", "ntfy", {"url": ntfy.url, "topic": "main", "token": ""}, now=clock())


@pytest.fixture
def mail_channel(db, clock) -> Any:
    """A standard mail channel at a port where nobody listens."""
    return channels.save_settings("email", "email", mail_settings(), now=clock())


@pytest.fixture
def ingest(db, clock) -> Callable[..., Job]:
    """Store a report, as `make_report` makes it; gives its job."""

    def ingest(**changes: Any) -> Job:
        report = make_report(**changes)
        ingest_report(report, now=clock(), actor=Actor())
        return job_of(db, report)

    return ingest


@pytest.fixture
def report() -> Callable[..., Report]:
    """Makes reports, as `make_report` does."""
    return make_report


def make_report(**changes: Any) -> Report:
    """A report of a good run."""
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


def job_of(db, report: Report) -> Job:
    """The job that a report belongs to, as it stands in the database."""
    wanted = select(Job).where(Job.server_id == report.server_id, Job.name == report.job_name)
    return db.session.scalars(wanted.execution_options(populate_existing=True)).one()


@pytest.fixture
def deliveries(db) -> Callable[[], list[Delivery]]:
    """Reads all deliveries, oldest first, as they stand in the database."""

    def read() -> list[Delivery]:
        db.session.commit()
        wanted = select(Delivery).order_by(Delivery.id).execution_options(populate_existing=True)
        return list(db.session.scalars(wanted))

    return read
