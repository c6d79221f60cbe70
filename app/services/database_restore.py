"""Going back to a backup: checked in a file of its own first, then put in place of everything, in one transaction."""

import logging
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from app.contracts.errors import AppError
from app.extensions import db
from app.models import User
from app.services import repairs, task_schedule
from app.services.audit import Actor, record_entry
from app.services.database_backup import DATABASE, SCRIPT, database_file, put_aside, record_failure, temporary_folder
from app.services.database_inspection import check_file, rebuild, run_script
from app.services.freshness import forget_state
from app.services.transaction import without_writers, writing
from app.services.transfer.background import require_rest

log = logging.getLogger(__name__)

ENDINGS = {".db": DATABASE, ".sqlite": DATABASE, ".sqlite3": DATABASE, ".sql": SCRIPT}
MAGIC = b"SQLite format"
SCRIPT_BEGINNINGS = (b"CREATE TABLE", b"BEGIN TRANSACTION")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and the name of the copy of what was there before."""

    kind: str
    safety_copy: str


def restore(received: Path, name: str, *, actor: Actor, now: datetime) -> Restored:
    """Put the content of a backup in place of the database's own; everybody is signed out.

    `received` is the file that was sent and `name` what its sender calls it. Whatever is wrong with it is found before
    anything changes. Raises AppError: 400 for a file that we do not take, 501 on PostgreSQL, 500 for other trouble, and
    Conflict while an import runs, half of which would be lost with what was there before.
    """
    database_file()
    require_rest()
    size_bytes = received.stat().st_size
    try:
        done = _restore(received, name, now)
    except (AppError, OSError, sqlite3.Error) as error:
        failed = {"filename": name, "size": size_bytes, "error": str(error)}
        record_failure("database_restore", failed, actor=actor, now=now)
        if isinstance(error, AppError):
            raise
        raise AppError("Failed to restore database", 500, details=str(error)) from error
    details = {"format": done.kind, "filename": name, "size": size_bytes, "safetyBackupPath": done.safety_copy}
    with writing() as session:
        if actor.user_id is not None and session.get(User, actor.user_id) is None:
            actor = replace(actor, user_id=None)
        record_entry("database_restore", "system", now=now, actor=actor, details=details)
    repairs.finish_migration(now)
    task_schedule.take_over()
    return done


def kind_of(name: str, head: bytes) -> str:
    """Whether a file is a database or a script, by its ending, else by how it begins. Raises AppError."""
    known = ENDINGS.get(Path(name).suffix.lower())
    if known is not None:
        return known
    if head.startswith(MAGIC):
        return DATABASE
    if any(beginning in head[:100].upper() for beginning in SCRIPT_BEGINNINGS):
        return SCRIPT
    raise AppError("Unknown file format: expected a SQLite database or a SQL dump")


def _restore(received: Path, name: str, now: datetime) -> Restored:
    with received.open("rb") as file:
        kind = kind_of(name, file.read(100))
    with tempfile.TemporaryDirectory(dir=temporary_folder()) as folder:
        source, target = received, Path(folder) / "rebuilt.db"
        if kind == SCRIPT:
            source = Path(folder) / "script.db"
            run_script(_script(received), source)
        check_file(source)
        rebuild(source, target)
        safety_copy = put_aside(now)
        _exchange(target)
    log.warning("the database was restored from %s; what was there before is kept in %s", kind, safety_copy.name)
    return Restored(kind, safety_copy.name)


def _script(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise AppError("The SQL file is not UTF-8 text") from error
    if not text.strip():
        raise AppError("SQL file is empty")
    return text


def _exchange(rebuilt: Path) -> None:
    """Replace the whole content by SQLite's own means, in one transaction.

    Unlike a swap of files this holds for every connection of every process: each sees the old content or the new, the
    watcher of the cache sees a commit like any other, and a crash in between is rolled back.
    """
    db.session.rollback()
    source, target = sqlite3.connect(rebuilt), sqlite3.connect(database_file(), timeout=30)
    with without_writers(), closing(source), closing(target):
        source.backup(target)
        target.execute("PRAGMA busy_timeout = 500")  # all is done: who still reads holds up no answer
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.session.expunge_all()
    forget_state()
