"""Restore a backup.

Verified in a separate file first, then replacing all data in one transaction.
"""

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.accounts.models import User
from app.audit.log import Actor, record_entry
from app.backups import repairs
from app.core.db.engine import DRAFT, STAMP
from app.core.db.orm import db, discard_state, exclusive_writer, writing
from app.core.errors import Refused
from app.database.backup import (
    DATABASE,
    SCRIPT,
    back_up_before_restore,
    database_file,
    record_failure,
    safety_backup_folder,
    temporary_folder,
)
from app.database.inspection import PluginTables, check_file, copy_plugin_tables, rebuild, run_script
from app.legacy_import.importing import require_rest
from app.scheduling import control

log = logging.getLogger(__name__)

ENDINGS = {".db": DATABASE, ".sqlite": DATABASE, ".sqlite3": DATABASE, ".sql": SCRIPT}
# Files of SQLite beside the file of a database.
# Maximum size of an uploaded file, plus the overhead of a form.
MOST_BYTES = 200 * 1024 * 1024 + 64 * 1024
BESIDE = ("-wal", "-shm", "-journal")
SHELL = Actor(username="shell")
MAGIC = b"SQLite format"
SCRIPT_BEGINNINGS = (b"CREATE TABLE", b"BEGIN TRANSACTION")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and the name of the safety backup.

    Empty if there was no data.

    `tables` lists what was kept and lost of plugin tables.
    """

    kind: str
    safety_copy: str
    tables: PluginTables


def restore(received: Path, name: str, *, actor: Actor, now: datetime, accepts_lost_tables: bool = False) -> Restored:
    """Replace the content of the database by a backup; all users are signed out.

    `received` is the uploaded file and `name` its file name. Everything is verified before anything changes. Raises
    AppError: 400 for an invalid file, 501 on PostgreSQL, 500 for other errors; and Conflict while an import runs, half
    of which would be lost with the old data, and for plugin tables that would be lost.
    """
    require_rest()
    return _restore(received, name, actor, now, accepts_lost_tables, _exchange)


def restore_stopped(path: Path, *, now: datetime, accepts_lost_tables: bool = False) -> Restored:
    """Replace the database file by a backup, within the startup lock.

    That file may be damaged, of a newer version, or missing. Raises Refused as `restore` does.
    """
    if path.exists() and database_file().exists() and path.samefile(database_file()):
        raise Refused("file_is_the_database", path=path)
    if _holds_data(path.with_name(f"{path.name}-wal")):
        raise Refused("file_without_its_wal", name=path.name)
    return _restore(path, path.name, SHELL, now, accepts_lost_tables, _replace_file)


def _restore(
    received: Path,
    name: str,
    actor: Actor,
    now: datetime,
    accepts_lost_tables: bool,
    put_in_place: Callable[[Path], None],
) -> Restored:
    """Verify and rebuild the upload, make a safety backup, replace the content, and audit all."""
    database_file()
    size_bytes = received.stat().st_size
    try:
        done = _rebuild_and_exchange(received, name, now, accepts_lost_tables, put_in_place)
    except (Refused, OSError, sqlite3.Error) as error:
        failed = {"filename": name, "size": size_bytes, "error": str(error)}
        _record_failure(failed, actor, now)
        if isinstance(error, Refused):
            raise
        raise Refused("restore_failed", body={"details": str(error)}) from error
    details = {"format": done.kind, "filename": name, "size": size_bytes, "safetyBackupPath": done.safety_copy}
    if done.tables != PluginTables():
        details["tables"] = asdict(done.tables)
    with writing() as session:
        if actor.user_id is not None and session.get(User, actor.user_id) is None:
            actor = replace(actor, user_id=None)
        record_entry("database_restore", "system", now=now, actor=actor, details=details)
    repairs.finish_migration(now)
    control.apply_settings()
    return done


def _record_failure(failed: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    try:
        record_failure("database_restore", failed, actor=actor, now=now)
    except SQLAlchemyError as error:  # the command also repairs a database that cannot be written
        log.error("a failed restore could not be recorded: %s", error)


def kind_of(name: str, head: bytes) -> str:
    """Return whether a file is a database or a script, by extension, else by content.

    Raises Refused.
    """
    kind = ENDINGS.get(Path(name).suffix.lower())
    if kind is not None:
        return kind
    if head.startswith(MAGIC):
        return DATABASE
    if any(beginning in head[:100].upper() for beginning in SCRIPT_BEGINNINGS):
        return SCRIPT
    raise Refused("file_format_unknown")


def _rebuild_and_exchange(
    received: Path, name: str, now: datetime, accepts_lost_tables: bool, put_in_place: Callable[[Path], None]
) -> Restored:
    with received.open("rb") as file:
        kind = kind_of(name, file.read(100))
    with tempfile.TemporaryDirectory(dir=temporary_folder()) as folder:
        source, target = received, Path(folder) / "rebuilt.db"
        if kind == SCRIPT:
            source = Path(folder) / "script.db"
            run_script(_script(received), source)
        check_file(source)
        rebuild(source, target)
        tables = _copy_plugin_tables(source, target, accepts_lost_tables)
        safety_copy = _create_safety_backup(now)
        put_in_place(target)
    log.warning("the database was restored from %s; the previous data was saved in %s", kind, safety_copy)
    return Restored(kind, safety_copy, tables)


def _copy_plugin_tables(source: Path, target: Path, accepts_lost_tables: bool) -> PluginTables:
    try:
        tables = copy_plugin_tables(source, target, database_file()) if database_file().exists() else PluginTables()
    except sqlite3.DatabaseError as error:
        log.warning("plugin tables cannot be read from the current database: %s", error)
        return PluginTables()
    if tables.lost and not accepts_lost_tables:
        raise Refused("plugin_tables_lost", body={"lostTables": list(tables.lost)}, tables=", ".join(tables.lost))
    return tables


def _create_safety_backup(now: datetime) -> str:
    """Create the safety backup.

    A database that SQLite cannot copy is copied as a file.
    """
    file = database_file()
    if not file.exists():
        return ""
    try:
        return back_up_before_restore(now).name
    except sqlite3.DatabaseError as error:
        log.error("the current database is damaged and kept unchanged: %s", error)
    target = safety_backup_folder() / f"{file.stem}-damaged-{now.astimezone(UTC):{STAMP}}.db"
    for ending in ("", *BESIDE):
        if (part := file.with_name(file.name + ending)).exists():
            shutil.copyfile(part, target.with_name(target.name + ending))
    return target.name


def _holds_data(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _replace_file(rebuilt: Path) -> None:
    """Replace a database file that no process has open, and remove files beside the old one."""
    file = database_file()
    owner = file.parent.stat()
    draft = file.with_name(f"{file.name}{DRAFT}")
    shutil.copyfile(rebuilt, draft)
    draft.chmod(0o600)
    if os.geteuid() == 0:  # the server runs as another user, and must be able to write it
        os.chown(draft, owner.st_uid, owner.st_gid)
    with draft.open("rb+") as written:
        os.fsync(written.fileno())
    for ending in BESIDE:
        file.with_name(file.name + ending).unlink(missing_ok=True)
    draft.replace(file)
    db.engine.dispose()


def _script(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("sql_file_not_utf8") from error
    if not text.strip():
        raise Refused("sql_file_empty")
    return text


def _exchange(rebuilt: Path) -> None:
    """Replace all content with the backup API of SQLite, in one transaction.

    Unlike replacing the file, this is safe with open connections of any process: each sees the old or the new content,
    caches notice a commit like any other, and a crash in between is rolled back.
    """
    db.session.rollback()
    source, target = sqlite3.connect(rebuilt), sqlite3.connect(database_file(), timeout=30)
    with exclusive_writer(), closing(source), closing(target):
        source.backup(target)
        target.execute("PRAGMA busy_timeout = 500")  # all is done: active readers must not delay the response
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.session.expunge_all()
    discard_state()
