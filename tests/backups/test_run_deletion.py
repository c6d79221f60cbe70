"""Deleting runs keeps the figures of the rest right; on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from factories import BEGAN_AT, find_job, make_run
from sqlalchemy import func, select

from app.accounts.models import User
from app.audit.log import Actor, AuditEntry
from app.backups import run_deletion
from app.backups.models import Job, JobDay, Run, RunLog, Server
from app.core.db.orm import writing
from app.core.errors import Refused

DAY = timedelta(days=1)


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


def count(db, model) -> int:
    db.session.commit()
    return db.session.scalar(select(func.count()).select_from(model))


def clean(period: str, now: datetime) -> int:
    return run_deletion.delete_older_runs(period, actor=Actor(), now=now)


@pytest.mark.parametrize(
    ("period", "cutoff"),
    [
        ("6 months", datetime(2031, 2, 28, 12, tzinfo=UTC)),  # the 31st becomes the last day of February
        ("1 year", datetime(2030, 8, 31, 12, tzinfo=UTC)),
        ("2 years", datetime(2029, 8, 31, 12, tzinfo=UTC)),
    ],
)
def test_runs_that_ended_before_the_cutoff_are_deleted(db, period, cutoff):
    for shift in (-1, 0):
        make_run(began_at=cutoff - DAY, ended_at=cutoff + timedelta(milliseconds=shift), job_name=f"at {shift}")
    assert clean(period, datetime(2031, 8, 31, 12, tzinfo=UTC)) == 1
    assert find_job(name="at 0").run_count == 1
    assert find_job(name="at -1").run_count == 0


def test_figures_are_those_of_the_remaining_runs(db):
    make_run(began_at=BEGAN_AT - 400 * DAY, uploaded_bytes=1, status="Error")
    make_run(began_at=BEGAN_AT, uploaded_bytes=2)
    clean("1 year", BEGAN_AT + DAY)
    job = find_job()
    assert (job.run_count, job.total_uploaded_bytes, job.recent_statuses) == (1, 2, "S")
    assert (count(db, RunLog), count(db, JobDay)) == (1, 1)


def test_servers_and_settings_are_kept_when_all_runs_are_old(db):
    make_run(began_at=BEGAN_AT - 400 * DAY)
    clean("1 year", BEGAN_AT)
    job = find_job()
    assert (job.run_count, job.last_began_at, job.last_status, job.overdue_alerted_at) == (0, None, None, None)
    assert (count(db, Server), count(db, Job)) == (1, 1)


def test_everything_but_accounts_is_deleted(db):
    make_run()
    make_run(server_id="machine-2", began_at=BEGAN_AT + DAY)
    assert run_deletion.delete_everything(actor=Actor(), now=BEGAN_AT) == (2, 2)
    assert [count(db, model) for model in (Server, Job, Run, RunLog, JobDay)] == [0] * 5
    assert count(db, User) == 1


def test_runs_of_one_job_are_deleted_and_its_settings_kept(db):
    make_run()
    make_run(job_name="music")
    with writing() as session:
        session.scalars(select(Job).where(Job.name == "photos")).one().expected_interval = "3D"
    assert run_deletion.delete_runs_of_job("machine-1", "photos", actor=Actor(), now=BEGAN_AT) == (1, "nas")
    assert (find_job().run_count, find_job().expected_interval) == (0, "3D")
    assert find_job(name="music").run_count == 1


def test_job_without_runs_is_not_found(db):
    make_run()
    run_deletion.delete_runs_of_job("machine-1", "photos", actor=Actor(), now=BEGAN_AT)
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        run_deletion.delete_runs_of_job("machine-1", "photos", actor=Actor(), now=BEGAN_AT)


def test_job_accepts_new_runs_after_deletion(db):
    make_run(uploaded_bytes=1)
    run_deletion.delete_runs_of_job("machine-1", "photos", actor=Actor(), now=BEGAN_AT)
    make_run(uploaded_bytes=4)
    assert (find_job().run_count, find_job().total_uploaded_bytes) == (1, 4)


@pytest.mark.parametrize(
    ("act", "action", "category", "details"),
    [
        (
            lambda: clean("1 year", BEGAN_AT + 1000 * DAY),
            "cleanup_executed",
            "system",
            {"retentionPeriod": "1 year", "deletedCount": 1},
        ),
        (
            lambda: run_deletion.delete_everything(actor=Actor(), now=BEGAN_AT),
            "cleanup_executed",
            "system",
            {"retentionPeriod": "Delete all data", "backupChanges": 1, "serverChanges": 1},
        ),
        (
            lambda: run_deletion.delete_runs_of_job("machine-1", "photos", actor=Actor(), now=BEGAN_AT),
            "backup_job_deleted",
            "backup",
            {"serverId": "machine-1", "serverName": "nas", "backupName": "photos", "deletedCount": 1},
        ),
    ],
    ids=["period", "everything", "job"],
)
def test_deletion_is_recorded(db, act, action, category, details):
    make_run()
    act()
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == action)).one()
    assert (entry.category, entry.details) == (category, details)
