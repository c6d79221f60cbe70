"""Errors of the database: those of its state, and those that are our mistakes."""

import sqlite3
from contextlib import closing

import pytest
from psycopg import errors
from sqlalchemy import exc, text

from app.core.db.faults import Fault, describe, fault_of


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (sqlite3.DatabaseError("database disk image is malformed"), Fault.DAMAGED),
        (sqlite3.DatabaseError("file is not a database"), Fault.DAMAGED),
        (sqlite3.OperationalError("Could not decode to UTF-8 column 'name' with text '\udcff'"), Fault.DAMAGED),
        (sqlite3.OperationalError("disk I/O error"), Fault.DISK_ERROR),
        (sqlite3.OperationalError("database or disk is full"), Fault.DISK_FULL),
        (sqlite3.OperationalError("attempt to write a readonly database"), Fault.READ_ONLY),
        (sqlite3.OperationalError("database is locked"), Fault.LOCKED),
        (sqlite3.OperationalError("database table is locked: runs"), Fault.LOCKED),
        (sqlite3.OperationalError("unable to open database file"), Fault.UNREACHABLE),
        (sqlite3.OperationalError("no such table: runs"), Fault.SCHEMA),
        (sqlite3.OperationalError("no such column: jobs_1.deleted_began_at"), Fault.SCHEMA),
        (sqlite3.OperationalError("table jobs has no column named growth_bytes"), Fault.SCHEMA),
        (sqlite3.OperationalError("no such column: nonsense"), None),
        (sqlite3.IntegrityError("UNIQUE constraint failed: users.username"), None),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), None),
        (ValueError("x"), None),
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_sqlite_errors_are_classified_by_text(error, fault, is_wrapped):
    wrapped = exc.DBAPIError.instance("SELECT 1", {}, error, sqlite3.Error) if is_wrapped else error
    assert fault_of(wrapped) is fault
    assert describe(wrapped) == str(error)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("SELECT nonsense FROM jobs", None),
        ("SELECT * FROM nowhere", None),
        ("SELEC 1", None),
        ("SELECT abs(1, 2)", None),
        ("SELECT growth_bytes FROM users", Fault.SCHEMA),
        ("INSERT INTO users (id) VALUES ('x')", None),
    ],
)
def test_sqlite_errors_are_classified_by_exception(db, statement, fault):
    with pytest.raises(exc.DBAPIError) as caught:
        db.session.execute(text(statement))
    assert fault_of(caught.value) is fault


@pytest.mark.parametrize("mode", ["locked", "readonly", "garbage", "absent"])
def test_real_file_errors_are_classified(tmp_path, mode):
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (a)")
        if mode == "locked":
            other.execute("BEGIN IMMEDIATE")
        address = f"{path.as_uri()}?mode={'ro' if mode == 'readonly' else 'rw'}"
        if mode == "garbage":
            other.close()
            path.write_bytes(b"garbage!" * 1000)
        if mode == "absent":
            path.unlink()
        with pytest.raises(sqlite3.Error) as caught, closing(sqlite3.connect(address, uri=True, timeout=0)) as mine:
            mine.execute("INSERT INTO t VALUES (1)")
    expected = {"locked": Fault.LOCKED, "readonly": Fault.READ_ONLY, "garbage": Fault.DAMAGED}
    assert fault_of(caught.value) is expected.get(mode, Fault.UNREACHABLE)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (errors.AdminShutdown("terminating connection"), Fault.UNREACHABLE),
        (errors.CannotConnectNow("the database system is starting up"), Fault.UNREACHABLE),
        (errors.TooManyConnections("too many clients"), Fault.UNREACHABLE),
        (errors.ConnectionFailure("gone"), Fault.UNREACHABLE),
        (errors.DiskFull("No space left on device"), Fault.DISK_FULL),
        (errors.IoError("could not read block"), Fault.DISK_ERROR),
        (errors.DataCorrupted("invalid page in block 7"), Fault.DAMAGED),
        (errors.IndexCorrupted("index is corrupted"), Fault.DAMAGED),
        (errors.ReadOnlySqlTransaction("cannot execute INSERT"), Fault.READ_ONLY),
        (errors.LockNotAvailable("canceling statement due to lock timeout"), Fault.LOCKED),
        (errors.QueryCanceled("canceling statement due to statement timeout"), Fault.LOCKED),
        (errors.DeadlockDetected("deadlock detected"), Fault.LOCKED),
        (errors.UndefinedColumn("column jobs.deleted_began_at does not exist\nLINE 1: SELECT"), Fault.SCHEMA),
        (errors.UndefinedTable('relation "runs" does not exist'), Fault.SCHEMA),
        (errors.UndefinedColumn('column "nonsense" does not exist\nLINE 1: SELECT nonsense FROM jobs'), None),
        (errors.SyntaxError('syntax error at or near "SELEC"'), None),
        (errors.UniqueViolation("duplicate key"), None),
        (errors.OperationalError("connection to server at 127.0.0.1 failed"), Fault.UNREACHABLE),
    ],
)
def test_postgresql_errors_are_classified_by_state(error, fault):
    import psycopg

    wrapped = exc.DBAPIError.instance("SELECT 1", {}, error, psycopg.Error)
    assert fault_of(wrapped) is fault


def test_exhausted_pool_is_classified():
    assert fault_of(exc.TimeoutError("QueuePool limit reached")) is Fault.LOCKED
