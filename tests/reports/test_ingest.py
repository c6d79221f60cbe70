"""One report becomes a run with all its consequences, once, on both databases."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from factories import BEGAN_AT, SENDER, find_job, make_report, make_run
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import DatabaseError

from app.audit.log import AuditEntry
from app.backups.models import Job, JobDay, Run, RunLog, Server
from app.backups.run_logs import unpack_log
from app.notifications import channels, outbox
from app.notifications.models import Delivery
from app.reports.ingest import DuplicateReport, ingest_report

HOUR = timedelta(hours=1)
AT_ONCE = 8


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


def counts(db) -> dict[str, int]:
    tables = (Server, Job, Run, RunLog, JobDay, AuditEntry, Delivery)
    db.session.commit()
    return {table.__tablename__: db.session.scalar(select(func.count()).select_from(table)) for table in tables}


def at_once(app: Flask, *calls) -> list[object]:
    """Run the calls in threads that start together; return what each returned or raised."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        with app.app_context():
            barrier.wait(10)
            try:
                return call()
            except Exception as error:
                return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_first_report_creates_server_and_job(db):
    make_run(server_id="m-7", server_name="attic", job_name="books")
    server = db.session.get(Server, "m-7")
    assert (server.name, server.alias, server.note) == ("attic", "", "")
    assert [job.name for job in server.jobs] == ["books"]


def test_every_figure_of_the_report_is_stored(db):
    figures = {"examined_files": 7, "uploaded_bytes": 2**40, "is_partial": True, "quota_free_bytes": None}
    run = make_run(**figures, available_versions=("2031-05-01T00:00:00.000Z",))
    db.session.expire_all()
    assert {name: getattr(run, name) for name in figures} == figures
    assert run.available_versions == ("2031-05-01T00:00:00.000Z",)


def test_times_are_returned_with_their_zone(db):
    run = make_run(began_at=BEGAN_AT + timedelta(milliseconds=7))
    db.session.expire_all()
    assert run.began_at == BEGAN_AT + timedelta(milliseconds=7)
    assert run.began_at.utcoffset() == timedelta(0)


def test_texts_are_stored_with_the_run(db):
    run = make_run(messages=("a", "ü\n漢"), warnings=("w",), errors=("e1", "e2"))
    texts = unpack_log(db.session.get(RunLog, run.row_id).packed)
    assert list(texts.messages) == ["a", "ü\n漢"]
    assert list(texts.warnings) == ["w"]
    assert list(texts.errors) == ["e1", "e2"]


def test_later_server_name_is_ignored(db):
    make_run(server_name="old")
    make_run(server_name="new", began_at=BEGAN_AT + HOUR)
    assert db.session.get(Server, "machine-1").name == "old"


def test_same_server_name_with_another_id_is_another_server(db):
    make_run(server_id="m-1")
    make_run(server_id="m-2")
    assert counts(db)["servers"] == 2


def test_upload_is_audited_with_its_sender(db):
    run = make_run(status="Warning")
    entry = db.session.scalars(select(AuditEntry)).one()
    assert (entry.action, entry.target_id, entry.ip_address) == ("backup_upload", run.id, SENDER.ip_address)
    assert (entry.details["status"], entry.details["backup_name"]) == ("Warning", "photos")
    assert entry.details["date"] == "2031-05-04T11:00:00.000Z"


def test_known_run_is_rejected(db):
    make_run()
    before = counts(db)
    with pytest.raises(DuplicateReport) as raised:
        make_run(duplicati_id="DB-2", examined_files=99)
    assert (raised.value.status, raised.value.message) == (409, "ignored, duplicated data")
    assert counts(db) == before


def test_run_of_another_job_at_the_same_time_is_no_duplicate(db):
    make_run(job_name="a")
    make_run(job_name="b")
    assert counts(db)["runs"] == 2


def test_run_a_millisecond_later_is_no_duplicate(db):
    make_run()
    make_run(began_at=BEGAN_AT + timedelta(milliseconds=1))
    assert counts(db)["runs"] == 2


def test_rejected_duplicate_does_not_change_the_job(db):
    make_run(uploaded_bytes=5)
    with pytest.raises(DuplicateReport):
        make_run(uploaded_bytes=5)
    job = find_job()
    assert (job.run_count, job.total_uploaded_bytes, job.recent_statuses) == (1, 5, "S")


def test_of_many_equal_concurrent_reports_one_is_stored(app, db):
    report = make_report(uploaded_bytes=3)
    ended = at_once(app, *[lambda: ingest_report(report, now=report.ended_at, actor=SENDER) for _ in range(AT_ONCE)])
    assert Counter(type(one) for one in ended) == {str: 1, DuplicateReport: AT_ONCE - 1}
    assert counts(db) | {"deliveries": 0} == {
        "servers": 1,
        "jobs": 1,
        "runs": 1,
        "run_logs": 1,
        "job_days": 1,
        "audit_log": 1,
        "deliveries": 0,
    }
    assert find_job().total_uploaded_bytes == 3


def test_many_concurrent_runs_of_one_new_job_are_all_counted(app, db):
    reports = [make_report(began_at=BEGAN_AT + number * HOUR, uploaded_bytes=10) for number in range(AT_ONCE)]
    ended = at_once(app, *[lambda one=one: ingest_report(one, now=one.ended_at, actor=SENDER) for one in reports])
    assert {type(one) for one in ended} == {str}
    job = find_job()
    assert (job.run_count, job.total_uploaded_bytes) == (AT_ONCE, 10 * AT_ONCE)
    assert job.last_began_at == BEGAN_AT + (AT_ONCE - 1) * HOUR
    assert db.session.scalar(select(func.sum(JobDay.run_count))) == AT_ONCE


def test_many_concurrent_jobs_of_one_new_server_are_all_created(app, db):
    reports = [make_report(job_name=f"job {number}") for number in range(AT_ONCE)]
    ended = at_once(app, *[lambda one=one: ingest_report(one, now=one.ended_at, actor=SENDER) for one in reports])
    assert {type(one) for one in ended} == {str}
    assert (counts(db)["servers"], counts(db)["jobs"]) == (1, AT_ONCE)


@pytest.mark.parametrize("table", ["run_logs", "audit_log", "deliveries", "job_days"])
def test_failure_after_the_insert_of_the_run_stores_nothing(db, clock, table):
    channels.save_settings("ntfy", "ntfy", {"url": "http://127.0.0.1:9", "topic": "t"}, now=clock())
    before = counts(db)
    reject_inserts(db, table)
    with pytest.raises(DatabaseError, match="out of order"):
        make_run(status="Error")
    db.session.rollback()
    assert counts(db) == before


def test_failure_while_figures_are_stored_does_not_change_the_job(db):
    make_run(uploaded_bytes=5)
    before = counts(db)
    reject_inserts(db, "audit_log")
    with pytest.raises(DatabaseError, match="out of order"):
        make_run(began_at=BEGAN_AT + HOUR, uploaded_bytes=7)
    db.session.rollback()
    job = find_job()
    assert (job.run_count, job.total_uploaded_bytes, job.last_began_at) == (1, 5, BEGAN_AT)
    assert counts(db) == before


def test_upload_after_a_failed_one_is_stored(db):
    reject_inserts(db, "audit_log")
    with pytest.raises(DatabaseError):
        make_run()
    db.session.rollback()
    allow_inserts(db, "audit_log")
    make_run()
    assert find_job().run_count == 1


def test_message_is_queued_with_the_run_and_the_delivery_worker_notified(db, clock):
    channels.save_settings("ntfy", "ntfy", {"url": "http://127.0.0.1:9", "topic": "t"}, now=clock())
    woken = []

    def note_state(_sender, **_details):
        db.session.commit()
        woken.append(db.session.scalar(select(func.count()).select_from(Delivery)))

    with outbox.queued.connected_to(note_state):
        make_run(status="Error")
    assert woken == [1]  # once, and only when the row was visible


def test_good_run_notifies_no_worker(db):
    woken = []
    with outbox.queued.connected_to(lambda *_a, **_k: woken.append(1)):
        make_run()
    assert woken == []


def reject_inserts(db, table: str) -> None:
    """Let the database itself reject every new row of a table."""
    if db.engine.dialect.name == "sqlite":
        statements = [f"CREATE TRIGGER no_rows BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'out of order'); END"]
    else:
        statements = [
            "CREATE FUNCTION reject_row() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'out of order'; END $$",
            f"CREATE TRIGGER no_rows BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION reject_row()",
        ]
    with db.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def allow_inserts(db, table: str) -> None:
    """Undo `reject_inserts`."""
    on_table = "" if db.engine.dialect.name == "sqlite" else f" ON {table}"
    with db.engine.begin() as connection:
        connection.execute(text(f"DROP TRIGGER no_rows{on_table}"))
