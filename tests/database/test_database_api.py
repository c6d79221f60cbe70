"""Backup and restore over HTTP, and files that must change nothing."""

import io
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from app.audit.log import Actor, AuditEntry
from app.backups.models import Job, Server
from app.database import inspection
from app.reports.ingest import ingest_report
from app.reports.parser import Report
from app.runtime import runtime_of
from app.web import guards

pytestmark = pytest.mark.slow

BACKUP, RESTORE = "/api/database/backup", "/api/database/restore"
KINDS = ("db", "sql")


@pytest.fixture
def database(app) -> Path:
    return Path(runtime_of(app).config.data_dir) / "duplistatus.db"


@pytest.fixture
def ingest(db, clock) -> Callable[[str], None]:
    def ingest(job_name: str) -> None:
        report = Report(
            server_id="machine-1",
            server_name="Maier's NAS; ünïcode\nand 'quotes'",
            job_name=job_name,
            duplicati_id="DB-1",
            main_operation="Backup",
            began_at=clock(),
            ended_at=clock(),
            duration_s=60.5,
            status="Success",
            parsed_result="Success",
        )
        ingest_report(report, now=clock(), actor=Actor())
        db.session.rollback()

    return ingest


def fetch(admin: Any, kind: str) -> bytes:
    answer = admin.get(f"{BACKUP}?format={kind}", buffered=True)
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    return answer.data


def send(admin: Any, content: bytes, name: str) -> Any:
    form = {"database": (io.BytesIO(content), name)}
    return admin.send("POST", RESTORE, data=form, content_type="multipart/form-data")


def content_of(database: Path) -> list[tuple[Any, ...]]:
    """Return everything but what each request and each audit entry may change."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [
            (table, *row)
            for table in set(tables) - {"sessions", "audit_log"}
            for row in connection.execute(f"SELECT * FROM {table}")
        ]
        return sorted(rows, key=repr)


def edited(tmp_path: Path, content: bytes, *statements: str) -> bytes:
    path = tmp_path / "edited.db"
    path.write_bytes(content)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)
    return path.read_bytes()


def test_a_backup_is_an_intact_database_with_a_descriptive_name(admin, ingest, tmp_path, clock):
    ingest("photos")
    answer = admin.get(BACKUP, buffered=True)
    assert answer.mimetype == "application/octet-stream"
    assert "duplistatus-backup-2031-05-04T12-00-00.db" in answer.headers["Content-Disposition"]
    assert answer.headers["Cache-Control"] == "no-store"
    (tmp_path / "copy.db").write_bytes(answer.data)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT name FROM jobs").fetchall() == [("photos",)]


def test_a_script_creates_the_same_tables_rows_and_indexes(admin, ingest, tmp_path, database, db):
    ingest("photos")
    db.session.execute(text("UPDATE servers SET note = 'a' || char(0) || 'b'"))
    db.session.commit()
    answer = admin.get(f"{BACKUP}?format=sql", buffered=True)
    assert answer.mimetype == "text/plain"
    with closing(sqlite3.connect(tmp_path / "made.db")) as made:
        made.executescript(answer.text)
        assert made.execute("SELECT hex(note) FROM servers").fetchall() == [("610062",)]
        indexes = made.execute("SELECT count(*) FROM sqlite_master WHERE type = 'index'").fetchone()
    assert content_of(tmp_path / "made.db") == content_of(database)
    with closing(sqlite3.connect(database)) as live:
        assert live.execute("SELECT count(*) FROM sqlite_master WHERE type = 'index'").fetchone() == indexes


def test_a_backup_leaves_no_file_behind_and_is_audited(admin, app, db):
    fetch(admin, "db")
    assert list((runtime_of(app).config.data_dir / "temp").iterdir()) == []
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "database_backup")).one()
    assert (entry.category, entry.username) == ("system", "admin")
    assert set(entry.details) == {"format", "filename", "size"}


def test_an_unknown_form_of_backup_is_rejected(admin):
    assert admin.get(f"{BACKUP}?format=xml").status_code == 400


@pytest.mark.parametrize("kind", KINDS)
def test_a_restore_replaces_the_database_and_ends_all_sessions(admin, app, ingest, database, kind):
    ingest("photos")
    content, before = fetch(admin, kind), content_of(database)
    ingest("documents")
    assert len(admin.get("/api/dashboard").get_json()["serversSummary"][0]["backupInfo"]) == 2

    answer = send(admin, content, f"mine.{kind}")

    assert (answer.status_code, answer.get_json()["success"]) == (200, True)
    assert answer.get_json()["requiresReauth"] is True
    assert admin.get("/api/dashboard").status_code == 401
    assert content_of(database) == before
    client = app.test_client()
    assert client.sign_in().status_code == 200
    assert len(client.get("/api/dashboard").get_json()["serversSummary"][0]["backupInfo"]) == 1


def test_after_a_restore_reports_are_accepted(admin, ingest, db):
    ingest("photos")
    send(admin, fetch(admin, "db"), "mine.db")
    ingest("documents")
    assert set(db.session.scalars(select(Job.name))) == {"photos", "documents"}


def test_a_restore_is_audited_in_the_restored_database(admin, db):
    answer = send(admin, fetch(admin, "db"), "mine.db")
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "database_restore")).one()
    assert (entry.username, entry.status, entry.details["format"]) == ("admin", "success", "db")
    assert entry.details["safetyBackupPath"] == answer.get_json()["safetyBackupPath"]


def test_a_user_missing_in_the_restored_database_is_named_without_id(admin, db, tmp_path):
    others = ("UPDATE users SET id = 'other'", "DELETE FROM audit_log", "DELETE FROM sessions")
    content = edited(tmp_path, fetch(admin, "db"), *others)
    assert send(admin, content, "mine.db").status_code == 200
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "database_restore")).one()
    assert (entry.user_id, entry.username) == (None, "admin")


def test_the_previous_database_is_kept_in_a_safety_backup(admin, app, ingest):
    content = fetch(admin, "db")
    ingest("photos")
    name = send(admin, content, "mine.db").get_json()["safetyBackupPath"]
    copy = runtime_of(app).config.data_dir / "copies" / name
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT name FROM jobs").fetchall() == [("photos",)]


def test_only_five_safety_backups_are_kept(admin, app, clock, tmp_path):
    content = fetch(admin, "db")
    for _ in range(6):
        clock.advance(seconds=1)
        client = app.test_client()
        client.sign_in()
        assert send(client, content, "mine.db").status_code == 200
    copies = list((runtime_of(app).config.data_dir / "copies").glob("*-safety-backup-*.db"))
    assert len(copies) == 5


@pytest.mark.parametrize("name", ["mine.SQLITE", "mine.sqlite3", "mine.bin", ""])
def test_a_database_is_recognised_by_its_extension_or_its_header(admin, name):
    assert send(admin, fetch(admin, "db"), name).status_code == 200


def test_a_script_is_recognised_by_its_beginning(admin):
    assert send(admin, fetch(admin, "sql"), "dump.txt").status_code == 200


def test_a_dump_of_the_sqlite_program_is_accepted(admin, tmp_path):
    path = tmp_path / "mine.db"
    path.write_bytes(edited(tmp_path, fetch(admin, "db"), "ANALYZE"))
    with closing(sqlite3.connect(path)) as connection:
        lines = "\n".join(connection.iterdump())
    assert "sqlite_stat1" in lines
    script = f"PRAGMA foreign_keys=OFF;\n-- by hand\n{lines}\n"
    assert send(admin, script.encode(), "dump.sql").status_code == 200


def test_statements_outside_of_a_transaction_are_accepted(admin, db, ingest):
    ingest("photos")
    script = fetch(admin, "sql").decode()
    for line in ("BEGIN TRANSACTION;", "COMMIT;"):
        script = script.replace(f"{line}\n", "", 1)
    rows = "".join(f"INSERT INTO leases VALUES ('lease {number}', 'me', {number});\n" for number in range(500))
    assert send(admin, (script + rows).encode(), "mine.sql").status_code == 200
    db.session.rollback()
    assert db.session.scalar(text("SELECT count(*) FROM leases WHERE holder = 'me'")) == 500


class TestRejected:
    @pytest.fixture(autouse=True)
    def _something_to_lose(self, ingest):
        ingest("photos")

    @pytest.fixture
    def rejected(self, admin, database, db):
        def check(content: bytes, name: str, status: int = 400) -> str:
            before = content_of(database)
            answer = send(admin, content, name)
            assert answer.status_code == status, answer.get_json()
            assert content_of(database) == before
            assert admin.get("/api/dashboard").status_code == 200
            db.session.rollback()
            entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "database_restore")).one()
            assert entry.status == "error"
            return answer.get_json()["error"]

        return check

    def test_empty_file(self, admin):
        answer = admin.send("POST", RESTORE, data={}, content_type="multipart/form-data")
        assert (answer.status_code, answer.get_json()["error"]) == (400, "No file provided")

    @pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" + b"\0" * 84, bytes(range(256)) * 64])
    @pytest.mark.parametrize("name", ["mine.db", "mine.sql"])
    def test_random_bytes(self, rejected, content, name):
        assert rejected(content, name)

    def test_an_unknown_format(self, rejected):
        assert rejected(b"hello", "mine.txt").startswith("Unknown file format")

    @pytest.mark.parametrize("content", [b"", b" \n\t"])
    def test_an_empty_script(self, rejected, content):
        assert rejected(content, "mine.sql") == "SQL file is empty"

    def test_truncated_database(self, rejected, admin):
        content = fetch(admin, "db")
        rejected(content[: len(content) // 2], "mine.db")

    def test_a_damaged_page(self, rejected, admin):
        content = bytearray(fetch(admin, "db"))
        content[8192:16384] = b"\xa5" * 8192
        rejected(bytes(content), "mine.db")

    def test_truncated_script(self, rejected, admin):
        script = fetch(admin, "sql")
        rejected(script[: len(script) // 2], "mine.sql")

    def test_a_script_that_fails_at_its_end(self, rejected, admin):
        rejected(fetch(admin, "sql") + b"\nINSERT INTO nowhere VALUES (1);", "mine.sql")

    def test_a_database_of_another_program(self, rejected, tmp_path):
        path = tmp_path / "photos.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript("CREATE TABLE alembic_version (version_num); CREATE TABLE albums (name);")
            connection.execute("INSERT INTO alembic_version VALUES ('a1b2c3')")
            connection.commit()
        assert "another program" in rejected(path.read_bytes(), "photos.db")

    def test_a_file_above_the_limit(self, app, rejected, admin, monkeypatch):
        rules = runtime_of(app).part(guards.Rules)
        monkeypatch.setitem(rules, "database.restore", replace(rules["database.restore"], most_bytes=100_000))
        unread = send(admin, b"SQLite format 3\0" * 10_000, "mine.db")
        assert unread.status_code == 413

    def test_a_database_of_the_original(self, rejected, tmp_path):
        path = tmp_path / "backups.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript("CREATE TABLE servers (id TEXT); CREATE TABLE backups (id TEXT);")
        assert "imported" in rejected(path.read_bytes(), "backups.db")

    def test_a_newer_version(self, rejected, admin, tmp_path):
        content = edited(tmp_path, fetch(admin, "db"), "UPDATE alembic_version SET version_num = '9999'")
        assert "newer" in rejected(content, "mine.db")

    @pytest.mark.parametrize(
        "statement",
        [
            "DROP TABLE runs",
            "ALTER TABLE servers DROP COLUMN note",
            "UPDATE users SET is_admin = 0",
            "DELETE FROM users",
            "DELETE FROM alembic_version",
            "UPDATE alembic_version SET version_num = '-1'",
            "UPDATE alembic_version SET version_num = 'head'",
            "UPDATE jobs SET next_expected_at = 'soon'",
            "UPDATE jobs SET next_expected_at = 9e18",
            "UPDATE jobs SET channel_switches = '{'",
            "UPDATE jobs SET server_id = 'nobody'",
            "UPDATE jobs SET name = CAST(x'ff41' AS TEXT)",
            "UPDATE runs SET id = x'00'",
            "UPDATE runs SET duration_s = 'long'",
            "INSERT INTO settings VALUES ('overdue_tolerance', '\"never\"', 0)",
            "INSERT INTO settings VALUES ('notification_frequency', '[]', 0)",
            "INSERT INTO settings VALUES ('cron_tasks', '[]', 0)",
        ],
    )
    def test_values_that_would_cause_errors(self, rejected, admin, tmp_path, statement):
        rejected(edited(tmp_path, fetch(admin, "db"), statement), "mine.db")

    def test_a_script_without_end(self, rejected, admin, monkeypatch):
        monkeypatch.setattr(inspection, "SCRIPT_TIME_S", 0.0)
        assert rejected(fetch(admin, "sql"), "mine.sql").endswith("it takes too long")

    def test_an_oversized_value(self, rejected, admin, tmp_path, monkeypatch):
        monkeypatch.setattr(inspection, "LONGEST_VALUE_BYTES", 100_000)
        statement = "UPDATE servers SET note = hex(zeroblob(60000))"
        assert "too big" in rejected(edited(tmp_path, fetch(admin, "db"), statement), "mine.db")

    @pytest.mark.parametrize(
        ("statements", "words"),
        [
            (["CREATE TRIGGER late AFTER INSERT ON audit_log BEGIN DELETE FROM users; END"], "a trigger (late)"),
            (["CREATE VIEW endless AS SELECT 1"], "a view (endless)"),
            (["CREATE VIRTUAL TABLE words USING fts5(a)"], "virtual table (words)"),
            (["INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING no(1)')"], "(v)"),
            (["CREATE TABLE bomb (a, b AS (hex(zeroblob(a))))"], "table bomb has computed columns"),
            (
                ["ALTER TABLE servers DROP COLUMN note", "ALTER TABLE servers ADD note AS (name)"],
                "servers has computed",
            ),
            (["CREATE INDEX bomb ON servers (hex(name))"], "index bomb is computed"),
            (["CREATE INDEX part ON servers (name) WHERE name > ''"], "index part is computed"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_expressions_that_would_be_evaluated(self, rejected, admin, tmp_path, statements, words):
        assert words in rejected(edited(tmp_path, fetch(admin, "db"), *statements), "mine.db")

    def test_a_view_in_place_of_a_table(self, rejected, admin, tmp_path):
        statements = ("DROP TABLE deliveries", "CREATE VIEW deliveries AS SELECT 1 AS id")
        assert "deliveries" in rejected(edited(tmp_path, fetch(admin, "db"), *statements), "mine.db")

    @pytest.mark.parametrize(
        "statement",
        [
            "ATTACH '{folder}/attached.db' AS other;",
            "CREATE TRIGGER t AFTER INSERT ON users BEGIN DELETE FROM users; END;",
            "CREATE VIEW v AS SELECT 1;",
            "CREATE VIRTUAL TABLE v USING fts5(a);",
            "DROP TABLE users;",
            "INSERT INTO settings SELECT load_extension('x'), '1', 0;",
            "INSERT INTO settings SELECT a.key || b.key, '1', 0 FROM settings a, settings b ORDER BY 1;",
            "INSERT INTO settings SELECT value, '1', 0 FROM json_each('[1, 2]');",
            "INSERT INTO settings VALUES ('x', replace(replace('{many}', 'a', '{many}'), 'a', '{many}'), 0);",
            "CREATE TABLE computed (a, b AS (hex(zeroblob(400000000))));",
            "INSERT INTO settings WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n) SELECT i, i, 0 FROM n;",
            "VACUUM INTO '{folder}/attached.db';",
        ],
    )
    def test_a_script_that_does_more_than_a_dump(self, rejected, admin, tmp_path, statement):
        script = fetch(admin, "sql").decode() + statement.format(folder=tmp_path, many="a" * 500)
        assert rejected(script.encode(), "mine.sql").startswith("The SQL file")
        assert not (tmp_path / "attached.db").exists()


def test_unknown_tables_are_not_restored(admin, database, tmp_path):
    assert send(admin, edited(tmp_path, fetch(admin, "db"), "CREATE TABLE strange (a)"), "mine.db").status_code == 200
    with closing(sqlite3.connect(database)) as connection:
        assert "strange" not in {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def test_a_full_disk_prevents_the_safety_backup_and_changes_nothing(admin, ingest, database, monkeypatch):
    content = fetch(admin, "db")
    ingest("photos")
    before = content_of(database)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: type("Usage", (), {"free": 0})())
    assert send(admin, content, "mine.db").status_code == 500
    assert content_of(database) == before


def test_a_plain_user_may_neither_back_up_nor_restore(client):
    assert client.get(BACKUP).status_code == 401
    assert client.post(RESTORE).status_code == 401


def test_names_with_quotes_survive_a_script(admin, ingest, db):
    ingest("photos")
    send(admin, fetch(admin, "sql"), "mine.sql")
    assert db.session.scalars(select(Server.name)).one() == "Maier's NAS; ünïcode\nand 'quotes'"


class TestTablesOfPlugins:
    @pytest.fixture
    def noted(self, admin, database, tmp_path):
        """A backup with a row of a plugin, and another row that was written since."""
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
            connection.execute("INSERT INTO notes VALUES (1, 'of the backup')")
            content = fetch(admin, "db"), fetch(admin, "sql")
            connection.execute("UPDATE notes SET text = 'of today'")
        return dict(zip(KINDS, content, strict=True))

    def texts(self, database):
        with closing(sqlite3.connect(database)) as connection:
            return [text for (text,) in connection.execute("SELECT text FROM notes")]

    @pytest.mark.parametrize("kind", KINDS)
    def test_their_rows_are_kept_by_a_restore(self, admin, database, noted, kind):
        answer = send(admin, noted[kind], f"mine.{kind}").get_json()
        assert (answer["keptTables"], answer["lostTables"]) == (["notes"], [])
        assert self.texts(database) == ["of the backup"]

    def test_rows_that_would_be_lost_are_named_before(self, admin, database, noted, tmp_path):
        statements = ("DROP TABLE notes", "CREATE TABLE notes (id, text)", "INSERT INTO notes VALUES (1, NULL)")
        content = edited(tmp_path, noted["db"], *statements)
        answer = send(admin, content, "mine.db")
        assert (answer.status_code, answer.get_json()["lostTables"]) == (409, ["notes"])
        assert self.texts(database) == ["of today"]
        form = {"database": (io.BytesIO(content), "mine.db")}
        path = f"{RESTORE}?acceptLostTables=true"
        answer = admin.send("POST", path, data=form, content_type="multipart/form-data")
        assert (answer.status_code, answer.get_json()["lostTables"]) == (200, ["notes"])
        assert self.texts(database) == []

    def test_tables_only_in_the_backup_are_named(self, admin, tmp_path):
        answer = send(admin, edited(tmp_path, fetch(admin, "db"), "CREATE TABLE strange (a)"), "mine.db")
        assert (answer.status_code, answer.get_json()["lostTables"]) == (200, ["strange"])
