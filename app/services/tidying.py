"""The weekly clean-up: what nothing refers to any more goes, and the database gives back what it does not use."""

import logging
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, exists, select, text

from app.contracts.errors import AppError
from app.extensions import db
from app.models import Job, Run, Server
from app.services import badges
from app.services.audit import record_entry
from app.services.transaction import without_writers, writing

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
            with without_writers():
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
            raise AppError(f"Compacting would take {needed_bytes / 1e6:.0f} MB of free disk, which are not there", 500)
        else:
            log.warning("the database is not compacted: that would take %d free bytes on its disk", needed_bytes)
    pragma("wal_checkpoint(TRUNCATE)")
    return freed_bytes
