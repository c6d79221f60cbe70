"""Migrations up and down on both databases, equality with the models, and the backup before a migration."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from applications import close
from factories import BEGAN_AT, find_job, make_run
from sqlalchemy import inspect, text

from app.backups import overview, repairs
from app.core.db import engine
from app.database import backup
from app.factory import create_app

pytestmark = pytest.mark.slow

DIRECTORY = str(engine.MIGRATIONS)
REVISIONS = [script.revision for script in ScriptDirectory(DIRECTORY).walk_revisions()][::-1]


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


def revision(db) -> str | None:
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def end_reads(db) -> None:
    """End all reads: PostgreSQL alters no table that is being read."""
    db.session.remove()
    db.engine.dispose()


def test_schema_equals_the_models(db):
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []


def test_start_upgrades_the_schema_to_the_newest_version(db):
    assert revision(db) == REVISIONS[-1]


def test_no_other_user_of_the_host_can_read_a_new_database(tmp_path, installed, settings):
    tmp_path.chmod(0o755)
    close(create_app(replace(settings, data_dir=tmp_path, database_url=""), installed))
    assert [path.name for path in tmp_path.glob("duplistatus.db*") if path.stat().st_mode & 0o077] == []
    assert (tmp_path / "duplistatus.db").stat().st_size > 0


def test_revisions_are_linear(db):
    assert len(ScriptDirectory(DIRECTORY).get_heads()) == 1


@pytest.mark.parametrize("target", REVISIONS[:-1])
def test_filled_database_is_downgraded_and_upgraded_without_loss(db, target):
    run_id = make_run(uploaded_bytes=7, messages=("kept",)).id
    end_reads(db)
    flask_migrate.downgrade(directory=DIRECTORY, revision=target)
    assert revision(db) == target
    flask_migrate.upgrade(directory=DIRECTORY)
    end_reads(db)
    assert revision(db) == REVISIONS[-1]
    found = overview.find_run(run_id)
    assert (found.run.uploaded_bytes, list(found.log.messages)) == (7, ["kept"])
    make_run(began_at=BEGAN_AT.replace(hour=13))
    assert find_job().run_count == 2


def test_recent_runs_are_repacked_by_both_versions(db):
    for day in range(3):
        make_run(began_at=BEGAN_AT + timedelta(days=day), modified_files=day)
    packed = find_job().recent_runs
    left = text("SELECT recent_runs, anomalies, needs_figures FROM jobs")
    end_reads(db)
    flask_migrate.downgrade(directory=DIRECTORY, revision="0004")
    with db.engine.begin() as connection:
        assert connection.execute(left).one() == (None, "[]", True)
        connection.execute(text("UPDATE jobs SET recent_runs = :old"), {"old": bytes(3 * 37)})
    flask_migrate.upgrade(directory=DIRECTORY)
    with db.engine.connect() as connection:
        assert connection.execute(left).one() == (None, "[]", True)
    assert repairs.finish_migration(BEGAN_AT) == 1
    assert find_job().recent_runs == packed


def test_schema_is_downgraded_to_nothing_and_upgraded_again(db):
    make_run()
    end_reads(db)
    flask_migrate.downgrade(directory=DIRECTORY, revision="base")
    assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
    flask_migrate.upgrade(directory=DIRECTORY)
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_first_start_on_postgresql_creates_everything(tmp_path, empty_postgres_url, installed, settings):
    app = create_app(replace(settings, database_url=empty_postgres_url, data_dir=tmp_path / "new"), installed)
    assert app.test_client().get("/api/health").status_code == 200
    close(app)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestCopy:
    """Only SQLite stores its data in a file that can be copied."""

    def copies(self, settings):
        return sorted((settings.data_dir / "copies").glob("*.db"))

    def test_backup_of_a_filled_database_is_complete_and_private(self, db, settings):
        make_run()
        db.session.remove()
        copy = engine.create_safety_backup(settings, "migration")
        assert copy.stat().st_mode & 0o777 == 0o600
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    def test_start_on_an_older_schema_makes_a_backup_first(self, app, settings, installed):
        if len(REVISIONS) < 2:
            pytest.skip("there is no older schema yet")
        with app.app_context():
            make_run()
            flask_migrate.downgrade(directory=DIRECTORY, revision=REVISIONS[-2])
        close(app)
        again = create_app(settings, installed)
        [copy] = self.copies(settings)
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (REVISIONS[-2],)
        with again.app_context():
            assert find_job().run_count == 1
        close(again)

    def test_start_on_the_newest_schema_makes_no_backup(self, app, settings):
        assert self.copies(settings) == []

    def test_the_newest_backups_are_kept(self, db, settings, monkeypatch):
        monkeypatch.setattr(engine, "COPIES_KEPT", 2)
        made = [engine.create_safety_backup(settings, "migration") for _ in range(4)]
        assert self.copies(settings) == made[-2:]

    def test_full_disk_stops_the_migration(self, db, settings, monkeypatch):
        usage = engine.shutil.disk_usage(settings.data_dir)
        monkeypatch.setattr(engine.shutil, "disk_usage", lambda _folder: usage._replace(free=1000))
        with pytest.raises(RuntimeError, match="not enough free space"):
            engine.create_safety_backup(settings, "migration")

    def mark(self, settings, revision):
        with closing(sqlite3.connect(settings.data_dir / "duplistatus.db", isolation_level=None)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))

    @pytest.mark.parametrize("starts", [1, 5, 12])
    def test_newer_schema_is_rejected_before_any_backup(self, app, settings, installed, starts):
        with app.app_context():
            old = engine.create_safety_backup(settings, "migration")
        close(app)
        self.mark(settings, "9999")
        for _start in range(starts):
            with pytest.raises(engine.CannotStart, match="newer version") as raised:
                create_app(settings, installed)
            assert raised.value.status == 2
            assert str(settings.data_dir / "copies") in str(raised.value)
        assert self.copies(settings) == [old]

    @pytest.mark.parametrize("kind", ["migration", "safety"])
    def test_backups_of_one_revision_displace_none_of_another(self, db, settings, kind):
        def copy():
            if kind == "migration":
                return engine.create_safety_backup(settings, kind)
            return backup.back_up_before_restore(datetime.now(UTC))

        made = {}
        for revision in ("0003", "0004", "0005"):
            self.mark(settings, revision)
            made[revision] = [copy() for _ in range(7)]
        kept = {path.name for path in self.copies(settings)}
        assert kept == {path.name for copies in made.values() for path in copies[-engine.COPIES_KEPT :]}

    def test_older_versions_delete_none_of_the_backups(self, db, settings):
        self.mark(settings, "0003")
        made = [
            engine.create_safety_backup(settings, "migration"),
            backup.back_up_before_restore(datetime.now(UTC)),
        ]
        folder = settings.data_dir / "copies"
        for number in range(7):
            for kind in ("before-migration", "safety-backup"):
                (folder / f"duplistatus-{kind}-2040-01-01T00-00-00-00000{number}.db").touch()
        for kind in ("before-migration", "safety-backup"):  # what `put_copy_aside` and `put_aside` of 349d2f7 do
            for old in sorted(folder.glob(f"duplistatus-{kind}-*.db"))[:-5]:
                old.unlink()
        assert [path for path in made if not path.exists()] == []

    def test_backups_without_a_revision_in_their_name_are_recognised_by_content(self, db, settings):
        self.mark(settings, "0003")
        made = engine.create_safety_backup(settings, "migration")
        older = made.rename(made.with_name("duplistatus-before-migration-2020-01-01T00-00-00-000000.db"))
        self.mark(settings, "0004")
        for _ in range(7):
            engine.create_safety_backup(settings, "migration")
        assert older.exists()
        self.mark(settings, "0003")
        for _ in range(5):
            engine.create_safety_backup(settings, "migration")
        assert not older.exists()

    @pytest.mark.parametrize("failures", [1, 6])
    def test_failing_migrations_keep_one_backup(self, app, settings, installed, monkeypatch, failures):
        with app.app_context():
            flask_migrate.downgrade(directory=DIRECTORY, revision=REVISIONS[-2])
        close(app)
        with monkeypatch.context() as broken:
            broken.setattr(engine.flask_migrate, "upgrade", lambda **_options: 1 / 0)
            for _start in range(failures):
                with pytest.raises(ZeroDivisionError):
                    create_app(settings, installed)
        assert len(self.copies(settings)) == 1
        close(create_app(settings, installed))
        assert len(self.copies(settings)) == 1

    def test_a_backup_is_a_separate_file(self, db, settings):
        copy = engine.create_safety_backup(settings, "migration")
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_networks_of_the_last_sign_ins_are_known_after_the_upgrade(db):
    end_reads(db)
    flask_migrate.downgrade(directory=DIRECTORY, revision="0005")
    made = "INSERT INTO users (id, username, password_hash, is_admin, must_change_password, sees_all_servers,"
    made += " created_at, updated_at, failed_login_attempts, locked_until, last_login_at, last_login_ip)"
    made += " VALUES (:name, :name, 'x', :no, :no, :no, 1, 1, 5, 99, :at, :address)"
    known = {"a": "192.0.2.7", "b": "2001:db8::1", "c": "::ffff:192.0.2.8", "d": "unknown", "e": None}
    with db.engine.begin() as connection:
        for name, address in known.items():
            at = None if address is None else 7
            connection.execute(text(made), {"name": name, "address": address, "at": at, "no": False})
    flask_migrate.upgrade(directory=DIRECTORY)
    wanted = text("SELECT username, network, failed_count, locked_until, signed_in_at FROM sign_in_networks ORDER BY 1")
    with db.engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(wanted)] == [
            ("a", "192.0.2.7", 0, None, 7),
            ("b", "2001:db8::/64", 0, None, 7),
            ("c", "192.0.2.8", 0, None, 7),
        ]
        locked = connection.scalar(text("SELECT count(*) FROM users WHERE locked_until IS NOT NULL"))
        assert locked == 0
