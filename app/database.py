"""Opening the database: engine options, migrations, and the copy that is put aside before they run."""

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import flask_migrate
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import inspect, text
from sqlalchemy.pool import QueuePool

from app.extensions import WRITER, db
from app.file_locks import file_lock
from app.settings import Settings

log = logging.getLogger(__name__)

_HERE = Path(__file__).resolve().parent
# Among the sources where a wheel was installed, beside them in a checkout.
MIGRATIONS = next(filter(Path.is_dir, [_HERE / "migrations"]), _HERE.parent / "migrations")
COPIES_KEPT = 5
# One number for "we start now" among PostgreSQL's advisory locks; any constant of our own will do.
START_LOCK = 0x6475706C
# What that lock is for SQLite: a file in the data directory.
START_LOCK_NAME = ".duplistatus.starting"


def engine_options(settings: Settings) -> dict[str, Any]:
    """Pool options: a connection for each serving thread and some for the jobs."""
    options: dict[str, Any] = {"poolclass": QueuePool, "pool_size": settings.threads + 4, "max_overflow": 8}
    if settings.database.startswith("sqlite"):
        options["connect_args"] = {"check_same_thread": False}
    else:
        options["pool_pre_ping"] = True
    return options


def further_engines(settings: Settings) -> dict[str, Any]:
    """The engine that writes to SQLite, with one connection; PostgreSQL needs none."""
    if not settings.database.startswith("sqlite"):
        return {}
    options = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
    return {WRITER: {"url": settings.database, "connect_args": {"check_same_thread": False}, **options}}


def upgrade(settings: Settings) -> None:
    """Bring the schema to the newest version, within `alone`; a filled SQLite file is copied first."""
    _make_private_file()
    if _current_revision() == _newest_revision():
        return
    if db.engine.dialect.name == "sqlite":
        put_copy_aside(settings, "migration")
    flask_migrate.upgrade(directory=str(MIGRATIONS))


@contextmanager
def alone() -> Iterator[None]:
    """Have other processes that start on the same database wait, who would migrate and fill it too."""
    if db.engine.dialect.name == "sqlite":
        with file_lock(current_app.extensions["duplistatus.settings"].data_dir / START_LOCK_NAME):
            yield
        return
    with db.engine.connect() as guard:
        guard.execute(text("SELECT pg_advisory_lock(:key)"), {"key": START_LOCK})
        try:
            yield
        finally:
            guard.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": START_LOCK})


def put_copy_aside(settings: Settings, reason: str) -> Path | None:
    """Copy a filled SQLite database beside itself, consistently while in use; None when there is nothing to lose."""
    source = Path(db.engine.url.database or "")
    if not source.is_file() or not inspect(db.engine).get_table_names():
        return None
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%f")
    folder = settings.data_dir / "copies"
    folder.mkdir(exist_ok=True, mode=0o700)
    if shutil.disk_usage(folder).free < source.stat().st_size * 1.2:
        raise RuntimeError(f"not enough room in {folder} for a safety copy of the database")
    target = folder / f"{source.stem}-before-{reason}-{stamp}.db"
    with sqlite3.connect(source) as original, sqlite3.connect(target) as copy:
        original.backup(copy)
    original.close()
    copy.close()
    target.chmod(0o600)
    log.info("put a copy of the database aside: %s", target.name)
    for old in sorted(folder.glob(f"{source.stem}-before-{reason}-*.db"))[:-COPIES_KEPT]:
        old.unlink()
    return target


def _make_private_file() -> None:
    """Make the SQLite file before SQLite does it: others on the machine could read what that makes."""
    path = Path(db.engine.url.database or "")
    if db.engine.dialect.name == "sqlite" and path.name and not path.exists():
        path.touch(mode=0o600)


def _current_revision() -> str | None:
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _newest_revision() -> str | None:
    config = current_app.extensions["migrate"].migrate.get_config(str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()
