"""Local backups: when they are made, that they are complete, and that only the newest are kept."""

import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta

import pytest
from factories import BEGAN_AT, find_job, make_report, make_run
from sqlalchemy import select

from app.audit.log import Actor, AuditEntry
from app.core.errors import Refused
from app.database import local_backups
from app.database.local_backups import BackupSchedule
from app.reports.ingest import ingest_report

DAY = timedelta(days=1)


@pytest.fixture
def daily(db, clock):
    local_backups.save_schedule(BackupSchedule("daily", at="03:30", keep=2), actor=Actor(), now=clock())


def names() -> list[str]:
    return [copy.name for copy in local_backups.list_backups()]


def test_a_backup_is_a_complete_database_with_private_permissions(db, settings, clock):
    make_run()
    made = local_backups.back_up(now=clock())
    path = settings.data_dir / "backups" / made.name
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with closing(sqlite3.connect(path)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.execute("SELECT name FROM jobs").fetchall() == [("photos",)]
    assert [(copy.kind, copy.made_at) for copy in local_backups.list_backups()] == [("manual", clock())]


def test_no_backup_is_made_without_a_schedule(db, clock):
    assert local_backups.back_up_if_due(clock()) is None
    assert names() == []


def test_a_scheduled_backup_is_made_once_for_each_due_time(daily, clock):
    assert local_backups.back_up_if_due(clock()) is not None  # the one of this morning is made later
    assert local_backups.back_up_if_due(clock.advance(hours=15)) is None
    assert local_backups.back_up_if_due(clock.advance(minutes=31)) is not None
    assert local_backups.back_up_if_due(clock.advance(minutes=5)) is None


def test_only_the_newest_scheduled_backups_are_kept_and_others_are_not_deleted(daily, clock):
    by_hand = local_backups.back_up(now=clock() - DAY)
    made = [local_backups.back_up_if_due(clock.advance(days=1)) for _ in range(4)]
    assert names() == [made[3].name, made[2].name, by_hand.name]


def test_a_failed_backup_leaves_no_file_is_reported_and_retried_later(daily, db, clock, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _folder: type("Usage", (), {"free": 0})())
        with pytest.raises(Refused, match="there is not enough free disk space"):
            local_backups.back_up_if_due(clock())
    assert list(local_backups.folder().iterdir()) == []
    assert local_backups.failed_at() == clock()
    assert local_backups.back_up_if_due(clock.advance(minutes=59)) is None
    assert local_backups.back_up_if_due(clock.advance(minutes=1)) is not None
    assert local_backups.failed_at() is None
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "database_backup")).all()
    assert [entry.status for entry in entries] == ["error", "success"]


def test_a_damaged_backup_is_not_kept(db, clock, monkeypatch):
    def tear(_source, target):
        target.write_bytes(b"SQLite format 3\0" + b"\1" * 4080)

    monkeypatch.setattr(local_backups, "copy_database", tear)
    with pytest.raises(Refused):
        local_backups.back_up(now=clock())
    assert list(local_backups.folder().iterdir()) == []


def test_a_restore_can_be_undone(db, clock):
    make_run()
    made = local_backups.back_up(now=clock())
    make_run(began_at=BEGAN_AT + DAY)
    done = local_backups.restore_backup(made.name, actor=Actor(), now=clock.advance(minutes=1))
    assert find_job().run_count == 1
    assert local_backups.find_backup(done.safety_copy).kind == "safety-backup"
    local_backups.restore_backup(done.safety_copy, actor=Actor(), now=clock.advance(minutes=1))
    assert find_job().run_count == 2


@pytest.mark.parametrize(
    ("name", "kind", "revision"),
    [
        ("schema-0005-duplistatus-before-migration", "before-migration", "0005"),
        ("schema-0005-duplistatus-safety-backup", "safety-backup", "0005"),
        ("schema-unknown-my-data.base-safety-backup", "safety-backup", "unknown"),
        ("duplistatus-before-migration-0005", "before-migration", "0005"),
        ("duplistatus-safety-backup-0005", "safety-backup", "0005"),
        ("duplistatus-before-migration", "before-migration", None),
        ("duplistatus-safety-backup", "safety-backup", None),
    ],
)
def test_safety_backups_of_every_version_are_listed(db, settings, clock, name, kind, revision):
    (settings.data_dir / "copies").mkdir(exist_ok=True)
    (settings.data_dir / "copies" / f"{name}-2031-05-04T12-00-00-000000.db").touch()
    [copy] = local_backups.list_backups()
    assert (copy.kind, copy.revision, copy.made_at) == (kind, revision, clock())


@pytest.mark.parametrize("name", ["../duplistatus.db", "", "duplistatus-manual-2031.db", "/etc/passwd"])
def test_only_listed_files_are_accessible(db, clock, settings, name):
    for act in (local_backups.open_backup, local_backups.delete_backup, local_backups.restore_backup):
        with pytest.raises(Refused, check=lambda error: error.status == 404):
            act(name, actor=Actor(), now=clock())
    assert (settings.data_dir / "duplistatus.db").exists()


def test_a_deleted_backup_is_missing_and_recorded(db, clock):
    made = local_backups.back_up(now=clock())
    local_backups.delete_backup(made.name, actor=Actor(username="kim"), now=clock())
    assert names() == []
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "database_backup_deleted")).one()
    assert (entry.username, entry.details["filename"]) == ("kim", made.name)


def test_an_invalid_schedule_is_rejected_with_its_field(db, clock):
    with pytest.raises(Refused) as raised:
        local_backups.save_schedule(BackupSchedule("daily", at="24:00"), actor=Actor(), now=clock())
    assert raised.value.field == "at"


@pytest.mark.slow
def test_backups_made_during_uploads_contain_only_complete_runs(app, db, clock, settings):
    """The test of the issue makes one each second of 500 uploads; here they are made without a pause."""
    is_over = threading.Event()

    def upload(server: int) -> None:
        with app.app_context():
            for number in range(60):
                began_at = BEGAN_AT + number * timedelta(hours=1)
                report = make_report(
                    server_id=f"machine-{server}",
                    began_at=began_at,
                    ended_at=began_at + timedelta(minutes=5),
                    uploaded_bytes=number,
                    messages=("a line",) * 20,
                )
                ingest_report(report, now=began_at, actor=Actor())

    uploads = [threading.Thread(target=upload, args=(server,)) for server in range(3)]
    watcher = threading.Thread(target=lambda: ([each.join() for each in uploads], is_over.set()))
    for thread in (*uploads, watcher):
        thread.start()
    while not is_over.is_set():
        local_backups.back_up(now=clock.advance(seconds=1))
    local_backups.back_up(now=clock.advance(seconds=1))
    watcher.join()

    counts = []
    for copy in reversed(local_backups.list_backups()):
        with closing(sqlite3.connect(settings.data_dir / "backups" / copy.name)) as connection:
            counts.append(whole_runs(connection))
    assert counts[-1] == 180
    assert counts == sorted(counts)
    assert len(set(counts)) > 2


def whole_runs(connection: sqlite3.Connection) -> int:
    """Return how many runs a backup contains, all of them with everything that belongs to a run."""

    def numbers(statement: str) -> list[tuple]:
        return connection.execute(statement).fetchall()

    assert numbers("PRAGMA integrity_check") == [("ok",)]
    assert numbers("PRAGMA foreign_key_check") == []
    runs = numbers("SELECT job_id, count(*), sum(uploaded_bytes) FROM runs GROUP BY 1")
    assert runs == numbers("SELECT id, run_count, total_uploaded_bytes FROM jobs ORDER BY 1")
    assert runs == numbers("SELECT job_id, sum(run_count), sum(uploaded_bytes) FROM job_days GROUP BY 1")
    total = sum(count for _job, count, _bytes in runs)
    assert numbers("SELECT count(*) FROM runs JOIN run_logs ON run_row_id = row_id") == [(total,)]
    assert numbers("SELECT count(*) FROM audit_log WHERE action = 'backup_upload'") == [(total,)]
    return total
