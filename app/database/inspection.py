"""Rebuild an untrusted database file as a trusted one.

Its schema is never used: our migrations create an empty database of the same version, plain values of plain tables are
copied, and each is checked against its column. So triggers, views, unknown tables and invalid values are not taken
over.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.util import CommandError
from flask import current_app
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine

from app.core.db.engine import is_known
from app.core.db.orm import Instant, Json, UuidText, db
from app.core.errors import Refused
from app.database import stored_values
from app.database.backup import quoted

VERSION_TABLE = "alembic_version"
# What plugins may have besides tables, and what is never restored.
NO_TABLES = """
    SELECT name FROM present.sqlite_master WHERE type IN ('view', 'trigger') OR (type = 'table' AND rootpage = 0)
"""
# The end of the year 9989, so that time zones and waits can be added without overflow.
LAST_INSTANT_MS = 253_086_767_999_999
LONGEST_VALUE_BYTES = 64 * 1024 * 1024
SCRIPT_TIME_S = 120.0
SCRIPT_PAGES = 500_000
# How often the time limit of a script is checked: a function on large values takes long between two checks.
STEPS_BETWEEN_LOOKS = 1_000
# What a dump needs; everything else in a script is rejected.
ALLOWED = frozenset(
    {
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_REINDEX,
        sqlite3.SQLITE_TRANSACTION,
    }
)
# Failed sign-ins stored in the backup must not lock accounts now, whatever its clock was.
WITHOUT_LOCKS = (
    "UPDATE sign_in_networks SET failed_count = 0, failed_at = NULL, locked_until = NULL",
    "UPDATE users SET failed_login_attempts = 0, locked_until = NULL",
)
LIST_OF_TABLES, PLANNING_TABLE = "sqlite_master", "sqlite_stat1"
# Dumps of the sqlite3 program write line breaks with these.
ALLOWED_FUNCTIONS = frozenset({"replace", "char", "unistr"})


@dataclass(frozen=True, slots=True)
class PluginTables:
    """Tables of plugins: kept ones, ones whose rows are lost, ones only in the backup."""

    kept: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class BadDatabase(Refused):
    """The file is not an acceptable database; the message says why."""


def run_script(script: str, target: Path) -> None:
    """Run the statements of a dump into a new file that can only hold tables.

    Raises BadDatabase.
    """
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA max_page_count = {SCRIPT_PAGES}")
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        # Without a transaction each statement takes the lock again, which cost most of the time.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)
        dump = _Dump()
        connection.set_authorizer(dump)
        connection.set_progress_handler(dump.is_late, STEPS_BETWEEN_LOOKS)
        try:
            connection.executescript(script)
            if connection.in_transaction:
                connection.execute("COMMIT")
        except (sqlite3.Error, ValueError) as error:
            reason = Refused("sql_too_slow") if dump.is_late() else error
            raise BadDatabase("sql_file_unreadable", reason=reason) from error


def check_file(path: Path) -> None:
    """Raise BadDatabase for damaged files and for more than plain tables and indexes."""
    try:
        with closing(_open(path)) as connection:
            _require_tables_alone(connection)
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BadDatabase("file_not_intact") from error
    if found != ("ok",):
        raise BadDatabase("file_fails_integrity_check")


def rebuild(source: Path, target: Path) -> None:
    """Create a database of the newest version from `source`, without its sessions and locks.

    Raises BadDatabase.
    """
    revision = _revision(source)
    migrate(target, revision)
    try:
        _copy_values(source, target)
    except sqlite3.Error as error:
        raise BadDatabase("file_not_duplistatus", reason=str(error)) from error
    migrate(target, "head")
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("DELETE FROM sessions")
        for statement in WITHOUT_LOCKS:
            connection.execute(statement)
        connection.commit()
        try:
            _check_values(connection)
        except sqlite3.Error as error:
            raise BadDatabase("file_values_unreadable", reason=str(error)) from error
        connection.execute("PRAGMA journal_mode = DELETE")
    check_file(target)


def migrate(path: Path, revision: str) -> None:
    """Migrate a database file, which may be new, to a revision of our schema.

    Raises BadDatabase for an unknown one.
    """
    migrations = current_app.extensions["migrate"]
    config = migrations.migrate.get_config(migrations.directory)
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            raise BadDatabase("file_of_newer_version") from error


def copy_plugin_tables(source: Path, rebuilt: Path, present: Path) -> PluginTables:
    """Copy the plugin tables of the present database to the rebuilt one.

    Their schema is that of the present database; their rows are those of the backup if it has a table with the same
    columns, else the present ones. Rows that violate constraints of the restored data cannot be kept.
    """
    with closing(sqlite3.connect(rebuilt.absolute().as_uri(), uri=True, isolation_level=None)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("ATTACH ? AS given", (_read_only(source),))
        connection.execute("ATTACH ? AS present", (f"{present.absolute().as_uri()}?mode=ro",))
        own = _tables(connection, "main") | {VERSION_TABLE}
        given, there = _tables(connection, "given") - own, _tables(connection, "present") - own
        if not _is_known_schema(connection):
            there &= given  # a table of a newer version looks like one of a plugin
        connection.execute("BEGIN")
        kept = {table for table in sorted(there) if _copy_table(connection, table, has_rows=table in given)}
        while dangling := {table for table in kept if _refers_to_nothing(connection, table)}:
            for table in dangling:
                connection.execute(f"DELETE FROM main.{quoted(table)}")  # noqa: S608
            kept -= dangling
        lost = (there - kept) | {name for (name,) in connection.execute(NO_TABLES)}
        connection.execute("COMMIT")
    return PluginTables(tuple(sorted(kept)), tuple(sorted(lost)), tuple(sorted(given - there)))


def _is_known_schema(connection: sqlite3.Connection) -> bool:
    try:
        [(revision,)] = connection.execute(f"SELECT version_num FROM present.{VERSION_TABLE}")  # noqa: S608
    except (sqlite3.Error, ValueError):
        return False
    return is_known(str(revision))


def _copy_table(connection: sqlite3.Connection, table: str, *, has_rows: bool) -> bool:
    """Create a table as in the present database and fill it.

    Returns whether its rows could be copied.
    """
    made = "SELECT sql FROM present.sqlite_master WHERE tbl_name = ? AND type IN ('table', 'index') AND sql IS NOT NULL"
    for (statement,) in connection.execute(f"{made} ORDER BY type DESC", (table,)).fetchall():
        connection.execute(statement)
    columns = _columns(connection, "present", table)
    origin = "given" if has_rows and set(columns) <= set(_columns(connection, "given", table)) else "present"
    names = ", ".join(quoted(name) for name in columns)
    connection.execute("SAVEPOINT filling")
    try:
        connection.execute(
            f"INSERT INTO main.{quoted(table)} ({names}) SELECT {names} FROM {origin}.{quoted(table)}"  # noqa: S608
        )
        for _row in connection.execute(f"SELECT {names} FROM main.{quoted(table)}"):  # noqa: S608 (reading decodes)
            pass
    except sqlite3.Error:
        connection.execute("ROLLBACK TO filling")
        return False
    finally:
        connection.execute("RELEASE filling")
    return True


def _refers_to_nothing(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute(f"PRAGMA main.foreign_key_check({quoted(table)})").fetchone() is not None


def _require_tables_alone(connection: sqlite3.Connection) -> None:
    """Raise BadDatabase for schema objects that make SQLite evaluate expressions.

    Our backups have none.

    Checked before reading any content, since even an integrity check evaluates expressions of the schema.
    """
    for kind, name, rootpage in connection.execute("SELECT type, name, rootpage FROM sqlite_master").fetchall():
        if kind == "table" and rootpage == 0:
            raise BadDatabase("file_with_virtual_table", name=str(name)[:60])
        if kind not in ("table", "index"):
            raise BadDatabase("file_with_object", kind=kind, name=str(name)[:60])
        if kind == "table" and any(
            row[6] for row in connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,))
        ):
            raise BadDatabase("file_with_computed_columns", name=str(name)[:60])
        if kind == "index" and _is_computed(connection, name):
            raise BadDatabase("file_with_computed_index", name=str(name)[:60])


def _is_computed(connection: sqlite3.Connection, index: str) -> bool:
    """Whether an index has expressions, which have the column number -2."""
    if any(row[1] == -2 for row in connection.execute("SELECT * FROM pragma_index_xinfo(?)", (index,))):
        return True
    listed = "SELECT li.partial FROM sqlite_master AS made, pragma_index_list(made.tbl_name) AS li"
    found = connection.execute(f"{listed} WHERE made.name = ? AND li.name = made.name", (index,))
    return any(is_partial for (is_partial,) in found)


class _Dump:
    """Authorizer that allows what a dump needs, for a limited time.

    The limit is checked during a statement and before each, since statements may be short. A dump writes values and
    reads none. SQLite itself reads the columns of tables being created, and the planner statistics if a dump creates
    their table.
    """

    def __init__(self) -> None:
        self._ends_at = time.monotonic() + SCRIPT_TIME_S
        self._made: str | None = None

    def __call__(self, action: int, first: str | None, second: str | None, *_names: str | None) -> int:
        """Return whether an action is allowed, as `sqlite3.set_authorizer` requires."""
        if self.is_late():
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_PRAGMA:
            return sqlite3.SQLITE_IGNORE
        return sqlite3.SQLITE_OK if self._allows(action, first, second) else sqlite3.SQLITE_DENY

    def is_late(self) -> bool:
        """Whether the time limit is exceeded."""
        return time.monotonic() > self._ends_at

    def _allows(self, action: int, first: str | None, second: str | None) -> bool:
        if action == sqlite3.SQLITE_FUNCTION:
            return second in ALLOWED_FUNCTIONS
        if action in (sqlite3.SQLITE_READ, sqlite3.SQLITE_UPDATE):
            return first == LIST_OF_TABLES or (action == sqlite3.SQLITE_READ and first == self._made)
        if action == sqlite3.SQLITE_CREATE_TABLE:
            self._made = first
        elif action == sqlite3.SQLITE_CREATE_INDEX:
            self._made = second
        elif first != LIST_OF_TABLES and not (action == sqlite3.SQLITE_SELECT and self._made == PLANNING_TABLE):
            self._made = None
        return action in ALLOWED


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(_read_only(path), uri=True)
    connection.execute("PRAGMA trusted_schema = OFF")
    # CHECK constraints of the other schema are not evaluated; ours apply when the values are copied.
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)
    return connection


def _read_only(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


def _revision(path: Path) -> str:
    """Return the version stored in the file."""
    try:
        with closing(_open(path)) as connection:
            tables = _tables(connection, "main")
            if VERSION_TABLE not in tables:
                is_old = "backups" in tables and bool(tables & {"servers", "machines"})
                raise BadDatabase("file_of_original" if is_old else "file_not_a_backup")
            rows = connection.execute(f"SELECT version_num FROM {VERSION_TABLE} LIMIT 2").fetchall()  # noqa: S608
    except sqlite3.Error as error:
        raise BadDatabase("file_not_a_backup") from error
    # Letters and digits only: Alembic accepts more than revision names, such as steps and branches.
    if len(rows) != 1 or not isinstance(rows[0][0], str) or not rows[0][0].isalnum() or rows[0][0] == "head":
        raise BadDatabase("file_not_a_backup")
    return str(rows[0][0])


def _tables(connection: sqlite3.Connection, schema: str) -> set[str]:
    """Return ordinary tables, without views and virtual tables."""
    made = f"SELECT name FROM {schema}.sqlite_master WHERE type = 'table' AND rootpage > 0"  # noqa: S608
    return {name for (name,) in connection.execute(made) if not name.startswith("sqlite_")}


def _columns(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({quoted(table)})")]


def _copy_values(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(f"{target.absolute().as_uri()}", uri=True, isolation_level=None)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("ATTACH ? AS given", (_read_only(source),))
        given = _tables(connection, "given")
        connection.execute("BEGIN")
        for table in sorted(_tables(connection, "main") - {VERSION_TABLE}):
            columns = _columns(connection, "main", table)
            missing = set(columns) - set(_columns(connection, "given", table)) if table in given else set(columns)
            if missing:
                raise BadDatabase("file_without_columns", table=table, columns=", ".join(sorted(missing)))
            names = ", ".join(f'"{name}"' for name in columns)
            connection.execute(f'DELETE FROM main."{table}"')  # noqa: S608 (names of our own schema, here and below)
            connection.execute(f'INSERT INTO main."{table}" ({names}) SELECT {names} FROM given."{table}"')  # noqa: S608
        connection.execute("COMMIT")
        if connection.execute("PRAGMA main.foreign_key_check").fetchone() is not None:
            raise BadDatabase("file_with_dangling_rows")


def _check_values(connection: sqlite3.Connection) -> None:
    """Check every value against the type of its column, and that an administrator can sign in."""
    for table in db.metadata.sorted_tables:
        wrong = " OR ".join(f'NOT ("{column.name}" IS NULL OR {_claim(column)})' for column in table.columns)
        if connection.execute(f'SELECT 1 FROM "{table.name}" WHERE {wrong} LIMIT 1').fetchone():  # noqa: S608
            raise BadDatabase("file_with_wrong_types", table=table.name, column=_wrong_column(connection, table))
        texts = [f'"{column.name}"' for column in table.columns if isinstance(_stored(column.type), sa.String)]
        if texts:  # fetching decodes, so invalid text is found here and not by the first reader
            for _row in connection.execute(f'SELECT {", ".join(texts)} FROM "{table.name}"'):  # noqa: S608
                pass
    if connection.execute("SELECT 1 FROM users WHERE is_admin LIMIT 1").fetchone() is None:
        raise BadDatabase("file_without_administrator")
    stored_values.check(connection)


def _wrong_column(connection: sqlite3.Connection, table: sa.Table) -> str:
    """Return the name of the column with invalid values."""
    for column in table.columns:
        wrong = f'NOT ("{column.name}" IS NULL OR {_claim(column)})'
        if connection.execute(f'SELECT 1 FROM "{table.name}" WHERE {wrong} LIMIT 1').fetchone():  # noqa: S608
            return column.name
    return ""


def _claim(column: sa.Column[object]) -> str:
    """Return the SQL condition for valid values of a column."""
    name = f'"{column.name}"'
    if isinstance(column.type, Instant):
        return f"(typeof({name}) = 'integer' AND {name} BETWEEN 0 AND {LAST_INSTANT_MS})"
    if isinstance(column.type, Json):
        return f"(typeof({name}) = 'text' AND json_valid({name}))"
    if isinstance(column.type, UuidText):
        return f"(typeof({name}) = 'blob' AND length({name}) = 16)"
    return f"typeof({name}) IN ({', '.join(_storage_classes(_stored(column.type)))})"


def _storage_classes(kind: TypeEngine[object]) -> Iterator[str]:
    if isinstance(kind, sa.String):
        yield "'text'"
    elif isinstance(kind, sa.LargeBinary):
        yield "'blob'"
    else:
        yield "'integer'"
        if isinstance(kind, sa.Float):
            yield "'real'"


def _stored(kind: TypeEngine[object]) -> TypeEngine[object]:
    return kind.impl_instance if isinstance(kind, sa.TypeDecorator) else kind
