"""How much room the disks have that we write to."""

import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flask import current_app

from app.core.db.extensions import db
from app.core.db.faults import DATABASE_ERRORS
from app.core.settings import store as settings_store
from app.database.backup import database_file

# Below this a disk counts as full, in the answers of `/api/health` and for the doctor.
LEAST_FREE_BYTES = 200 * 1024 * 1024
# On a small volume this share of it counts instead.
LEAST_FREE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The free space of the disk that holds a folder, for users other than root."""

    folder: Path
    free_bytes: int
    total_bytes: int

    @property
    def is_short(self) -> bool:
        """Whether writing may soon fail."""
        return self.free_bytes < min(LEAST_FREE_BYTES, self.total_bytes * LEAST_FREE_SHARE)


def measure_disk(folder: Path) -> DiskSpace:
    """Return the free space of the disk that holds a folder. Raises OSError."""
    usage = shutil.disk_usage(folder)
    return DiskSpace(folder, usage.free, usage.total)


def measure_disks(data_dir: Path) -> Iterator[DiskSpace]:
    """Return the free space of the data directory, and of the folder of temporary files, which takes large uploads."""
    for folder in (data_dir, Path(tempfile.gettempdir())):
        try:
            yield measure_disk(folder)
        except OSError:  # said elsewhere: a folder that is not there cannot be written either
            continue


# Whether the pages of a SQLite file are whole, looked at without holding anybody up.

log = logging.getLogger(__name__)

# The setting that holds what the newest daily check found.
FAILURE = "integrity_failure"
# What was seen since the start, in case nothing can be written any more.
SEEN = "duplistatus.database_damage"
# A file of this size is read in a fraction of a second.
SMALL_BYTES = 32 * 1024 * 1024


def find_damage(path: Path) -> str:
    """Return the first damage of a SQLite file, empty when it is whole; others may read and write meanwhile.

    Raises sqlite3.Error for a file that cannot be read at all.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
        text = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return "" if text == "ok" else text.splitlines()[-1]


def check_damage(now: datetime) -> str | None:
    """Look through the whole file and keep what was found; returns the damage, None on PostgreSQL.

    Raises what `configuration.save` does when not even that can be stored: the damage is then known in memory.
    """
    if db.engine.dialect.name != "sqlite":
        return None
    try:
        damage = find_damage(database_file())
    except sqlite3.DatabaseError as error:
        damage = str(error)
    note_damage(damage)
    if damage:
        log.error("the database file is damaged: %s", damage)
    kept = {"at": now.isoformat(), "damage": damage} if damage else None
    if kept or settings_store.get(FAILURE):
        settings_store.save(FAILURE, kept, now=now)
    return damage


def note_damage(damage: str) -> None:
    """Remember damage that was met, until a check finds the file whole; an empty text says that it is."""
    current_app.extensions[SEEN] = damage


def known_damage() -> str:
    """Return the damage that is known of, empty where there is none; a small file is looked through for it."""
    if db.engine.dialect.name == "sqlite" and _size() <= SMALL_BYTES:
        damage = find_damage(database_file())
        note_damage(damage)
        return damage
    seen: str = current_app.extensions.get(SEEN, "")
    return seen or _stored_damage()


def _size() -> int:
    path = database_file()
    return path.stat().st_size if path.exists() else 0


def _stored_damage() -> str:
    try:
        stored = settings_store.get(FAILURE)
    except DATABASE_ERRORS:  # somebody else says so
        return ""
    return str(stored.get("damage", "")) if isinstance(stored, dict) else ""
