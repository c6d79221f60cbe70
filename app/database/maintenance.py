"""The weekly clean-up: what nothing refers to any more goes, and the database gives back what it does not use."""

import logging
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, delete, exists, func, inspect, select, text

from app.audit.log import Actor, AuditEntry, record_entry
from app.backups.models import Job, Run, Server
from app.core.db.extensions import db
from app.core.db.transaction import exclusive_writer, writing
from app.database.backup import database_file
from app.database.inspection import VERSION_TABLE
from app.plugin import AppError
from app.sharing import badges

log = logging.getLogger(__name__)

JOBS, SERVERS = Job.__table__, Server.__table__
# To write the file anew holds up whoever writes: only where much is won.
LEAST_FREE_BYTES = 16 * 1024 * 1024
LEAST_FREE_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Tidied:
    """What a clean-up removed, and by how much the database file shrank."""

    server_count: int = 0
    job_count: int = 0
    badge_count: int = 0
    freed_bytes: int = 0


def tidy_database(now: datetime) -> Tidied:
    """Remove jobs and servers without runs, with their settings, and badges of what is gone; then compact."""
    with writing() as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            # A server that gets its first report just now is not empty, though nothing of that can be seen yet.
            connection.execute(text("LOCK TABLE servers, jobs IN SHARE ROW EXCLUSIVE MODE"))
        # Rows below them go along: the database holds to its foreign keys, so nothing is ever orphaned.
        has_no_runs = ~exists(select(Run.row_id).where(Run.job_id == JOBS.c.id))
        job_count = connection.execute(delete(JOBS).where(has_no_runs)).rowcount
        has_no_jobs = ~exists(select(JOBS.c.id).where(JOBS.c.server_id == SERVERS.c.id))
        # Somebody who stored a password means to fetch its runs.
        is_of_no_use = (SERVERS.c.encrypted_password == "") & (SERVERS.c.encrypted_headers == "")
        server_count = connection.execute(delete(SERVERS).where(has_no_jobs, is_of_no_use)).rowcount
        session.expire_all()  # mapped objects that somebody holds do not know of it
        badge_count = badges.drop_unused(now)
        if job_count or server_count or badge_count:
            details = {"servers": server_count, "jobs": job_count, "badges": badge_count}
            record_entry("database_compaction", "system", now=now, details=details)
    return Tidied(server_count, job_count, badge_count, compact_file())


def compact_file(*, is_wanted: bool = False) -> int:
    """Have the database look after its file; returns by how many bytes it shrank, as far as that can be told.

    A SQLite file is written anew only where much is won, or when a person wants it. Raises AppError (500) where a
    person wants it and the disk has no room for it.
    """
    db.session.commit()
    connection = db.engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        if db.engine.dialect.name == "sqlite":
            # Held by our own lock, writers wait for as long as it takes; SQLite's would give up after half a minute.
            with exclusive_writer():
                return _compact_sqlite(driver, is_wanted)
        driver.autocommit = True
        try:
            driver.execute("VACUUM (ANALYZE)")
        finally:
            driver.autocommit = False
        return 0
    finally:
        connection.close()


def _compact_sqlite(driver: Any, is_wanted: bool) -> int:
    def pragma(name: str) -> Any:
        return driver.execute(f"PRAGMA {name}").fetchone()

    driver.execute("PRAGMA optimize")
    page_bytes, page_count = pragma("page_size")[0], pragma("page_count")[0]
    free_bytes = pragma("freelist_count")[0] * page_bytes
    freed_bytes = 0
    if is_wanted or free_bytes >= max(LEAST_FREE_BYTES, LEAST_FREE_SHARE * page_count * page_bytes):
        file = Path(driver.execute("PRAGMA database_list").fetchone()[2])
        # The new file and its way through the write-ahead log each take what is in use.
        needed_bytes = 2 * (page_count * page_bytes - free_bytes)
        if shutil.disk_usage(file.parent).free > needed_bytes:
            driver.execute("VACUUM")
            freed_bytes = (page_count - pragma("page_count")[0]) * page_bytes
        elif is_wanted:
            raise AppError(f"Not enough free disk space: compacting needs {needed_bytes / 1e6:.0f} MB", 500)
        else:
            log.warning("the database was not compacted: %d free bytes on its disk are required", needed_bytes)
    pragma("wal_checkpoint(TRUNCATE)")
    return freed_bytes


# How the database is: its size, what could be given back, and whether its file is whole.

DAMAGES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What there is to say of the database; `free_bytes` are within its file and would be given back by compacting.

    `address` is where PostgreSQL's own programs find it, without the password.
    """

    is_sqlite: bool
    name: str
    size_bytes: int
    free_bytes: int
    run_count: int
    oldest_run_at: datetime | None
    audit_entry_count: int
    address: str = ""


def describe_database() -> DatabaseState:
    """Look at the database; changes nothing."""
    run_count = db.session.scalar(select(func.sum(Job.run_count))) or 0
    oldest_run_at = db.session.scalar(select(func.min(Run.began_at)))
    entry_count = db.session.scalar(select(func.count()).select_from(AuditEntry)) or 0
    is_sqlite, address = db.engine.dialect.name == "sqlite", ""
    if is_sqlite:
        path = database_file()
        page_bytes, free_count = (db.session.scalar(text(f"PRAGMA {name}")) for name in ("page_size", "freelist_count"))
        beside = path.with_name(f"{path.name}-wal")
        size_bytes = path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
        name, free_bytes = path.name, page_bytes * free_count
    else:
        size_bytes = db.session.scalar(text("SELECT pg_database_size(current_database())"))
        name, free_bytes, address = db.engine.url.database or "", 0, _address_of(db.engine.url)
    return DatabaseState(is_sqlite, name, size_bytes, free_bytes, int(run_count), oldest_run_at, entry_count, address)


def plugin_tables() -> tuple[str, ...]:
    """The tables that are none of ours."""
    own = {VERSION_TABLE, *db.metadata.tables}
    return tuple(sorted(set(inspect(db.session.connection()).get_table_names()) - own))


def _address_of(url: URL) -> str:
    """An address as `pg_dump` reads it: it knows nothing of our driver."""
    options = {name: value for name, value in url.query.items() if name != "password"}
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database, options)
    return plain.render_as_string(hide_password=False)


def check_integrity(*, actor: Actor, now: datetime) -> list[str]:
    """Have SQLite go through its whole file; gives what is wrong with it, nothing when all is well.

    Others may read and write meanwhile. Raises AppError (501) on PostgreSQL.
    """
    damages = find_damages(database_file())
    details = {"damages": len(damages)}
    status = "failure" if damages else "success"
    record_entry("database_integrity_check", "system", now=now, actor=actor, details=details, status=status)
    return damages


def find_damages(path: Path) -> list[str]:
    """What is wrong with a SQLite file, in words of SQLite or ours. Raises sqlite3.Error for what cannot be read."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        found = [text for (text,) in connection.execute(f"PRAGMA integrity_check({DAMAGES_SHOWN})")]
        orphans = connection.execute('SELECT "table", count(*) FROM pragma_foreign_key_check GROUP BY 1').fetchall()
    damages = [] if found == ["ok"] else [str(text) for text in found]
    return damages + [f"{count} rows of {table} belong to nothing" for table, count in orphans]


def compact(*, actor: Actor, now: datetime) -> int:
    """Write the file anew without what it does not use, whoever writes has to wait; returns how many bytes were won."""
    freed_bytes = compact_file(is_wanted=True)
    details = {"freedBytes": freed_bytes}
    record_entry("database_compaction", "system", now=now, actor=actor, details=details)
    return freed_bytes
