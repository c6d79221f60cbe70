"""How the database is: its size, what could be given back, and whether its file is whole."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, func, inspect, select, text

from app.extensions import db
from app.models import AuditEntry, Job, Run
from app.services.audit import Actor, record_entry
from app.services.database_backup import database_file
from app.services.database_inspection import VERSION_TABLE
from app.services.tidying import compact_file

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


def describe() -> DatabaseState:
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
