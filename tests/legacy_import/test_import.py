"""What an import reads from old installations, what it skips, and that it can be repeated."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from old_installations import SAMPLES, everything, make_old_database, old_run
from real_server import ROOT
from sqlalchemy import delete, func, select

from app.backups.models import Job, JobDay, Run, RunLog, Server
from app.backups.run_logs import unpack_log
from app.core.db.orm import writing
from app.legacy_import.importing import import_database
from app.reports.ingest import DuplicateReport

pytestmark = pytest.mark.slow

FILES = sorted(SAMPLES.glob("*.db"))
assert FILES, f"no databases in {SAMPLES}"
each_sample = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def rows_of(file: Path, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def key_column(file: Path) -> str:
    columns = {row[1] for row in rows_of(file, "PRAGMA table_info(backups)")}
    return "machine_id" if "machine_id" in columns else "server_id"


@pytest.fixture
def take(db, clock):
    """Import a file."""

    def take(file, **options):
        return import_database(file, now=clock(), **options)

    return take


@each_sample
def test_counts_and_sums_equal_those_of_the_file(file, take, db):
    report = take(file)
    key = key_column(file)
    figures = "count(*), sum(uploaded_size), sum(size), sum(known_file_size), sum(warnings), sum(errors)"
    by_job = rows_of(file, f"SELECT {key}, backup_name, {figures} FROM backups GROUP BY 1, 2 ORDER BY 1, 2")
    ours = db.session.execute(
        select(
            Job.server_id,
            Job.name,
            func.count(),
            func.sum(Run.uploaded_bytes),
            func.sum(Run.examined_bytes),
            func.sum(Run.storage_bytes),
            func.sum(Run.warning_count),
            func.sum(Run.error_count),
        )
        .join(Run, Run.job_id == Job.id)
        .group_by(Job.server_id, Job.name)
    ).all()
    assert sorted(map(tuple, ours)) == sorted(by_job)
    assert report.counts["runs"].taken == sum(row[2] for row in by_job)
    assert set(db.session.scalars(select(Run.id))) == {row[0] for row in rows_of(file, "SELECT id FROM backups")}


@each_sample
def test_stored_figures_of_jobs_are_right_afterwards(file, take, db):
    take(file)
    key = key_column(file)
    newest = rows_of(
        file,
        f"SELECT {key}, backup_name, count(*), sum(uploaded_size), max(date), known_file_size, backup_list_count"
        " FROM backups GROUP BY 1, 2",
    )
    ours = {
        (
            job.server_id,
            job.name,
            job.run_count,
            job.total_uploaded_bytes,
            f"{job.last_began_at:%Y-%m-%dT%H:%M:%S}.{job.last_began_at.microsecond // 1000:03}Z",
            job.last_storage_bytes,
            job.last_version_count,
        )
        for job in db.session.scalars(select(Job))
    }
    assert ours == set(newest)
    days = db.session.scalar(select(func.sum(JobDay.run_count)))
    assert days == rows_of(file, "SELECT count(*) FROM backups")[0][0]
    assert all(job.next_expected_at for job in db.session.scalars(select(Job)))


@each_sample
def test_second_import_changes_nothing(file, take, db):
    take(file)
    before = everything()
    report = take(file)
    assert report.imported_count == 0
    assert everything() == before


class TestOnPostgresql:
    """The same statements in the other dialect."""

    @pytest.fixture
    def settings(self, settings, postgres_url):
        return replace(settings, database_url=postgres_url)

    def test_second_import_changes_nothing(self, take, db):
        file = SAMPLES / "backups_1.4.2.db"
        counts = take(file).counts
        assert {kind: counts[kind].taken for kind in ("servers", "jobs", "runs")} == {
            "servers": 4,
            "jobs": 5,
            "runs": 50,
        }
        assert all(min(count.taken, count.known, count.left) >= 0 for count in counts.values())
        before = everything()
        assert take(file).imported_count == 0
        assert everything() == before


def test_old_file_is_unchanged(take, tmp_path):
    file = tmp_path / "old" / "backups.db"
    file.parent.mkdir()
    file.write_bytes((SAMPLES / "backups_1.4.2.db").read_bytes())
    file.chmod(0o400)
    before = hashlib.sha256(file.read_bytes()).digest(), file.stat().st_mtime_ns
    take(file)
    assert (hashlib.sha256(file.read_bytes()).digest(), file.stat().st_mtime_ns) == before
    assert [path.name for path in file.parent.iterdir()] == ["backups.db"]


def test_writes_in_the_wal_are_imported_and_left_there(take, tmp_path):
    file = make_old_database(tmp_path / "backups.db", runs=[old_run()])
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("UPDATE servers SET alias = 'in the log'")
        log = tmp_path / "backups.db-wal"
        before = file.read_bytes(), log.read_bytes()
        take(file)
        assert (file.read_bytes(), log.read_bytes()) == before
    with writing() as session:
        assert session.get_one(Server, "machine-1").alias == "in the log"


def test_data_folder_is_imported_completely(take, tmp_path):
    make_old_database(tmp_path / "backups.db", runs=[old_run()])
    assert take(tmp_path).counts["runs"].taken == 1


def test_logs_are_stored_line_by_line(take, tmp_path, db):
    lists = {"messages_array": '["one", "two"]', "warnings_array": '["w"]', "errors_array": None}
    take(make_old_database(tmp_path / "old.db", runs=[old_run(**lists)]))
    log = unpack_log(db.session.scalars(select(RunLog.packed)).one())
    assert (log.messages, log.warnings, log.errors) == (("one", "two"), ("w",), ())


def test_log_that_is_no_list_is_stored_as_text(take, tmp_path, db):
    take(make_old_database(tmp_path / "old.db", runs=[old_run(messages_array="broken [")]))
    assert unpack_log(db.session.scalars(select(RunLog.packed)).one()).messages == ("broken [",)


def test_missing_versions_are_read_from_the_log(take, tmp_path, db):
    line = "2031-05-01 02:00:00 +02 - [Information-X]: Backups to consider: 2031-04-30 02:00:00, 2031-04-29 02:00:00"
    run = old_run(available_backups=None, messages_array=f'["{line}"]')
    take(make_old_database(tmp_path / "old.db", version=None, runs=[run]))
    assert db.session.scalars(select(Run.available_versions)).one() == (
        "2031-04-30T00:00:00.000Z",
        "2031-04-29T00:00:00.000Z",
    )


def test_stored_versions_are_sorted(take, tmp_path, db):
    kept = '["2031-04-29T02:00:00.000Z", "nonsense", "2031-04-30T02:00:00.000Z"]'
    take(make_old_database(tmp_path / "old.db", runs=[old_run(available_backups=kept)]))
    assert db.session.scalars(select(Run.available_versions)).one()[0] == "2031-04-30T02:00:00.000Z"


def test_invalid_values_are_converted_as_far_as_possible(take, tmp_path, db):
    run = old_run(size=-5, uploaded_size="12", examined_files=None, known_file_size=b"\x00", duration_seconds="long")
    take(make_old_database(tmp_path / "old.db", runs=[run]))
    taken = db.session.scalars(select(Run)).one()
    assert (taken.examined_bytes, taken.uploaded_bytes, taken.examined_files) == (0, 12, 0)
    assert (taken.storage_bytes, taken.duration_s) == (0, 0.0)


def test_unreadable_rows_are_skipped_with_the_reason(take, tmp_path):
    runs = [old_run(), old_run(date="someday", begin_time=None), old_run(backup_name=""), old_run(id=None)]
    report = take(make_old_database(tmp_path / "old.db", runs=runs))
    assert (report.counts["runs"].taken, report.counts["runs"].left) == (1, 3)
    assert "A run without a readable time was skipped" in report.remarks


def test_run_known_under_another_id_is_skipped(take, tmp_path, ingest):
    began_at = datetime(2031, 5, 1, 2, tzinfo=UTC)
    ingest(began_at=began_at)
    report = take(make_old_database(tmp_path / "old.db", runs=[old_run()]))
    assert (report.counts["runs"].taken, report.counts["runs"].left) == (0, 1)


def test_imported_run_is_a_duplicate_when_it_is_reported_again(take, tmp_path, ingest):
    take(make_old_database(tmp_path / "old.db", runs=[old_run()]))
    with pytest.raises(DuplicateReport):
        ingest(began_at=datetime(2031, 5, 1, 2, tzinfo=UTC))


def test_job_that_already_reports_gets_its_history(take, tmp_path, ingest):
    ingest(began_at=datetime(2031, 5, 3, 2, tzinfo=UTC))
    take(make_old_database(tmp_path / "old.db", runs=[old_run(uploaded_size=7)]))
    with writing() as session:
        job = session.scalars(select(Job)).one()
        assert (job.run_count, job.total_uploaded_bytes) == (2, 7)
        assert job.last_began_at == datetime(2031, 5, 3, 2, tzinfo=UTC)
        assert job.recent_statuses == "SS"


def test_server_without_runs_is_imported(take, tmp_path, db):
    take(make_old_database(tmp_path / "old.db", servers=[{"id": "idle", "name": "spare", "alias": "Spare"}]))
    assert db.session.get_one(Server, "idle").alias == "Spare"


def test_merged_server_is_not_created_again(take, tmp_path, db):
    file = make_old_database(tmp_path / "old.db", runs=[old_run()])
    take(file)
    with writing() as session:
        other = Server(id="machine-2", name="new", created_at=datetime(2031, 5, 2, tzinfo=UTC))
        session.add(other)
        session.flush()
        session.scalars(select(Job)).one().server_id = "machine-2"
        session.flush()
        session.delete(session.get_one(Server, "machine-1", populate_existing=True))
    take(file)
    assert list(db.session.scalars(select(Server.id))) == ["machine-2"]


def test_run_of_an_unlisted_server_is_imported(take, tmp_path, db):
    report = take(make_old_database(tmp_path / "old.db", runs=[old_run(server_id="lost")]))
    assert report.counts["runs"].taken == 1
    assert db.session.get_one(Server, "lost").name == "lost"


def test_progress_is_reported_after_each_batch(take, tmp_path):
    days = [f"2030-{month:02}-{day:02}T02:00:00.000Z" for month in range(1, 13) for day in range(1, 29)]
    runs = [old_run(date=day, backup_name=name) for day in days for name in ("a", "b")]
    calls = []
    take(make_old_database(tmp_path / "old.db", runs=runs), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(500, 672), (672, 672)]


def test_reports_received_during_the_import_are_counted_once(take, tmp_path, ingest, db):
    days = [f"2030-{month:02}-{day:02}T02:00:00.000Z" for month in range(1, 13) for day in range(1, 29)]
    runs = [old_run(date=day, backup_name=name, server_id="machine-1") for day in days for name in ("photos", "b")]
    arrivals = iter([datetime(2031, 5, 2, 2, tzinfo=UTC), datetime(2031, 5, 3, 2, tzinfo=UTC)])
    file = make_old_database(tmp_path / "old.db", runs=runs)
    take(file, progress=lambda *_: ingest(began_at=next(arrivals), uploaded_bytes=1))
    job = db.session.scalars(
        select(Job).where(Job.name == "photos"), execution_options={"populate_existing": True}
    ).one()
    assert (job.run_count, job.total_uploaded_bytes) == (338, 336 * 100 + 2)
    assert job.last_began_at == datetime(2031, 5, 3, 2, tzinfo=UTC)
    assert db.session.scalar(select(func.sum(JobDay.run_count)).where(JobDay.job_id == job.id)) == 338


def test_number_of_a_job_deleted_during_the_import_is_not_reused(take, tmp_path, db):
    days = [f"2030-{month:02}-{day:02}T02:00:00.000Z" for month in range(1, 13) for day in range(1, 29)]
    runs = [old_run(date=day, backup_name=name) for day in days for name in ("a", "b")]
    numbers = []

    def exchange(done: int, _total: int) -> None:
        if done == 500:
            with writing() as session:
                deleted = session.scalars(select(Job).where(Job.name == "b")).one()
                numbers.append(deleted.id)
                session.execute(delete(Run).where(Run.job_id == deleted.id))
                session.execute(delete(Job).where(Job.id == deleted.id))
                session.add(
                    Job(id=numbers[0], server_id="machine-1", name="new", created_at=datetime(2031, 5, 1, tzinfo=UTC))
                )

    take(make_old_database(tmp_path / "old.db", runs=runs), progress=exchange)
    counted = select(Job.name, func.count(Run.row_id)).outerjoin(Run).group_by(Job.name)
    assert dict(db.session.execute(counted).all()) == {"a": 336, "b": 86, "new": 0}


def test_nul_character_is_removed_from_a_name(take, tmp_path, db):
    take(make_old_database(tmp_path / "old.db", runs=[old_run(backup_name="pho\x00tos")]))
    assert db.session.scalars(select(Job)).one().run_count == 1


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from app.factory import create_app
from app.legacy_import.importing import import_database
from app.config import Settings
app = create_app(Settings(data_dir=Path(sys.argv[1]), run_jobs=False))
with app.app_context():
    import_database(Path(sys.argv[2]), now=datetime.now(UTC), progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.slow
def test_killed_import_has_the_same_result_when_repeated(take, tmp_path, settings, db):
    days = [f"2030-{month:02}-{day:02}T02:00:00.000Z" for month in range(1, 13) for day in range(1, 29)]
    runs = [old_run(date=day, backup_name=name) for day in days for name in ("a", "b")]
    chosen = {"overdue_tolerance": "4h", "backup_settings": {"machine-1:a": {"notificationEvent": "off"}}}
    file = make_old_database(tmp_path / "old.db", runs=runs, settings=chosen)
    command = [sys.executable, "-c", KILLED, settings.data_dir, file]
    environment = {**os.environ, "LOG_LEVEL": "ERROR"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    assert db.session.scalar(select(func.count()).select_from(Run)) == 500
    db.session.commit()
    report = take(file)
    assert (report.counts["runs"].taken, report.counts["runs"].known) == (172, 500)
    jobs = db.session.scalars(select(Job).order_by(Job.name)).all()
    assert [(job.name, job.run_count, job.notification_event) for job in jobs] == [
        ("a", 336, "off"),
        ("b", 336, "warnings"),
    ]
    assert db.session.scalar(select(func.sum(JobDay.run_count))) == 672


def test_runs_in_the_future_count_as_of_the_time_they_were_stored(take, tmp_path, db):
    run = old_run(date="2035-06-12T11:00:00.000Z", created_at="2031-05-01 03:00:00")
    take(make_old_database(tmp_path / "old.db", runs=[run]))
    stored, job = db.session.scalars(select(Run)).one(), db.session.scalars(select(Job)).one()
    assert (stored.reported_began_at, stored.ended_at) == (
        datetime(2035, 6, 12, 11, tzinfo=UTC),
        datetime(2031, 5, 1, 3, tzinfo=UTC),
    )
    assert job.next_expected_at < datetime(2031, 5, 3, tzinfo=UTC)


def test_runs_in_the_future_stored_at_the_same_time_are_imported_in_order(take, tmp_path, db):
    runs = [
        old_run(date=f"2035-06-{day}T11:00:00.000Z", duration_seconds=60.0 * factor, created_at="2031-05-01 03:00:00")
        for day, factor in ((13, 1), (12, 1), (14, 90))
    ]
    report = take(make_old_database(tmp_path / "old.db", runs=runs))
    stored = db.session.scalars(select(Run).order_by(Run.began_at)).all()
    assert [run.reported_began_at.day for run in stored] == [12, 13, 14]
    assert (report.count("runs").taken, stored[-1].ended_at) == (3, datetime(2031, 5, 1, 3, tzinfo=UTC))
    assert take(tmp_path / "old.db").count("runs").taken == 0


def test_old_unsaved_runs_do_not_affect_the_state(take, tmp_path, db):
    zeros = {"known_file_size": 0, "backup_list_count": 0, "size": 0, "uploaded_size": 0}
    runs = [
        old_run(examined_files=7, date="2031-05-01T02:00:00.000Z"),
        old_run(date="2031-05-01T12:00:00.000Z", interrupted=1, **zeros),
        old_run(date="2031-05-01T13:00:00.000Z", dryrun=1, **zeros),
        old_run(date="2031-05-01T14:00:00.000Z", status="Fatal", parsed_result="Fatal", **zeros),
    ]
    take(make_old_database(tmp_path / "old.db", runs=runs))
    job = db.session.scalars(select(Job)).one()
    stored = db.session.scalars(select(Run).order_by(Run.began_at)).all()
    assert [run.outcome for run in stored] == ["", "aborted", "dry_run", ""]
    assert (job.state_status, job.last_storage_bytes, job.last_version_count) == ("Fatal", 5000, 3)
    assert (job.last_examined_files, job.last_examined_bytes) == (7, 1000)
