"""The command `duplistatus restore`, for use while no server runs."""

import shutil
import sqlite3
from contextlib import closing

import flask_migrate
import pytest
from applications import close
from click.testing import CliRunner
from factories import make_run

from app.audit.log import SYSTEM
from app.cli import main
from app.core.db import engine
from app.database import backup
from app.factory import create_app

pytestmark = pytest.mark.slow


@pytest.fixture
def data(settings):
    return settings.data_dir


@pytest.fixture
def file(data):
    return data / "duplistatus.db"


@pytest.fixture
def stopped(app, settings, tmp_path, clock):
    """A closed database with one run, and its backups `mine.db` and `mine.sql`."""
    with app.app_context():
        make_run()
        for kind in ("db", "sql"):
            with backup.make_backup(kind, actor=SYSTEM, now=clock()).file as made:
                (tmp_path / f"mine.{kind}").write_bytes(made.read())
    engine.close(app, is_quiet=True)
    return tmp_path


@pytest.fixture
def restore(data, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(data))
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def restore(*arguments):
        result = CliRunner().invoke(main, ["restore", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return restore


def rows(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def execute(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def assert_restored(file, *, runs=1):
    assert sorted(path.name for path in file.parent.glob("duplistatus.db*")) == ["duplistatus.db"]
    assert rows(file, "PRAGMA integrity_check") == [("ok",)]
    assert rows(file, "SELECT count(*) FROM runs") == [(runs,)]
    entries = rows(file, "SELECT username, status FROM audit_log WHERE action = 'database_restore'")
    assert entries == [("shell", "success")]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["db", "sql"])
def test_a_backup_replaces_the_database(stopped, file, restore, data, kind):
    execute(file, "DELETE FROM runs")
    status, output = restore(stopped / f"mine.{kind}")
    assert (status, "was restored" in output) == (0, True)
    assert_restored(file)
    [kept] = (data / "copies").glob("*-safety-backup-*.db")
    assert kept.name in output
    assert rows(kept, "SELECT count(*) FROM runs") == [(0,)]
    assert list((data / "temp").iterdir()) == []


def test_an_invalid_file_changes_nothing(stopped, file, restore, data):
    (stopped / "mine.db").write_bytes((stopped / "mine.db").read_bytes()[:30_000])
    before = file.read_bytes()
    status, output = restore(stopped / "mine.db")
    assert (status, "not an intact SQLite database" in output) == (1, True)
    assert rows(file, "SELECT count(*) FROM runs") == [(1,)]
    assert not list(data.glob("copies/*"))
    assert len(file.read_bytes()) == len(before)


@pytest.mark.parametrize("revision", ["0002", "0003", "0004"])
def test_a_safety_backup_of_an_older_version_is_found_by_its_name(
    app, file, settings, restore, data, installed, revision
):
    with app.app_context():
        make_run()
        flask_migrate.downgrade(directory=str(engine.MIGRATIONS), revision=revision)
    close(app)
    engine.close(create_app(settings, installed), is_quiet=True)
    [copy] = (data / "copies").glob(f"schema-{revision}-duplistatus-before-migration-*.db")
    execute(file, "DELETE FROM runs")
    listed = restore()[1]
    assert [line for line in listed.splitlines() if copy.name in line and f"schema {revision}" in line]
    assert restore(copy.name)[0] == 0
    assert_restored(file)


def test_a_database_of_a_newer_version_can_be_replaced_by_an_older_backup(stopped, file, restore, data):
    execute(file, "UPDATE alembic_version SET version_num = '9999'", "CREATE TABLE newer (a)", "DROP TABLE tasks")
    assert restore(stopped / "mine.db")[0] == 0
    assert_restored(file)
    assert rows(file, "SELECT name FROM sqlite_master WHERE name = 'newer'") == []
    [_kept] = (data / "copies").glob("schema-9999-duplistatus-safety-backup-*.db")


def test_a_backup_of_a_newer_version_is_rejected(stopped, file, restore):
    execute(stopped / "mine.db", "UPDATE alembic_version SET version_num = '9999'")
    status, output = restore(stopped / "mine.db")
    assert (status, "newer version" in output) == (1, True)
    assert rows(file, "SELECT version_num FROM alembic_version") != [("9999",)]


@pytest.mark.parametrize("damage", [b"", b"no database " * 1000, None], ids=["empty", "garbage", "half"])
def test_a_damaged_database_is_replaced_and_kept(stopped, file, restore, data, damage):
    content = file.read_bytes()[:50_000] if damage is None else damage
    file.write_bytes(content)
    status, _said = restore(stopped / "mine.db")
    assert status == 0
    assert_restored(file)
    [kept] = data.glob("copies/*.db")
    if damage:
        assert kept.read_bytes() == content


def test_a_missing_database_is_created(stopped, file, restore):
    file.unlink()
    assert restore(stopped / "mine.db")[0] == 0
    assert_restored(file)


@pytest.mark.parametrize("is_there", [True, False])
def test_files_next_to_the_old_database_are_not_applied_to_the_backup(stopped, file, restore, is_there):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("DELETE FROM runs")
        connection.commit()
        wal = file.with_name("duplistatus.db-wal").read_bytes()
        held = file.read_bytes()
    file.write_bytes(held)
    file.with_name("duplistatus.db-wal").write_bytes(wal)
    if not is_there:
        file.unlink()
    assert restore(stopped / "mine.db")[0] == 0
    assert_restored(file)


def test_a_file_with_uncommitted_data_next_to_it_is_no_backup(stopped, restore):
    (stopped / "mine.db-wal").write_bytes(b"x" * 100)
    status, output = restore(stopped / "mine.db")
    assert (status, "mine.db-wal" in output) == (1, True)


def test_the_database_itself_is_no_backup(stopped, file, restore):
    status, output = restore(file)
    assert (status, "is the database itself" in output) == (1, True)


def test_an_unknown_file_is_named(stopped, restore):
    assert restore("nowhere.db")[0] == 1


def test_nothing_happens_while_the_database_is_open(stopped, file, restore, settings, installed):
    running = create_app(settings, installed)
    status, output = restore(stopped / "mine.db")
    assert (status, "stop it first" in output) == (1, True)
    close(running)
    assert restore(stopped / "mine.db")[0] == 0


def test_postgresql_is_left_to_its_own_tools(stopped, restore, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/x")
    status, output = restore(stopped / "mine.db")
    assert (status, "pg_restore" in output) == (1, True)


def test_a_server_starts_on_the_restored_database(stopped, restore, settings, installed):
    shutil.rmtree(settings.data_dir / "copies", ignore_errors=True)
    assert restore(stopped / "mine.sql")[0] == 0
    app = create_app(settings, installed)
    assert app.test_client().get("/api/health").status_code == 200
    close(app)


class TestTablesOfPlugins:
    """Their rows are restored, or they are named before anything changes."""

    MADE = (
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, server_id TEXT REFERENCES servers (id), text TEXT NOT NULL)",
        "CREATE INDEX ix_notes ON notes (server_id)",
    )

    @pytest.fixture
    def noted(self, stopped, file):
        for path in (stopped / "mine.db", file):
            execute(path, *self.MADE)
        execute(stopped / "mine.db", "INSERT INTO notes SELECT 1, id, 'of the backup' FROM servers")
        execute(file, "INSERT INTO notes SELECT 1, id, 'of today' FROM servers")
        return stopped / "mine.db"

    def test_rows_of_the_backup_are_restored(self, noted, file, restore):
        assert restore(noted)[0] == 0
        assert rows(file, "SELECT text FROM notes") == [("of the backup",)]
        assert rows(file, "SELECT count(*) FROM sqlite_master WHERE name = 'ix_notes'") == [(1,)]
        assert_restored(file)

    def test_present_rows_are_kept_if_the_backup_has_none(self, noted, file, restore):
        execute(noted, "DROP TABLE notes")
        assert restore(noted)[0] == 0
        assert rows(file, "SELECT text FROM notes") == [("of today",)]

    @pytest.mark.parametrize(
        "statements",
        [
            (
                "DROP TABLE notes",
                "PRAGMA foreign_keys = OFF",
                "DELETE FROM runs",
                "DELETE FROM jobs",
                "DELETE FROM servers",
            ),
            ("UPDATE notes SET server_id = 'nobody'",),
            (
                "DROP TABLE notes",
                "CREATE TABLE notes (id, server_id, text)",
                "INSERT INTO notes VALUES (1, NULL, NULL)",
            ),
            ("UPDATE notes SET text = CAST(x'ff41' AS TEXT)",),
        ],
        ids=["present rows refer to nothing", "rows refer to nothing", "rows do not fit", "broken text"],
    )
    def test_rows_that_cannot_be_restored_are_named_before(self, noted, file, restore, data, statements):
        tidy = "run_logs", "job_days", "deliveries"
        execute(noted, *(f"DELETE FROM {table}" for table in tidy if "DELETE FROM jobs" in statements), *statements)
        status, output = restore(noted)
        assert (status, "notes" in output, "lost" in output) == (1, True, True)
        assert rows(file, "SELECT text FROM notes") == [("of today",)]
        assert not list(data.glob("copies/*"))
        status, output = restore(noted, "--lose-tables")
        assert (status, "The plugin table notes" in output) == (0, True)
        assert rows(file, "SELECT count(*) FROM notes") == [(0,)]

    def test_tables_only_in_the_backup_are_named(self, stopped, restore):
        execute(stopped / "mine.db", "CREATE TABLE strange (a)")
        status, output = restore(stopped / "mine.db")
        assert (status, "The plugin table strange" in output) == (0, True)
