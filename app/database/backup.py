"""Backups of the SQLite database: downloads and safety backups."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from app.audit.log import Actor, record_entry
from app.core.db.engine import COPIES, COPIES_KEPT, TEMPORARY, copy_database, has_space_for, keep_copy
from app.core.db.orm import db
from app.core.errors import Refused
from app.runtime import settings

DATABASE, SCRIPT = "db", "sql"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup ready to be sent.

    The file is already unlinked and vanishes when closed.
    """

    file: BinaryIO
    name: str
    size_bytes: int


def make_backup(kind: str, *, actor: Actor, now: datetime) -> Backup:
    """Return a snapshot of the database as a database file or an SQL script.

    Raises Refused: 400 for another format, 501 on PostgreSQL, which has better tools of its own.
    """
    if kind not in (DATABASE, SCRIPT):
        raise Refused("backup_format_unknown", "format")
    source = database_file()
    name = f"duplistatus-backup-{now.astimezone(settings().zone):%Y-%m-%dT%H-%M-%S}.{kind}"
    try:
        with tempfile.TemporaryDirectory(dir=temporary_folder()) as folder:
            path = Path(folder) / "copy.db"
            copy_database(source, path)
            if kind == SCRIPT:
                path = _write_script(path, Path(folder) / "copy.sql")
            file = path.open("rb")
    except (OSError, sqlite3.Error) as error:
        failed = {"format": kind, "error": str(error)}
        record_failure("database_backup", failed, actor=actor, now=now)
        raise Refused("database_backup_failed", body={"details": str(error)}) from error
    size_bytes = os.fstat(file.fileno()).st_size
    details = {"format": kind, "filename": name, "size": size_bytes}
    record_entry("database_backup", "system", now=now, actor=actor, details=details)
    return Backup(file, name, size_bytes)


def record_failure(action: str, details: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Audit a failed backup or restore; `details` has the reason under `error`."""
    outcome = {"status": "error", "error_message": details["error"]}
    record_entry(action, "system", now=now, actor=actor, details=details, **outcome)


def back_up_before_restore(now: datetime) -> Path:
    """Create a safety backup before the content is replaced.

    Of each schema revision the newest few are kept.
    """
    source, folder = database_file(), safety_backup_folder()
    if not has_space_for(source, folder):
        raise Refused("no_room_for_safety_backup")
    return keep_copy(source, folder, "safety-backup", now, COPIES_KEPT)


def safety_backup_folder() -> Path:
    """Return the directory of safety backups."""
    folder = settings().data_dir / COPIES
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def database_file() -> Path:
    """Return the file of the SQLite database. Raises Refused (501) on PostgreSQL."""
    if db.engine.dialect.name != "sqlite":
        raise Refused("database_is_postgresql")
    return Path(db.engine.url.database or "")


def temporary_folder() -> Path:
    """Return a private temporary directory on the disk of the database."""
    folder = settings().data_dir / TEMPORARY
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def _write_script(path: Path, target: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection, target.open("w", encoding="utf-8", newline="\n") as script:
        script.writelines(f"{line}\n" for line in _statements(connection))
    return target


def _statements(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield tables by name with their rows, then the indexes."""
    yield "BEGIN TRANSACTION;"
    made = "SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%'"
    for table, statement in connection.execute(f"{made} ESCAPE '\\' ORDER BY name", ("table",)).fetchall():
        yield f"{statement};"
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({quoted(table)})")]
        names = ", ".join(quoted(name) for name in columns)
        values = ", ".join(_literal(quoted(name)) for name in columns)
        for row in connection.execute(f"SELECT {values} FROM {quoted(table)}"):  # noqa: S608 (names of our own schema)
            yield f"INSERT INTO {quoted(table)} ({names}) VALUES ({', '.join(row)});"  # noqa: S608 (quoted by SQLite)
    for _name, statement in connection.execute(f"{made} ESCAPE '\\' ORDER BY name", ("index",)):
        yield f"{statement};"
    yield "COMMIT;"


def _literal(column: str) -> str:
    """Return an SQL expression for a value; a plain literal would end at a NUL byte."""
    has_nul = f"typeof({column}) = 'text' AND instr({column}, char(0)) > 0"
    return f"CASE WHEN {has_nul} THEN 'CAST(X''' || hex({column}) || ''' AS TEXT)' ELSE quote({column}) END"


def quoted(name: str) -> str:
    """Return a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
