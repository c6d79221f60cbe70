"""Collecting on both databases: what is stored, claimed, and known already."""

import pytest
from duplicati_server import BEGAN_AT, MACHINE_ID, PASSWORD, duplicati_server, entry, job, message
from sqlalchemy import select

from app.audit.log import Actor
from app.backups.models import Job, Server
from app.collector import batches, collecting
from app.collector import store as collector_store
from app.collector.collecting import Caller
from app.collector.responses import CollectedJob, JobSchedule
from app.collector.targets import Order
from app.core.db.orm import writing
from app.core.errors import Refused
from app.database import secrets


@pytest.fixture
def settings(settings_of_each_database):
    """Settings for both."""
    return settings_of_each_database


def test_collecting_stores_each_run_once_and_jobs_can_be_started(db, clock):
    with duplicati_server() as duplicati:
        duplicati.logs["4"] = [entry(message(BEGAN_AT.replace(hour=hour))) for hour in range(5)]
        with writing() as session:
            encrypted = secrets.encrypt(PASSWORD)
            values = {"name": "nas", "url": duplicati.url, "encrypted_password": encrypted, "collect_interval": "1h"}
            session.add(Server(id=MACHINE_ID, created_at=BEGAN_AT, **values))
        assert batches.collect_due(clock()) == batches.CollectedServers(1, 6, 0)
        clock.advance(hours=1)
        assert batches.collect_due(clock()) == batches.CollectedServers(1, 0, 0)
        collecting.start_job(MACHINE_ID, "Photos", actor=Actor(), now=clock())
        assert duplicati.started == ["3"]


def test_server_deleted_during_collection_stays_deleted(db, clock):
    scheduled = CollectedJob("3", "Photos", JobSchedule("1W", 0b1111111, None))
    problems: list[Refused] = []
    assert collector_store.apply_schedules("gone", [scheduled], clock(), problems) == 0
    [problem] = problems
    assert problem.message.startswith("Photos: its server is not known yet")
    collector_store.note_outcome("gone", clock(), Refused("host_unknown"))
    assert db.session.scalars(select(Server)).all() == []


def test_additional_results_are_stored_in_both_databases(db, clock):
    done = {"LastSyncStarted": "20310504T020003Z", "LastSyncFinished": "20310504T020009Z"}
    failed = {"LastErrorDate": "20310504T030000Z", "LastErrorMessage": "The folder does not exist"}
    with duplicati_server() as duplicati:
        duplicati.jobs = [
            job("3", "Photos", **failed),
            job("4", "Mirror", operation="Sync", **done, **failed),
            job("5", "Music"),
        ]
        duplicati.versions = {"3": ["2031-05-04T04:00:03+02:00"]}
        duplicati.job_settings = {"5": {"--machine-id": "own"}}
        duplicati.logs["5"] = [entry(message())]
        order = Order(hostname="127.0.0.1", port=duplicati.port, password=PASSWORD, scheme="http")
        assert collecting.collect(order, caller=Caller(), now=clock()).stored == 4
        duplicati.running = "5"
        assert collecting.collect(order, caller=Caller(), now=clock()).stored == 0
    found = {each.name: each for each in db.session.scalars(select(Job))}
    assert (found["Photos"].collected_error, found["Mirror"].run_count) == ("The folder does not exist", 2)
    assert found["Photos"].last_versions == ("2031-05-04T02:00:03.000Z",)
    assert (found["Music"].server_id, found["Music"].running_since_at is not None) == ("own", True)
