"""What is kept and what is deleted, previewed before it is done; on both databases."""

import os
import threading
from datetime import timedelta

import pytest
from factories import BEGAN_AT, find_job, make_report, make_run
from sqlalchemy import func, select

from app.audit import application_logs
from app.audit.log import Actor, AuditEntry, record_entry
from app.backups import job_stats, run_deletion
from app.backups.models import JobDay, Run
from app.core.db import orm
from app.core.db.orm import writing
from app.core.errors import Refused
from app.database import retention
from app.database.retention import Rules
from app.reports.ingest import ingest_report

DAY = timedelta(days=1)


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture
def history(db):
    """Ten days of one job, and one run of another long ago."""
    for days in range(10):
        make_run(began_at=BEGAN_AT - days * DAY, uploaded_bytes=1 << days, status="Warning" if days > 6 else "Success")
    make_run(job_name="archive", began_at=BEGAN_AT - 400 * DAY)


def figures_of(job) -> dict:
    return {name: getattr(job, name) for name in job_stats.STATISTICS}


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        (Rules(), 10),
        (Rules(run_days=4), 4),
        (Rules(run_count=3), 3),
        (Rules(run_days=4, run_count=6), 4),
        (Rules(run_days=8, run_count=2), 2),
        (Rules(run_days=1), 1),
        (Rules(run_count=100), 10),
    ],
)
def test_each_job_keeps_runs_by_the_rules_and_its_newest_run(db, history, rules, left):
    now = BEGAN_AT + timedelta(hours=1)
    forecast = retention.preview(rules, now)
    done = retention.clean_up(rules, now=now)
    assert (find_job().run_count, find_job(name="archive").run_count) == (left, 1)
    assert db.session.scalar(select(func.count()).select_from(Run)) == left + 1
    assert (forecast.run_count, done.run_count) == (10 - left, 10 - left)
    assert [(share.job_name, share.kept_count) for share in forecast.shares] == (
        [("photos", left)] if left < 10 else []
    )


def test_figures_after_many_small_steps_equal_a_recount(db, history, monkeypatch):
    monkeypatch.setattr(run_deletion, "RUNS_AT_ONCE", 2)
    retention.clean_up(Rules(run_count=3), now=BEGAN_AT)
    job = find_job()
    kept, days = figures_of(job), db.session.execute(select(JobDay.__table__).order_by(JobDay.day)).all()
    with writing() as session:
        job_stats.recompute(session, job)
    assert figures_of(find_job()) == kept
    assert db.session.execute(select(JobDay.__table__).order_by(JobDay.day)).all() == days


def test_a_forecast_changes_nothing(db, history):
    retention.preview(Rules(run_days=1, run_count=1, delivery_days=1, log_days=1), BEGAN_AT + 900 * DAY)
    assert find_job().run_count == 10


def test_a_report_during_the_deletion_of_old_runs_does_not_wait_for_all(app, db, history, monkeypatch):
    monkeypatch.setattr(run_deletion, "RUNS_AT_ONCE", 1)
    first_is_gone, report_is_in = threading.Event(), threading.Event()
    turns = orm.run_in_batches

    def observed(step):
        def delete_some():
            count = step()
            first_is_gone.set()
            # If the lock were held throughout, the report could not be stored, and this would be false.
            assert report_is_in.wait(20)
            return count

        return turns(delete_some)

    monkeypatch.setattr(run_deletion, "run_in_batches", observed)

    def report():
        assert first_is_gone.wait(20)
        with app.app_context():
            ingest_report(make_report(began_at=BEGAN_AT + DAY), now=BEGAN_AT + DAY, actor=Actor())
        report_is_in.set()

    reporter = threading.Thread(target=report)
    reporter.start()
    done = retention.clean_up(Rules(run_count=5), now=BEGAN_AT)
    reporter.join()
    assert find_job().run_count == 5
    assert done.run_count == 6  # runs that arrived meanwhile count among the five


def test_cleanup_is_recorded_unless_there_was_nothing_to_do(db, history):
    retention.clean_up(Rules(), now=BEGAN_AT)
    entries = select(AuditEntry).where(AuditEntry.action == "cleanup_executed")
    assert db.session.scalars(entries).all() == []
    retention.clean_up(Rules(run_count=8), now=BEGAN_AT)
    entry = db.session.scalars(entries).one()
    assert (entry.username, entry.details["deletedCount"], entry.details["jobs"]) == ("system", 2, 1)


def test_rules_are_stored_and_recorded(db, clock):
    wanted = Rules(run_days=730, run_count=5000, delivery_days=30, log_days=14)
    retention.save_rules(wanted, actor=Actor(username="kim"), now=clock())
    assert retention.rules() == wanted
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "retention_updated")).one()
    assert (entry.username, entry.details["newValue"]["run_days"]) == ("kim", 730)


@pytest.mark.parametrize("wrong", [{"run_days": -1}, {"run_count": 1.5}, {"delivery_days": 0}, {"log_days": True}])
def test_out_of_range_rules_are_rejected_with_their_field(db, clock, wrong):
    with pytest.raises(Refused) as raised:
        retention.save_rules(Rules(**wrong), actor=Actor(), now=clock())
    assert raised.value.field == next(iter(wrong))


def test_old_log_files_are_deleted_and_the_current_one_kept(app, db, settings, clock):
    folder = settings.data_dir / "logs"
    for name, days in ((application_logs.BASE_NAME, 50), ("application.log.1", 2), ("application.log.2", 40)):
        (folder / name).write_text("a line\n")
        written = (clock() - days * DAY).timestamp()
        os.utime(folder / name, (written, written))
    assert retention.preview(Rules(log_days=30), clock()).log_names == ("application.log.2",)
    assert retention.clean_up(Rules(log_days=30), now=clock()).log_count == 1
    assert application_logs.list_files() == [application_logs.BASE_NAME, "application.log.1"]


def test_the_audit_log_is_shortened_in_steps(db, clock, monkeypatch):
    monkeypatch.setattr(retention, "ENTRIES_AT_ONCE", 2)
    for _ in range(5):
        record_entry("login", "auth", now=clock() - 91 * DAY)
    record_entry("logout", "auth", now=clock() - 89 * DAY)
    assert retention.purge_audit_log(90, now=clock()) == 5
    assert {entry.action for entry in db.session.scalars(select(AuditEntry))} == {"logout", "audit_cleanup"}
