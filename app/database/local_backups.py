"""Copies of the database in our own folder: made at set times or on demand, checked, and the oldest given up.

Copies that were put aside before a restore or a migration are listed with them, so that one can go back to these too.
"""

import logging
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from app.audit.log import SYSTEM, Actor, record_entry
from app.core.db.engine import COPIES, COPY_NAME, DRAFT, STAMP, copy_database, has_room_for
from app.core.db.extensions import db
from app.core.db.transaction import writing
from app.core.settings import store as settings_store
from app.database import restore
from app.database.backup import database_file, record_failure
from app.database.restore import Restored
from app.database.schedule import BackupSchedule, newest_slot, next_slot, read_schedule
from app.legacy_import.stored_forms import as_utc_text, read_time
from app.plugin import AppError
from app.plugin.errors import NotFound
from app.runtime import settings

log = logging.getLogger(__name__)

SCHEDULE, FAILED_AT = "local_backup_schedule", "local_backup_failed_at"
SCHEDULED, MANUAL = "scheduled", "manual"
FOLDER = "backups"
TRY_AGAIN_AFTER = timedelta(hours=1)
# What a copy is and when it was made; those that were put aside have names of their own.
_NAME = re.compile(r"[\w.-]+?-(?P<kind>scheduled|manual)-(?P<stamp>[0-9T-]{26})\.db")


@dataclass(frozen=True, slots=True)
class LocalBackup:
    """A copy of the database that lies in our own folder; `revision` is that of its schema, where its name tells it."""

    name: str
    kind: str
    made_at: datetime
    size_bytes: int
    revision: str | None = None


def schedule() -> BackupSchedule:
    """When copies are made by themselves."""
    return read_schedule(settings_store.get(SCHEDULE))


def save_schedule(wanted: BackupSchedule, *, actor: Actor, now: datetime) -> None:
    """Choose when copies are made. Raises AppError, naming the field, for what makes no sense."""
    database_file()
    wrong = wanted.wrong_fields()
    if wrong:
        raise AppError(f"Invalid value for {wrong[0]}", field=wrong[0])
    with writing():
        before = schedule()
        settings_store.save(SCHEDULE, wanted.as_mapping(), now=now)
        settings_store.save(FAILED_AT, None, now=now)
        if wanted != before:
            record_entry(
                "backup_schedule_updated",
                "config",
                now=now,
                actor=actor,
                target_type="configuration",
                target_id=SCHEDULE,
                details={"oldValue": before.as_mapping(), "newValue": wanted.as_mapping()},
            )


def next_due_at(now: datetime) -> datetime | None:
    """When the next copy will be made by itself; None where none are wanted."""
    return next_slot(schedule(), now, settings().zone)


def failed_at() -> datetime | None:
    """When the last attempt at a scheduled copy failed; None while all is well."""
    return read_time(settings_store.get(FAILED_AT))


def back_up_if_due(now: datetime) -> LocalBackup | None:
    """Make the scheduled copy when its time has come and none was made since; missed times are made up for once."""
    wanted = schedule()
    slot = newest_slot(wanted, now, settings().zone)
    if slot is None or db.engine.dialect.name != "sqlite":
        return None
    if any(copy.kind == SCHEDULED and copy.made_at >= slot for copy in list_backups()):
        return None
    failed = failed_at()
    if failed is not None and failed <= now < failed + TRY_AGAIN_AFTER:
        return None
    try:
        made = back_up(SCHEDULED, now=now)
    except AppError:
        settings_store.save(FAILED_AT, as_utc_text(now), now=now)
        raise
    if failed is not None:
        settings_store.save(FAILED_AT, None, now=now)
    for old in [copy for copy in list_backups() if copy.kind == SCHEDULED][wanted.keep :]:
        _path(old.name).unlink(missing_ok=True)
    return made


def back_up(kind: str = MANUAL, *, now: datetime, actor: Actor = SYSTEM) -> LocalBackup:
    """Copy the database as it is at this moment, check the copy, and keep it. Raises AppError (500, 501 on PostgreSQL).

    A copy that does not pass SQLite's own check is not kept.
    """
    source = database_file()
    target = folder() / f"duplistatus-{kind}-{now.astimezone(UTC):{STAMP}}.db"
    draft = target.with_suffix(DRAFT)
    try:
        _require_room(source, target.parent)
        for left in target.parent.glob(f"*{DRAFT}*"):  # of a process that was killed
            left.unlink()
        copy_database(source, draft)
        _check(draft)
        draft.rename(target)
    except (OSError, sqlite3.Error) as error:
        draft.unlink(missing_ok=True)
        failed = {"format": "db", "kind": kind, "error": str(error)}
        record_failure("database_backup", failed, actor=actor, now=now)
        raise AppError(f"The backup could not be created: {error}", 500) from error
    made = LocalBackup(target.name, kind, now, target.stat().st_size)
    details = {"format": "db", "filename": made.name, "size": made.size_bytes, "kind": kind}
    record_entry("database_backup", "system", now=now, actor=actor, details=details)
    return made


def list_backups() -> list[LocalBackup]:
    """All copies that lie in our folders, the newest first."""
    found = (_read(path) for place in _folders() for path in place.glob("*.db"))
    return sorted((copy for copy in found if copy), key=lambda copy: (copy.made_at, copy.name), reverse=True)


def find_backup(name: str) -> LocalBackup:
    """The copy of a name. Raises NotFound."""
    copy = next((copy for copy in list_backups() if copy.name == name), None)
    if copy is None:
        raise NotFound("Database backup not found")
    return copy


def open_backup(name: str, *, actor: Actor, now: datetime) -> BinaryIO:
    """Open a copy to send it to a person, which is audited. Raises NotFound."""
    copy = find_backup(name)
    details = {"format": "db", "filename": copy.name, "size": copy.size_bytes, "kind": copy.kind, "downloaded": True}
    record_entry("database_backup", "system", now=now, actor=actor, details=details)
    return _path(copy.name).open("rb")


def delete_backup(name: str, *, actor: Actor, now: datetime) -> None:
    """Delete a copy. Raises NotFound."""
    copy = find_backup(name)
    _path(copy.name).unlink(missing_ok=True)
    details = {"filename": copy.name, "size": copy.size_bytes, "kind": copy.kind}
    record_entry("database_backup_deleted", "system", now=now, actor=actor, details=details)


def restore_backup(name: str, *, actor: Actor, now: datetime, accepts_lost_tables: bool = False) -> Restored:
    """Go back to a copy, as `services.database_restore` goes back to a file that was sent. Raises AppError."""
    return restore.restore(path_of(name), name, actor=actor, now=now, accepts_lost_tables=accepts_lost_tables)


def path_of(name: str) -> Path:
    """Where the copy of a name lies. Raises NotFound."""
    return _path(find_backup(name).name)


def folder() -> Path:
    """Where copies are kept, for the owner of the data alone."""
    place, _copies = _folders()
    place.mkdir(exist_ok=True, mode=0o700)
    return place


def _folders() -> tuple[Path, Path]:
    """Where copies of either sort lie; whoever only looks makes no folder."""
    return settings().data_dir / FOLDER, settings().data_dir / COPIES


def _path(name: str) -> Path:
    """Where a copy lies; only for names that `find_backup` has found."""
    return next(place / name for place in _folders() if (place / name).is_file())


def _read(path: Path) -> LocalBackup | None:
    """What a file is; None for one that is no copy of ours, or is just being deleted."""
    match = _NAME.fullmatch(path.name) or COPY_NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        made_at = datetime.strptime(match["stamp"], STAMP).replace(tzinfo=UTC)
        groups = match.groupdict()
        revision = groups.get("revision") or groups.get("former_revision")
        return LocalBackup(path.name, match["kind"], made_at, path.stat().st_size, revision)
    except (ValueError, FileNotFoundError):
        return None


def _require_room(source: Path, target: Path) -> None:
    if not has_room_for(source, target):
        raise OSError("there is not enough free disk space")


def _check(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()
        # An empty file is whole in SQLite's eyes; this one has to be ours.
        is_ours = connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    if found != ("ok",) or not is_ours:
        raise OSError("the backup failed its integrity check")
