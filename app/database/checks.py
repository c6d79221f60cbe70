"""Checks of disk space and of the integrity of the SQLite file."""

import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from marshmallow import fields

from app import runtime
from app.core.db.faults import DATABASE_ERRORS
from app.core.db.orm import db
from app.core.settings import store as settings_store
from app.core.settings.declarations import Exact, Setting, check_instant, declare
from app.database.backup import database_file


class IntegrityFailureValue(Exact):
    """Result of the latest check of the database file."""

    at = fields.String(required=True, validate=check_instant)
    damage = fields.String(required=True)


INTEGRITY_FAILURE = declare(
    Setting("integrity_failure", dict, default=None, shape=fields.Nested(IntegrityFailureValue))
)


# Below this a disk counts as full, in `/api/health` and for the doctor.
LEAST_FREE_BYTES = 200 * 1024 * 1024
# On a small disk this share of it applies instead.
LEAST_FREE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Free space of the disk of a folder, for users other than root."""

    folder: Path
    free_bytes: int
    total_bytes: int

    @property
    def is_short(self) -> bool:
        """Whether writing may fail soon."""
        return self.free_bytes < min(LEAST_FREE_BYTES, self.total_bytes * LEAST_FREE_SHARE)


def measure_disk(folder: Path) -> DiskSpace:
    """Return the free space of the disk that holds a folder. Raises OSError."""
    usage = shutil.disk_usage(folder)
    return DiskSpace(folder, usage.free, usage.total)


def measure_disks(data_dir: Path) -> Iterator[DiskSpace]:
    """Return the free space of the data directory and of the folder of temporary files.

    Large uploads are stored in the latter.
    """
    for folder in (data_dir, Path(tempfile.gettempdir())):
        try:
            yield measure_disk(folder)
        except OSError:  # a missing folder is reported by the write check
            continue


# Integrity of the SQLite file, checked without blocking readers or writers.

log = logging.getLogger(__name__)

# Setting that holds the result of the latest daily check.
FAILURE = "integrity_failure"
# A file of this size is read in a fraction of a second.
SMALL_BYTES = 32 * 1024 * 1024


@dataclass
class SeenDamage:
    """Damage that was found since the start, in case nothing can be written; blank for none."""

    text: str = ""


def find_damage(path: Path) -> str:
    """Return the first damage of a SQLite file, empty if intact.

    Readers and writers continue.

    Raises sqlite3.Error for a file that cannot be read at all.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
        text = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return "" if text == "ok" else text.splitlines()[-1]


def check_damage(now: datetime) -> str | None:
    """Check the whole file and store the result.

    Returns the damage, None on PostgreSQL.

    Raises the errors of `store.put` if the result cannot be stored: the damage is then known in memory.
    """
    if db.engine.dialect.name != "sqlite":
        return None
    try:
        damage = find_damage(database_file())
    except sqlite3.DatabaseError as error:
        damage = str(error)
    record_damage(damage)
    if damage:
        log.error("the database file is damaged: %s", damage)
    stored = {"at": now.isoformat(), "damage": damage} if damage else None
    if stored or settings_store.get(FAILURE):
        settings_store.save(FAILURE, stored, now=now)
    return damage


def record_damage(damage: str) -> None:
    """Store damage that was found, until a check finds the file intact.

    An empty text means intact.
    """
    runtime.part(SeenDamage).text = damage


def known_damage() -> str:
    """Return the known damage, empty if none; small files are checked for it."""
    if db.engine.dialect.name == "sqlite" and _size() <= SMALL_BYTES:
        damage = find_damage(database_file())
        record_damage(damage)
        return damage
    return runtime.part(SeenDamage).text or _stored_damage()


def _size() -> int:
    path = database_file()
    return path.stat().st_size if path.exists() else 0


def _stored_damage() -> str:
    try:
        stored = settings_store.get(FAILURE)
    except DATABASE_ERRORS:  # the writer reports it
        return ""
    return str(stored.get("damage", "")) if isinstance(stored, dict) else ""
