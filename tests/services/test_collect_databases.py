"""Collecting on both databases: what is stored, what is claimed, and what is known already."""

import pytest
from duplicati_server import BEGAN_AT, MACHINE_ID, PASSWORD, duplicati_server, entry, message
from sqlalchemy import select

from app.domain.collected import CollectedJob, JobSchedule
from app.models import Server
from app.services import secrets
from app.services.audit import Actor
from app.services.collect import control, pulling, storing
from app.services.transaction import writing


@pytest.fixture
def settings(settings_of_each_database):
    """Settings for both."""
    return settings_of_each_database


def test_pulling_stores_each_run_once_and_jobs_can_be_started(db, clock):
    with duplicati_server() as duplicati:
        duplicati.logs["4"] = [entry(message(BEGAN_AT.replace(hour=hour))) for hour in range(5)]
        with writing() as session:
            encrypted = secrets.encrypt(PASSWORD)
            values = {"name": "nas", "url": duplicati.url, "encrypted_password": encrypted, "collect_interval": "1h"}
            session.add(Server(id=MACHINE_ID, created_at=BEGAN_AT, **values))
        assert pulling.pull_due(clock()) == pulling.Pulled(1, 6, 0)
        clock.advance(hours=1)
        assert pulling.pull_due(clock()) == pulling.Pulled(1, 0, 0)
        control.start_job(MACHINE_ID, "Photos", actor=Actor(), now=clock())
        assert duplicati.started == ["3"]


def test_server_that_is_deleted_while_it_is_asked_stays_deleted(db, clock):
    scheduled = CollectedJob("3", "Photos", JobSchedule("1W", 0b1111111, None))
    assert storing.apply_schedules("gone", [scheduled], clock()) == 0
    storing.note_outcome("gone", clock(), "It did not answer")
    assert db.session.scalars(select(Server)).all() == []
