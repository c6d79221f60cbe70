"""Backups in the data directory.

Scheduled or manual, verified, and pruned to the newest ones.

Safety backups made before restores and migrations are listed too and can be restored.
"""

import logging
import re
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from marshmallow import fields
from marshmallow.validate import Regexp

from app.audit.log import SYSTEM, Actor, record_entry
from app.core.db.engine import COPIES, COPY_NAME, DRAFT, STAMP, copy_database, has_space_for
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, check_instant, check_values, declare
from app.database import restore
from app.database.backup import database_file, record_failure
from app.database.restore import Restored
from app.legacy_import.stored_forms import as_utc_text, read_time
from app.plugin.marking import N_
from app.runtime import settings

# Schedule of automatic backups: every day or every week at a local time, keeping the newest few

OFF, DAILY, WEEKLY = "off", "daily", "weekly"
DAY, WEEK = timedelta(days=1), timedelta(days=7)

EVERY = Setting("every", str, default=OFF, choices=(OFF, DAILY, WEEKLY), wire="every", label=N_("Automatic backup"))
WEEKDAY = Setting("weekday", int, default=6, minimum=0, maximum=6, wire="weekday")
AT = Setting(
    "at",
    str,
    default="03:30",
    longest=5,
    check=Regexp("([01][0-9]|2[0-3]):[0-5][0-9]$"),
    wire="at",
    label=N_("At"),
)
KEEP = Setting(
    "keep",
    int,
    default=7,
    minimum=1,
    maximum=365,
    wire="keep",
    label=N_("Keep"),
    help=N_("Number of scheduled backups to keep; older ones are deleted."),
)
BACKUP_SCHEDULE = declare(Setting("local_backup_schedule", dict, default={}, parts=(EVERY, WEEKDAY, AT, KEEP)))


@dataclass(frozen=True, slots=True)
class BackupSchedule:
    """When a backup is made.

    `at` is a local time `HH:MM`, `weekday` 0 is Monday, for weekly ones.

    `keep` is the number of scheduled backups to keep.
    """

    every: str = EVERY.default
    weekday: int = WEEKDAY.default
    at: str = AT.default
    keep: int = KEEP.default

    @property
    def interval(self) -> timedelta:
        """Return the time between two backups."""
        return WEEK if self.every == WEEKLY else DAY

    def as_mapping(self) -> dict[str, Any]:
        """Return the stored form."""
        return asdict(self)


def read_schedule(stored: object) -> BackupSchedule:
    """Parse a stored schedule; missing or invalid fields have their defaults."""
    return BackupSchedule(**BACKUP_SCHEDULE.read_parts(stored))


def newest_slot(schedule: BackupSchedule, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the latest time at which a backup was due; None if disabled."""
    if schedule.every == OFF:
        return None
    local = now.astimezone(zone)
    day = local.date()
    if schedule.every == WEEKLY:
        day -= timedelta(days=(day.weekday() - schedule.weekday) % 7)
    slot = _instant(day, schedule.at, zone)
    return slot if slot <= now else _instant(day - schedule.interval, schedule.at, zone)


def next_slot(schedule: BackupSchedule, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when the next backup is due; None if disabled."""
    newest = newest_slot(schedule, now, zone)
    if newest is None:
        return None
    return _instant(newest.astimezone(zone).date() + schedule.interval, schedule.at, zone)


def _instant(day: date, at: str, zone: ZoneInfo) -> datetime:
    """Return the instant of a local time.

    One skipped by a clock change is an hour later.
    """
    return datetime.combine(day, time.fromisoformat(at), zone).astimezone(UTC)


LAST_FAILURE = declare(
    Setting("local_backup_failed_at", str, default=None, shape=fields.String(validate=check_instant))
)


log = logging.getLogger(__name__)

FAILED_AT = "local_backup_failed_at"
SCHEDULED, MANUAL = "scheduled", "manual"
FOLDER = "backups"
TRY_AGAIN_AFTER = timedelta(hours=1)
# Kind and time of a backup; safety backups have names of their own.
_NAME = re.compile(r"[\w.-]+?-(?P<kind>scheduled|manual)-(?P<stamp>[0-9T-]{26})\.db")


@dataclass(frozen=True, slots=True)
class LocalBackup:
    """A backup in the data directory.

    `revision` of the schema if its name contains it.
    """

    name: str
    kind: str
    made_at: datetime
    size_bytes: int
    revision: str | None = None


def schedule() -> BackupSchedule:
    """Return the schedule of automatic backups."""
    return read_schedule(settings_store.read(BACKUP_SCHEDULE))


def save_schedule(new_schedule: BackupSchedule, *, actor: Actor, now: datetime) -> None:
    """Save the schedule. Raises Refused, naming the field, for invalid values."""
    database_file()
    check_values(BACKUP_SCHEDULE.parts, new_schedule.as_mapping())
    with writing():
        before = schedule()
        settings_store.save(BACKUP_SCHEDULE.name, new_schedule.as_mapping(), now=now)
        settings_store.save(FAILED_AT, None, now=now)
        if new_schedule != before:
            record_entry(
                "backup_schedule_updated",
                "config",
                now=now,
                actor=actor,
                target_type="configuration",
                target_id=BACKUP_SCHEDULE.name,
                details={"oldValue": before.as_mapping(), "newValue": new_schedule.as_mapping()},
            )


def next_due_at(now: datetime) -> datetime | None:
    """Return when the next scheduled backup is due; None if disabled."""
    return next_slot(schedule(), now, settings().zone)


def failed_at() -> datetime | None:
    """Return when the latest scheduled backup failed; None if it succeeded."""
    return read_time(settings_store.get(FAILED_AT))


def back_up_if_due(now: datetime) -> LocalBackup | None:
    """Create the scheduled backup if it is due; after several missed times only one."""
    current = schedule()
    slot = newest_slot(current, now, settings().zone)
    if slot is None or db.engine.dialect.name != "sqlite":
        return None
    if any(backup.kind == SCHEDULED and backup.made_at >= slot for backup in list_backups()):
        return None
    failed = failed_at()
    if failed is not None and failed <= now < failed + TRY_AGAIN_AFTER:
        return None
    try:
        made = back_up(SCHEDULED, now=now)
    except Refused:
        settings_store.save(FAILED_AT, as_utc_text(now), now=now)
        raise
    if failed is not None:
        settings_store.save(FAILED_AT, None, now=now)
    for old in [backup for backup in list_backups() if backup.kind == SCHEDULED][current.keep :]:
        _path(old.name).unlink(missing_ok=True)
    return made


def back_up(kind: str = MANUAL, *, now: datetime, actor: Actor = SYSTEM) -> LocalBackup:
    """Create a verified backup of the current state.

    Raises Refused (500, 501 on PostgreSQL).

    A backup that fails the check of SQLite is deleted.
    """
    source = database_file()
    target = folder() / f"duplistatus-{kind}-{now.astimezone(UTC):{STAMP}}.db"
    draft = target.with_suffix(DRAFT)
    try:
        _require_space(source, target.parent)
        for leftover in target.parent.glob(f"*{DRAFT}*"):  # left by a process that was killed
            leftover.unlink()
        copy_database(source, draft)
        _check(draft)
        draft.rename(target)
    except (OSError, sqlite3.Error) as error:
        draft.unlink(missing_ok=True)
        failed = {"format": "db", "kind": kind, "error": str(error)}
        record_failure("database_backup", failed, actor=actor, now=now)
        raise Refused("local_backup_failed", reason=str(error)) from error
    made = LocalBackup(target.name, kind, now, target.stat().st_size)
    details = {"format": "db", "filename": made.name, "size": made.size_bytes, "kind": kind}
    record_entry("database_backup", "system", now=now, actor=actor, details=details)
    return made


def list_backups() -> list[LocalBackup]:
    """Return all backups, newest first."""
    found = (_read(path) for directory in _folders() for path in directory.glob("*.db"))
    return sorted(filter(None, found), key=lambda backup: (backup.made_at, backup.name), reverse=True)


def find_backup(name: str) -> LocalBackup:
    """Return a backup by name. Raises Refused (404)."""
    backup = next((backup for backup in list_backups() if backup.name == name), None)
    if backup is None:
        raise Refused("database_backup_not_found")
    return backup


def open_backup(name: str, *, actor: Actor, now: datetime) -> BinaryIO:
    """Open a backup for download, which is audited. Raises Refused (404)."""
    backup = find_backup(name)
    details = {
        "format": "db",
        "filename": backup.name,
        "size": backup.size_bytes,
        "kind": backup.kind,
        "downloaded": True,
    }
    record_entry("database_backup", "system", now=now, actor=actor, details=details)
    return _path(backup.name).open("rb")


def delete_backup(name: str, *, actor: Actor, now: datetime) -> None:
    """Delete a backup. Raises Refused (404)."""
    backup = find_backup(name)
    _path(backup.name).unlink(missing_ok=True)
    details = {"filename": backup.name, "size": backup.size_bytes, "kind": backup.kind}
    record_entry("database_backup_deleted", "system", now=now, actor=actor, details=details)


def restore_backup(name: str, *, actor: Actor, now: datetime, accepts_lost_tables: bool = False) -> Restored:
    """Restore a backup, as `restore.restore` does with an uploaded file.

    Raises Refused.
    """
    return restore.restore(path_of(name), name, actor=actor, now=now, accepts_lost_tables=accepts_lost_tables)


def path_of(name: str) -> Path:
    """Return the path of a backup. Raises Refused (404)."""
    return _path(find_backup(name).name)


def folder() -> Path:
    """Return the directory of backups, created with private permissions."""
    directory, _safety = _folders()
    directory.mkdir(exist_ok=True, mode=0o700)
    return directory


def _folders() -> tuple[Path, Path]:
    """Return the directories of both sorts, without creating them."""
    return settings().data_dir / FOLDER, settings().data_dir / COPIES


def _path(name: str) -> Path:
    """Return the path of a backup; only for names returned by `find_backup`."""
    return next(directory / name for directory in _folders() if (directory / name).is_file())


def _read(path: Path) -> LocalBackup | None:
    """Return a file as a backup; None if it is not one, or is just being deleted."""
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


def _require_space(source: Path, target: Path) -> None:
    if not has_space_for(source, target):
        raise OSError("there is not enough free disk space")


def _check(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()
        # SQLite accepts an empty file; this one must have our schema.
        is_ours = connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    if found != ("ok",) or not is_ours:
        raise OSError("the backup failed its integrity check")
