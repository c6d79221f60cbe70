"""Files that an import rejects, with the reason and before any change; and what a file cannot make us do."""

import sqlite3
from contextlib import closing

import pytest
from old_installations import everything, make_old_database, old_run

from app.core.errors import Refused
from app.legacy_import.importing import import_database
from app.legacy_import.source import NotImportable

BIG = [old_run(messages_array='["' + "x" * 3000 + '"]', date=f"2031-05-01T02:00:{s:02}.000Z") for s in range(60)]


@pytest.fixture
def rejected(db, clock):
    """Import a file that must be rejected; return the reason."""

    def rejected(file):
        before = everything()
        with pytest.raises(NotImportable) as caught:
            import_database(file, now=clock())
        assert everything() == before
        return str(caught.value)

    return rejected


def change(file, *statements):
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return file


def test_missing_file(rejected, tmp_path):
    assert "File not found" in rejected(tmp_path / "nothing.db")


def test_folder_without_a_database(rejected, tmp_path):
    assert "backups.db" in rejected(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" * 100], ids=["empty", "text", "zip"])
def test_file_that_is_no_database(content, rejected, tmp_path):
    file = tmp_path / "backups.db"
    file.write_bytes(content)
    assert "not a SQLite database" in rejected(file)


def test_truncated_file(rejected, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=BIG)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "damaged" in rejected(file) or "malformed" in rejected(file)


def test_file_with_a_broken_page(rejected, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=BIG)
    content = bytearray(file.read_bytes())
    content[4096 * 5 : 4096 * 9] = b"\xff" * 4096 * 4
    file.write_bytes(content)
    assert "damaged" in rejected(file) or "malformed" in rejected(file)


def test_database_of_another_program(rejected, tmp_path):
    file = change(tmp_path / "other.db", "CREATE TABLE backups (id, title)", "CREATE TABLE servers (id, name)")
    assert "not a database of duplistatus" in rejected(file)


def test_our_own_database(rejected, settings):
    assert "restore it" in rejected(settings.data_dir / "duplistatus.db")


@pytest.mark.parametrize("version", ["5.0", "4.4", "99"])
def test_newer_version_than_we_know(version, rejected, tmp_path):
    assert version in rejected(make_old_database(tmp_path / "old.db", version=version))


def test_invalid_version_is_rejected(rejected, tmp_path):
    assert "schema version" in rejected(make_old_database(tmp_path / "old.db", version="new"))


@pytest.mark.parametrize("table", ["backups", "servers", "users", "configurations"])
def test_view_in_place_of_a_table(table, rejected, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=[old_run()], settings={"a": "b"})
    change(file, f"ALTER TABLE {table} RENAME TO hidden", f"CREATE VIEW {table} AS SELECT * FROM hidden")
    assert f"{table} is a view" in rejected(file)


def test_virtual_table_in_place_of_a_table(rejected, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=[old_run()])
    change(file, "DROP TABLE servers", "CREATE VIRTUAL TABLE servers USING fts5(id, name)")
    assert "virtual table" in rejected(file)


def test_computed_column(rejected, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=[old_run()])
    change(file, "ALTER TABLE servers ADD COLUMN extra AS (upper(name))")
    assert "computed columns" in rejected(file)


def test_triggers_and_foreign_tables_are_not_read(db, clock, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=[old_run()])
    change(
        file,
        "CREATE TRIGGER greedy AFTER INSERT ON backups BEGIN DELETE FROM servers; END",
        "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        'CREATE TABLE "odd ""name""" (a)',
        "CREATE TABLE notes (a)",
        "INSERT INTO notes VALUES (1)",
    )
    report = import_database(file, now=clock())
    assert report.counts["runs"].taken == 1
    assert "The table notes was skipped: it is not supported" in report.remarks


@pytest.mark.slow
def test_huge_logs_are_read_in_small_batches(db, clock, tmp_path):
    big = '["' + "x" * 3_000_000 + '"]'
    runs = [old_run(messages_array=big, date=f"2031-05-01T02:00:{second:02}.000Z") for second in range(7)]
    calls = []
    file = make_old_database(tmp_path / "old.db", runs=runs)
    import_database(file, now=clock(), progress=lambda done, total: calls.append(done))
    assert calls == [3, 6, 7]


def test_oversized_value_ends_the_import_with_a_message(db, clock, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=[old_run(), old_run(messages_array="x" * 33 * 1024**2)])
    with pytest.raises(Refused, match="The table backups could not be read completely"):
        import_database(file, now=clock())


def test_text_that_is_not_utf8_is_imported_as_far_as_possible(db, clock, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=[old_run()])
    change(file, "UPDATE backups SET version = CAST(X'32FF33' AS TEXT)")
    assert import_database(file, now=clock()).counts["runs"].taken == 1
