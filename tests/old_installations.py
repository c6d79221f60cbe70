"""Databases of earlier releases of the original, created small for one test each; and the content of our own."""

import json
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app.core.db.orm import db

SAMPLES = Path(__file__).resolve().parent / "data" / "old-databases"
BCRYPT = "$2b$04$UnlikelyToFitAnythiO5kuZzI4pXbDLpqYDJX0tbRrBTbE5Pguu2"

Row = Mapping[str, Any]
ARRAYS = ["messages_array", "warnings_array", "errors_array", "available_backups"]
TEXTS = [
    "id",
    "server_id",
    "backup_name",
    "backup_id",
    "date",
    "status",
    "begin_time",
    "end_time",
    "main_operation",
    "parsed_result",
    "version",
]
NUMBERS = [
    "duration_seconds",
    "size",
    "uploaded_size",
    "examined_files",
    "warnings",
    "errors",
    "known_file_size",
    "backup_list_count",
    "partial_backup",
    "dryrun",
    "interrupted",
]
USERS = [
    "id",
    "username",
    "password_hash",
    "is_admin",
    "must_change_password",
    "created_at",
    "failed_login_attempts",
    "locked_until",
]
AUDIT = [
    "id",
    "timestamp",
    "user_id",
    "username",
    "action",
    "category",
    "target_type",
    "target_id",
    "details",
    "status",
]


def old_run(**values: Any) -> dict[str, Any]:
    """Return a row of `backups`; name what a test is about."""
    date = values.get("date", "2031-05-01T02:00:00.000Z")
    return {
        "id": str(uuid.uuid4()),
        "server_id": "machine-1",
        "backup_name": "photos",
        "backup_id": "DB-1",
        "date": date,
        "begin_time": date,
        "end_time": date,
        "created_at": "2031-05-01 03:00:00",
        "status": "Success",
        "main_operation": "Backup",
        "parsed_result": "Success",
        "duration_seconds": 60.5,
        "size": 1000,
        "uploaded_size": 100,
        "known_file_size": 5000,
        "backup_list_count": 3,
        "messages_array": '["a line"]',
        **values,
    }


def make_old_database(
    path: Path,
    *,
    version: str | None = "4.0",
    servers: Sequence[Row] = ({"id": "machine-1", "name": "nas"},),
    runs: Sequence[Row] = (),
    settings: Mapping[str, Any] | None = None,
    users: Sequence[Row] = (),
    audit: Sequence[Row] = (),
) -> Path:
    """Write a database of a schema version (None is 1.0, which had no table of versions); return its path."""
    is_oldest = version in (None, "2.0")
    server_table, server_key = ("machines", "machine_id") if is_oldest else ("servers", "server_id")
    with closing(sqlite3.connect(path)) as connection, connection:
        _fill(
            connection,
            server_table,
            ["note", "name", "alias", "server_password", "server_url", "created_at", "id"],
            servers,
        )
        columns = ["created_at", *reversed(NUMBERS), *ARRAYS, *TEXTS]  # another order than in any release
        names = [server_key if name == "server_id" else name for name in columns]
        rows = [{**run, server_key: run["server_id"]} for run in runs]
        _fill(connection, "backups", names, rows)
        if settings is not None:
            rows = [{"key": key, "value": _text(value)} for key, value in settings.items()]
            _fill(connection, "configurations", ["value", "key"], rows)
        if version is not None:
            _fill(connection, "db_version", ["version", "applied_at"], [{"version": version, "applied_at": "2031"}])
        if version is not None and version >= "4":
            _fill(connection, "users", USERS, users)
            _fill(connection, "audit_log", AUDIT, audit)
    return path


def _fill(connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
    values = [[row.get(name) for name in columns] for row in rows]
    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", values)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of our database, table by table."""
    db.session.rollback()
    with db.engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in db.metadata.sorted_tables
        }
