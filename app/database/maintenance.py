"""Weekly maintenance, and the state of the database.

Maintenance deletes orphaned servers, jobs and badges, then compacts.
"""

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
from app.core.db.orm import db, exclusive_writer, writing
from app.core.errors import Refused
from app.database.backup import database_file
from app.database.inspection import VERSION_TABLE
from app.sharing import badges

log = logging.getLogger(__name__)

JOBS, SERVERS = Job.__table__, Server.__table__
# Rewriting the file blocks writers: only if much space is regained.
LEAST_FREE_BYTES = 16 * 1024 * 1024
LEAST_FREE_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class MaintenanceResult:
    """What a maintenance run deleted, and by how much the database file shrank."""

    server_count: int = 0
    job_count: int = 0
    badge_count: int = 0
    freed_bytes: int = 0


def run_maintenance(now: datetime) -> MaintenanceResult:
    """Delete jobs and servers without runs, their settings, and orphaned badges.

    Then compacts the database.
    """
    with writing() as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            # A server whose first report is being stored is not empty, though its rows are not visible yet.
            connection.execute(text("LOCK TABLE servers, jobs IN SHARE ROW EXCLUSIVE MODE"))
        # Dependent rows are deleted by foreign keys, so no orphans can exist.
        has_no_runs = ~exists(select(Run.row_id).where(Run.job_id == JOBS.c.id))
        job_count = connection.execute(delete(JOBS).where(has_no_runs)).rowcount
        has_no_jobs = ~exists(select(JOBS.c.id).where(JOBS.c.server_id == SERVERS.c.id))
        # A server with a stored password is about to be collected from.
        is_of_no_use = (SERVERS.c.encrypted_password == "") & (SERVERS.c.encrypted_headers == "")
        server_count = connection.execute(delete(SERVERS).where(has_no_jobs, is_of_no_use)).rowcount
        session.expire_all()  # loaded objects in sessions do not notice this
        badge_count = badges.drop_unused(now)
        if job_count or server_count or badge_count:
            details = {"servers": server_count, "jobs": job_count, "badges": badge_count}
            record_entry("database_compaction", "system", now=now, details=details)
    return MaintenanceResult(server_count, job_count, badge_count, compact_file())


def compact_file(*, is_wanted: bool = False) -> int:
    """Compact the database file; return by how many bytes it shrank, as far as known.

    A SQLite file is rewritten only if much space is regained, or on request. Raises Refused (500) on request if the
    disk has too little space.
    """
    db.session.commit()
    connection = db.engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        if db.engine.dialect.name == "sqlite":
            # Writers wait for our own lock as long as necessary; the lock of SQLite times out after half a minute.
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
        # The new file and its copy in the write-ahead log each need the used size.
        needed_bytes = 2 * (page_count * page_bytes - free_bytes)
        if shutil.disk_usage(file.parent).free > needed_bytes:
            driver.execute("VACUUM")
            freed_bytes = (page_count - pragma("page_count")[0]) * page_bytes
        elif is_wanted:
            raise Refused("no_room_for_compaction", megabytes=f"{needed_bytes / 1e6:.0f}")
        else:
            log.warning("the database was not compacted: %d free bytes on its disk are required", needed_bytes)
    pragma("wal_checkpoint(TRUNCATE)")
    return freed_bytes


# State of the database: size, reclaimable space, integrity.

DAMAGES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """State of the database.

    `free_bytes` are inside its file and regained by compacting.

    `address` is the URL for the programs of PostgreSQL, without the password.
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
    """Return the state of the database; changes nothing."""
    run_count = db.session.scalar(select(func.sum(Job.run_count))) or 0
    oldest_run_at = db.session.scalar(select(func.min(Run.began_at)))
    entry_count = db.session.scalar(select(func.count()).select_from(AuditEntry)) or 0
    is_sqlite, address = db.engine.dialect.name == "sqlite", ""
    if is_sqlite:
        path = database_file()
        page_bytes, free_count = (db.session.scalar(text(f"PRAGMA {name}")) for name in ("page_size", "freelist_count"))
        wal = path.with_name(f"{path.name}-wal")
        size_bytes = path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
        name, free_bytes = path.name, page_bytes * free_count
    else:
        size_bytes = db.session.scalar(text("SELECT pg_database_size(current_database())"))
        name, free_bytes, address = db.engine.url.database or "", 0, _address_of(db.engine.url)
    return DatabaseState(is_sqlite, name, size_bytes, free_bytes, int(run_count), oldest_run_at, entry_count, address)


def plugin_tables() -> tuple[str, ...]:
    """Return the tables that are not part of our schema."""
    own = {VERSION_TABLE, *db.metadata.tables}
    return tuple(sorted(set(inspect(db.session.connection()).get_table_names()) - own))


def _address_of(url: URL) -> str:
    """Return a URL that `pg_dump` understands, without the name of our driver."""
    options = {name: value for name, value in url.query.items() if name != "password"}
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database, options)
    return plain.render_as_string(hide_password=False)


def check_integrity(*, actor: Actor, now: datetime) -> list[Refused]:
    """Run the integrity check of SQLite; return the damage, empty if none.

    Readers and writers continue. Raises Refused (501) on PostgreSQL.
    """
    damages = find_damages(database_file())
    details = {"damages": len(damages)}
    status = "failure" if damages else "success"
    record_entry("database_integrity_check", "system", now=now, actor=actor, details=details, status=status)
    return damages


def find_damages(path: Path) -> list[Refused]:
    """Return the damage of a SQLite file, in SQLite's words or ours.

    Raises sqlite3.Error for an unreadable file.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        found = [text for (text,) in connection.execute(f"PRAGMA integrity_check({DAMAGES_SHOWN})")]
        orphans = connection.execute('SELECT "table", count(*) FROM pragma_foreign_key_check GROUP BY 1').fetchall()
    damages = [] if found == ["ok"] else [Refused("damage_of_file", text=text) for text in found]
    return damages + [Refused("rows_without_parent", count=count, table=table) for table, count in orphans]


def compact(*, actor: Actor, now: datetime) -> int:
    """Rewrite the file without free pages; writers wait.

    Returns the number of bytes regained.
    """
    freed_bytes = compact_file(is_wanted=True)
    details = {"freedBytes": freed_bytes}
    record_entry("database_compaction", "system", now=now, actor=actor, details=details)
    return freed_bytes
