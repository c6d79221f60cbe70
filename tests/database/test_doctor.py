"""The findings of the doctor, each problem made on purpose."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from app.accounts.models import User
from app.audit.log import Actor
from app.backups.models import Server
from app.core.db.orm import writing
from app.core.errors import Refused
from app.database import doctor, local_backups, secrets
from app.database.local_backups import BackupSchedule
from app.notifications import channels
from app.notifications.models import Channel, Delivery
from app.scheduling.control import Task


@pytest.fixture
def wrong_files(app, settings):
    """Examine the files; return the subjects of the findings."""
    return lambda chosen=settings: [found.subject for found in doctor.examine_files(chosen) if found.is_wrong]


@pytest.fixture
def findings(db, clock):
    """Examine the application; return subject and text of each finding."""

    def examine():
        db.session.rollback()
        return [(found.subject, found.text) for found in doctor.examine_application(clock()) if found.is_wrong]

    return examine


def test_fresh_installation_is_healthy(wrong_files, findings):
    assert (wrong_files(), findings()) == ([], [])


def test_missing_data_directory(wrong_files, settings, tmp_path):
    assert wrong_files(replace(settings, data_dir=tmp_path / "elsewhere")) == ["data directory"]


def test_data_directory_writable_by_others(wrong_files, settings):
    settings.data_dir.chmod(0o777)
    assert wrong_files() == ["data directory"]


def test_key_file_that_is_missing_short_or_public(wrong_files, settings):
    path = settings.data_dir / secrets.KEY_FILE
    path.chmod(0o644)
    assert wrong_files() == ["key file"]
    path.write_bytes(b"short")
    assert wrong_files() == ["key file"]
    path.unlink()
    assert wrong_files() == ["key file"]


def test_damaged_database(app, settings, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    with closing(sqlite3.connect(broken / "duplistatus.db")) as connection, connection:
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,)] * 50)
    content = bytearray((broken / "duplistatus.db").read_bytes())
    content[4096 * 3 : 4096 * 8] = b"\xff" * 4096 * 5
    (broken / "duplistatus.db").write_bytes(content)
    found = {found.subject for found in doctor.examine_files(replace(settings, data_dir=broken)) if found.is_wrong}
    assert "database" in found


def test_older_schema_is_reported_first(findings, db):
    with writing() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert [subject for subject, _text in findings()] == ["schema"]


def test_empty_database(findings, db):
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
    assert findings() == [("schema", "The database contains no duplistatus data")]


def test_secret_of_another_key(findings, settings, clock):
    with writing() as session:
        session.add(Server(id="a", name="nas", encrypted_password=secrets.encrypt("x"), created_at=clock()))
    path = settings.data_dir / secrets.KEY_FILE
    path.chmod(0o600)
    path.write_bytes(b"k" * 32)
    assert findings() == [("secrets", "Secrets of nas were encrypted with another key file")]


def test_no_administrator(findings, db):
    with writing() as session:
        session.query(User).delete()
    assert findings() == [("accounts", "There is no administrator")]


def test_every_administrator_is_locked(findings, clock, db):
    with writing() as session:
        session.query(User).update({"locked_until": clock() + timedelta(minutes=5)})
    assert findings() == [("accounts", "Every administrator is locked")]


def test_clock_that_was_set_back(findings, clock, ingest):
    ingest()
    clock.advance(days=-2)
    assert [subject for subject, _text in findings()] == ["clock"]


@pytest.fixture
def delivery(db, clock):
    """Store a message for the ntfy channel."""

    def store(**values):
        usual = {
            "idempotency_key": "5bd7a35c-6f5c-4b4e-9d0e-2d0a0f6b1c11",
            "event": "run",
            "event_key": "k",
            "payload": {},
            "created_at": clock(),
            "next_attempt_at": clock(),
        }
        with writing() as session:
            session.add(Delivery(channel_id=channels.standard("ntfy").id, **{**usual, **values}))

    return store


def test_unsent_message(findings, delivery, clock):
    delivery(next_attempt_at=clock() - timedelta(minutes=14))
    assert findings() == []
    clock.advance(minutes=2)
    assert [subject for subject, _text in findings()] == ["outbox"]


def test_failing_channel(findings, db, clock):
    with writing() as session:
        channels.record_failure(session, channels.standard("ntfy").id, "connection refused", clock())
    assert findings() == [("channels", "ntfy ntfy fails: connection refused")]


def test_notifications_without_a_channel(findings, db):
    with writing() as session:
        session.query(Channel).delete()
    assert [subject for subject, _text in findings()] == ["channels"]


def test_failed_task(findings, clock):
    with writing() as session:
        session.add(Task(name="housekeeping", last_started_at=clock(), last_error="disk full"))
    assert findings() == [("scheduled work", "housekeeping failed: disk full")]


def test_missed_scheduled_work(findings, clock):
    with writing() as session:
        session.add(Task(name="housekeeping", last_started_at=clock() - timedelta(hours=25)))
    assert findings() == []
    clock.advance(hours=2)
    assert findings() == [("scheduled work", "Last run at 2031-05-03 11:00 UTC")]


def test_missing_due_backup(findings, db, clock):
    local_backups.save_schedule(BackupSchedule("daily", at="03:30"), actor=Actor(), now=clock())
    assert [subject for subject, _text in findings()] == ["backups"]
    local_backups.back_up_if_due(clock())
    assert findings() == []


def test_failed_backup(findings, db, clock, monkeypatch):
    local_backups.save_schedule(BackupSchedule("daily", at="03:30"), actor=Actor(), now=clock())
    monkeypatch.setattr(local_backups, "copy_database", lambda _source, target: target.touch())
    with pytest.raises(Refused):
        local_backups.back_up_if_due(clock())
    found = dict(findings())
    assert "The scheduled backup failed at 2031-05-04 12:00" in found["backups"]
