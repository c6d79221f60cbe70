"""Opening and closing the database: engine options, migrations, safety backup."""

import fcntl
import logging
import os
import re
import shutil
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import flask_migrate
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from app import runtime
from app.config import Settings
from app.core.db.orm import WRITER, Base, ExactCache, db
from app.core.logs import LOCK_FLAGS, file_lock
from app.runtime import runtime_of

log = logging.getLogger(__name__)

_APP = Path(__file__).resolve().parents[2]
# Among the sources in an installed wheel, beside them in a checkout.
MIGRATIONS = next(filter(Path.is_dir, [_APP / "migrations"]), _APP.parent / "migrations")
COPIES, TEMPORARY = "copies", "temp"
DRAFT = ".unfinished"
COPIES_KEPT = 5
STAMP = "%Y-%m-%dT%H-%M-%S-%f"
# Safety backups in COPIES, named by the revision of the schema, the reason and the time. Older names have the
# revision further back, or none. It comes first because earlier versions delete all but the last five files whose
# names begin with the name of the database and the reason, whatever their revision.
COPY_NAME = re.compile(
    r"(?:schema-(?P<revision>[0-9A-Za-z]+)-)?[\w.-]+?-(?P<kind>safety-backup|before-[a-z]+)-"
    r"(?:(?P<former_revision>[0-9A-Za-z]+)-)?(?P<stamp>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9-]{15})\.db"
)
# Held (shared) by every process that has the database open, and exclusively by one that replaces its file.
SERVING_LOCK = ".duplistatus.serving"
# Held by the process that checkpoints the write-ahead log when it ends.
CLOSING_LOCK = ".duplistatus.closing"
# Errors of a file or its disk; a traceback would not help.
TEMPORARY_ERRORS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
}
DAMAGES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# Key of the start among PostgreSQL's advisory locks; any constant of our own will do.
START_LOCK = 0x6475706C
# The same lock for SQLite: a file in the data directory.
START_LOCK_NAME = ".duplistatus.starting"


class CannotStart(RuntimeError):
    """The program cannot start.

    The message is one sentence with the reason and the solution. `status` is the exit status: 1 if the cause may
    pass, 2 if another start would fail in the same way.
    """

    def __init__(self, sentence: str, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


def engine_options(settings: Settings) -> dict[str, Any]:
    """Return pool options.

    There is a connection for each serving thread, for each thread of reports, and for the jobs.
    """
    options: dict[str, Any] = {"poolclass": QueuePool, "pool_size": settings.threads + 10, "max_overflow": 8}
    options["hide_parameters"] = True  # logged errors contain no values: they may be secret
    if settings.database.startswith("sqlite"):
        options["connect_args"] = {"check_same_thread": False}
    else:
        options["pool_pre_ping"] = True
    return options


def further_engines(settings: Settings) -> dict[str, Any]:
    """Return options of the engine that writes to SQLite, with one connection.

    None for PostgreSQL.
    """
    if not settings.database.startswith("sqlite"):
        return {}
    options = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "hide_parameters": True}
    return {WRITER: {"url": settings.database, "connect_args": {"check_same_thread": False}, **options}}


def upgrade(settings: Settings) -> None:
    """Migrate the schema to the newest revision.

    A non-empty SQLite file is copied first. The caller holds `startup_lock`. Raise CannotStart, before anything is
    copied, for an unknown revision.
    """
    _make_private_file()
    present = _current_revision()
    if present == _newest_revision():
        return
    if present is not None and not is_known(present):
        raise CannotStart(_newer_sentence(settings, present), status=2)
    if db.engine.dialect.name == "sqlite":
        # One per revision: repeated failing starts add none.
        create_safety_backup(settings, "migration", keep=1)
    flask_migrate.upgrade(directory=str(MIGRATIONS))


@contextmanager
def startup_lock() -> Iterator[None]:
    """Make other processes wait that start on the same database.

    They would migrate and fill it as well.
    """
    if db.engine.dialect.name == "sqlite":
        with file_lock(runtime.settings().data_dir / START_LOCK_NAME):
            yield
        return
    with db.engine.connect() as guard:
        guard.execute(text("SELECT pg_advisory_lock(:key)"), {"key": START_LOCK})
        try:
            yield
        finally:
            guard.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": START_LOCK})


@contextmanager
def readable_errors() -> Iterator[None]:
    """Replace errors of the database's file or server by one sentence.

    Raise CannotStart.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, sqlite3.Error):
            code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
            if code not in TEMPORARY_ERRORS | DAMAGES:
                raise
            name, status = f"file {db.engine.url.database}", 2 if code in DAMAGES else 1
            advice = " (see docs/recovery.md for restoring a backup)" if code in DAMAGES else ""
        elif isinstance(error, DBAPIError) and (error.connection_invalidated or _is_unreachable(cause)):
            name, status, advice = f"server {db.engine.url.host or 'PostgreSQL'}", 1, ""
        else:
            raise
        reason = str(cause).strip().splitlines()[0]
        raise CannotStart(f"the database {name} cannot be used: {reason}{advice}", status) from error


def _is_unreachable(cause: BaseException | None) -> bool:
    """Whether PostgreSQL could not be reached, so that its state is unknown."""
    return type(cause).__name__ == "OperationalError" and getattr(cause, "sqlstate", None) is None


@dataclass
class ServingLock:
    """Releases the lock of this application on `SERVING_LOCK`; None if it has none."""

    release: Callable[[], object] | None = None


def mark_open(app: Flask, settings: Settings) -> None:
    """Mark the database as open for other processes, until the application is closed.

    The first process removes files that killed processes left. Raise CannotStart while a restore replaces the file.
    """
    handle = os.open(settings.data_dir / SERVING_LOCK, LOCK_FLAGS, 0o644)
    runtime_of(app).part(ServingLock).release = weakref.finalize(app, os.close, handle)
    if _try_lock(handle, fcntl.LOCK_EX):
        _remove_stale_files(settings)
    # Another process that starts now may hold the exclusive lock for a moment, to do the same.
    for _turn in range(100):
        if _try_lock(handle, fcntl.LOCK_SH):
            return
        time.sleep(0.1)
    raise CannotStart("a backup is being restored; start again when it is finished")


def _try_lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_stale_files(settings: Settings) -> None:
    """Remove incomplete files of a backup or restore of a killed process.

    No other process runs.
    """
    drafts = (folder.glob(f"*{DRAFT}*") for folder in (settings.data_dir, settings.data_dir / COPIES))
    left = [*(settings.data_dir / TEMPORARY).glob("*"), *chain(*drafts)]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if left:
        log.info("removed %d temporary files left by a killed process", len(left))


@contextmanager
def exclusive_access(folder: Path) -> Iterator[None]:
    """Keep servers and other commands out of a data directory.

    Raise CannotStart if its database is open.
    """
    handle = os.open(folder / SERVING_LOCK, LOCK_FLAGS, 0o644)
    try:
        if not _try_lock(handle, fcntl.LOCK_EX):
            raise CannotStart(f"duplistatus runs on {folder}: stop it first")
        yield
    finally:
        os.close(handle)


def close(app: Flask, *, is_quiet: bool = False) -> None:
    """Close the database. `is_quiet` means that no other thread can be using it.

    The last connection of SQLite writes the write-ahead log into the file and removes the log.
    """
    close_connections(app, is_quiet=is_quiet)
    if is_quiet:
        checkpoint(app, timeout_s=5)
    if release := runtime_of(app).part(ServingLock).release:
        release()


def close_connections(app: Flask, *, is_quiet: bool = False) -> None:
    """Close the connections that are not in use; the next use opens new ones.

    See `close`.
    """
    with app.app_context():
        db.session.remove()
        cache = runtime_of(app).take(ExactCache)
        if cache is not None and is_quiet:  # else a thread may be using it; it closes when that thread is done
            cache.close()
        for engine in db.engines.values():
            engine.dispose()


def checkpoint(app: Flask, *, timeout_s: float) -> None:
    """Checkpoint SQLite's write-ahead log, even if another process uses the file."""
    with app.app_context():
        url = db.engine.url
    if url.get_backend_name() != "sqlite":
        return
    turn = file_lock(runtime_of(app).config.data_dir / CLOSING_LOCK)
    try:
        existing = f"{Path(url.database or '').absolute().as_uri()}?mode=rw"
        # Two processes that close at the same time would each see the other one as still using the database.
        with turn, closing(sqlite3.connect(existing, uri=True, timeout=timeout_s)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (sqlite3.Error, OSError) as error:  # nothing is lost: the next start reads the log
        log.warning("the database could not be optimized at shutdown: %s", error)


def create_safety_backup(settings: Settings, reason: str, *, keep: int | None = None) -> Path | None:
    """Make a safety backup of a non-empty SQLite database.

    None if there is nothing to back up. The newest `keep` of each revision are kept. Raise CannotStart if the disk is
    full.
    """
    source = Path(db.engine.url.database or "")
    if not source.is_file() or not inspect(db.engine).get_table_names():
        return None
    folder = settings.data_dir / COPIES
    folder.mkdir(exist_ok=True, mode=0o700)
    if not has_space_for(source, folder):
        raise CannotStart(f"not enough free space in {folder} for a safety backup of the database")
    made = keep_copy(source, folder, f"before-{reason}", datetime.now(UTC), COPIES_KEPT if keep is None else keep)
    log.info("created a safety backup of the database: %s", made.name)
    return made


def has_space_for(source: Path, folder: Path) -> bool:
    """Whether a copy of a file fits into a folder."""
    return shutil.disk_usage(folder).free >= source.stat().st_size * 1.2


def keep_copy(source: Path, folder: Path, kind: str, now: datetime, keep: int) -> Path:
    """Copy a database into a folder of safety backups.

    Delete all but the newest of this kind and revision.
    """
    stamp = f"{now.astimezone(UTC):{STAMP}}"
    draft = folder / f"{source.stem}-{kind}-{stamp}{DRAFT}"
    copy_database(source, draft)
    revision = revision_of(draft)
    made = draft.rename(folder / f"schema-{revision or 'unknown'}-{source.stem}-{kind}-{stamp}.db")
    found = [(match, path) for path in folder.glob("*.db") if (match := COPY_NAME.fullmatch(path.name))]
    own = sorted((match["stamp"], path) for match, path in found if match["kind"] == kind)
    for _stamp, old in [each for each in own if revision_of(each[1]) == revision][:-keep]:
        old.unlink(missing_ok=True)
    return made


def copy_database(source: Path, target: Path) -> None:
    """Copy a database into one file, consistently while it is in use."""
    target.touch(mode=0o600)
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")


def revision_of(path: Path) -> str | None:
    """Return the schema revision of a SQLite file that nobody writes to.

    None if it has none.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            [(revision,)] = connection.execute("SELECT version_num FROM alembic_version LIMIT 2")
    except (sqlite3.Error, ValueError):
        return None
    return revision if isinstance(revision, str) and revision.isascii() and revision.isalnum() else None


def is_known(revision: str) -> bool:
    """Whether this version has the migration for a revision."""
    return revision in {script.revision for script in _scripts().walk_revisions()}


def _newer_sentence(settings: Settings, present: str) -> str:
    sentence = f"the database was created by a newer version of duplistatus (schema {present}, this version supports "
    sentence += f"{_newest_revision()} at most): install that version"
    if db.engine.dialect.name != "sqlite":
        return f"{sentence}, or restore a dump from before the upgrade"
    return f"{sentence}, or restore a safety backup of {settings.data_dir / COPIES} with `duplistatus restore FILE`"


def _make_private_file() -> None:
    """Create the SQLite file with private permissions.

    SQLite would make it readable for others.
    """
    path = Path(db.engine.url.database or "")
    if db.engine.dialect.name == "sqlite" and path.name and not path.exists():
        path.touch(mode=0o600)


def _current_revision() -> str | None:
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@cache
def _newest_revision() -> str | None:
    """Return the revision of this version; reading the migrations takes 5 ms, so it happens once per process."""
    return _scripts().get_current_head()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(current_app.extensions["migrate"].migrate.get_config(str(MIGRATIONS)))


# Comparison of the tables with the models
#
# The revision alone is not enough: a migration may have been changed after it ran.

DIFFERENCES_NAMED = 5


def find_differences(connection: Connection) -> list[str]:
    """Return what would break this version, such as `jobs.note is missing`."""
    inspector = inspect(connection)
    present = set(inspector.get_table_names())
    found: list[str] = []
    for table in _own_tables():
        if table.name not in present:
            found.append(f"table {table.name} is missing")
            continue
        found += _differences(table, {column["name"]: column for column in inspector.get_columns(table.name)})
    return found


def name_differences(differences: list[str]) -> str:
    """Return the first difference, and the number of the others."""
    more = len(differences) - DIFFERENCES_NAMED
    return ", ".join(differences[:DIFFERENCES_NAMED]) + (f" and {more} more" if more > 0 else "")


def log_differences() -> bool:
    """Log differences between the tables and the models; return whether there are any."""
    with db.engine.connect() as connection:
        differences = find_differences(connection)
    if differences:
        log.error(
            "The database schema differs from what this version requires, although its migrations have run: %s. "
            "Restore a backup from before the upgrade, or install the version that the database was used with.",
            name_differences(differences),
        )
    return bool(differences)


def _own_tables() -> list[Table]:
    """Return the tables of our models; plugins check their own."""
    own = {mapper.class_ for mapper in Base.registry.mappers if mapper.class_.__module__.startswith("app.")}
    return sorted((model.__table__ for model in own), key=lambda table: table.name)


def _differences(table: Table, present: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for column in table.columns:
        if column.name not in present:
            yield f"{table.name}.{column.name} is missing"
        elif column.nullable and not present[column.name]["nullable"]:
            yield f"{table.name}.{column.name} is NOT NULL"
    for name, known in present.items():
        # Every insert would fail.
        if name not in table.columns and not known["nullable"] and known["default"] is None:
            yield f"{table.name}.{name} is unknown and NOT NULL"
