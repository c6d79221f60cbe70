"""The weekly cleanup deletes what is empty, and nothing else."""

from datetime import UTC, datetime

import pytest
from factories import find_job, make_run
from sqlalchemy import delete, select, text

from app.audit.log import SYSTEM, AuditEntry
from app.backups.job_stats import recompute
from app.backups.models import Job, Run, Server
from app.core.db.orm import writing
from app.database import maintenance
from app.database.maintenance import run_maintenance
from app.scheduling.tasks import COMPACTION, TASKS, read_crontab, run_task
from app.sharing import badges


@pytest.fixture
def settings(settings_of_each_database):
    return settings_of_each_database


def empty(job_name: str, server_id: str = "machine-1") -> None:
    """Delete all runs of a job."""
    job = find_job(server_id, job_name)
    with writing() as session:
        session.execute(delete(Run).where(Run.job_id == job.id))
        recompute(session, session.get_one(Job, job.id))


def names(db, column) -> list[str]:
    db.session.commit()
    return sorted(db.session.scalars(select(column)))


def test_empty_job_and_empty_server_are_deleted(db, clock):
    make_run(job_name="photos")
    make_run(job_name="gone")
    make_run(server_id="machine-2", job_name="gone too")
    empty("gone")
    empty("gone too", "machine-2")
    found = run_maintenance(clock())
    assert (found.server_count, found.job_count) == (1, 2)
    assert (names(db, Server.id), names(db, Job.name)) == (["machine-1"], ["photos"])


def test_jobs_and_servers_with_runs_are_kept(db, clock):
    make_run()
    assert run_maintenance(clock()).job_count == 0
    assert len(names(db, Run.id)) == 1


def test_badge_of_a_deleted_target_is_deleted(db, clock):
    make_run()
    wanted = {"label": None, "job_name": None, "actor": SYSTEM, "now": clock()}
    for slug, server_id in (("all", None), ("one", "machine-1")):
        badges.create_badge(slug=slug, server_id=server_id, **wanted)
    empty("photos")
    assert run_maintenance(clock()).badge_count == 1
    assert [badge.slug for badge in badges.list_badges()] == ["all"]


def test_only_a_cleanup_with_deletions_is_audited(db, clock):
    make_run()
    run_maintenance(clock())
    empty("photos")
    run_maintenance(clock())
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "database_compaction")).all()
    assert [entry.details for entry in entries] == [{"servers": 1, "jobs": 1, "badges": 0}]


def test_database_with_much_free_space_is_compacted(db, clock, monkeypatch):
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL keeps its own house")
    monkeypatch.setattr(maintenance, "LEAST_FREE_BYTES", 100_000)
    with writing() as session:
        session.execute(text("CREATE TABLE ballast AS SELECT randomblob(1000000) AS filling"))
    assert maintenance.compact_file() == 0
    with writing() as session:
        session.execute(text("DROP TABLE ballast"))
    assert maintenance.compact_file() >= 900_000
    assert maintenance.compact_file() == 0


def test_task_runs_on_sunday_at_four_and_reports_its_result(app):
    saturday = datetime(2031, 5, 3, 12, 0, tzinfo=UTC)
    ticks = read_crontab(TASKS[COMPACTION].expression).get_next_fire_time(None, saturday)
    assert ticks == datetime(2031, 5, 4, 4, 0, tzinfo=UTC)
    result = run_task(app, COMPACTION)
    assert (result.error, result.message[:7]) == (None, "Removed")
