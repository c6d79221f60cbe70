"""Read the database of an older installation without modifying it or running code in it."""

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from app.core.errors import Refused, dump_refusal
from app.database import secrets

MOST_REMARKS = 200


@dataclass(slots=True)
class Count:
    """Numbers of rows of one type in the old database.

    `known` ones existed here already; `left` ones could not be imported, and a remark says why.
    """

    found: int = 0
    taken: int = 0
    known: int = 0
    left: int = 0


@dataclass(slots=True)
class ImportReport:
    """Report of one import.

    `remarks` maps English sentences to their number of occurrences, in order; `details` has their codes and
    parameters, as `dump_refusal` writes them.
    """

    schema_version: str
    counts: dict[str, Count] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)
    details: dict[str, dict[str, Any]] = field(default_factory=dict)

    def count(self, kind: str) -> Count:
        """Return the count of a type, such as `runs`."""
        return self.counts.setdefault(kind, Count())

    def remark(self, remark: Refused, times: int = 1) -> None:
        """Add a remark; of very many different ones only the first are kept."""
        if remark.message not in self.remarks and len(self.remarks) >= MOST_REMARKS:
            remark = Refused("further_remarks")
        sentence = remark.message
        if sentence not in self.details:
            self.details[sentence] = dump_refusal(remark)
        self.remarks[sentence] += times

    def leave(self, kind: str, reason: Refused) -> None:
        """Count a skipped item and add a remark with the reason."""
        self.count(kind).left += 1
        self.remark(reason)

    def as_mapping(self) -> dict[str, Any]:
        """Return the report as JSON."""
        counts = {kind: asdict(count) for kind, count in self.counts.items()}
        return {
            "schema_version": self.schema_version,
            "counts": counts,
            "remarks": dict(self.remarks),
            "details": self.details,
        }

    @property
    def imported_count(self) -> int:
        """Return the number of imported items; 0 means that the import changed nothing."""
        return sum(count.taken for count in self.counts.values())


def read_report(stored: Mapping[str, Any]) -> ImportReport:
    """Read a report from JSON."""
    counts = {kind: Count(**count) for kind, count in stored["counts"].items()}
    return ImportReport(stored["schema_version"], counts, Counter(stored["remarks"]), stored.get("details", {}))


# Only plain values of plain tables are read, by name, under an authorizer that allows nothing but reading. Views,
# virtual tables and computed columns, which could make SQLite run an attacker's expressions, are rejected.

OLD_NAME = "backups.db"
HEADER = b"SQLite format 3\x00"
NEWEST_SCHEMA = (4, 3)
# Limit of one value; the longest log that the original could receive is far below it.
LONGEST_VALUE_BYTES = 32 * 1024 * 1024
ROWS_A_BATCH = 500
# A batch with huge logs ends earlier, to limit memory.
CHARACTERS_A_BATCH = 8 * 1024 * 1024
NEEDED_OF_RUNS = frozenset({"id", "backup_name", "date", "status"})
NOT_IMPORTED = frozenset({"sessions", "db_version"})
READ_ACTIONS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
COUNTING = frozenset({"count", "max"})

OldRow = dict[str, Any]


class NotImportable(Refused):
    """The file is not an importable database; the message says why.

    Nothing was changed.
    """


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of an old database: version, columns of tables, name of the table of servers."""

    version: tuple[int, int]
    columns: dict[str, tuple[str, ...]]

    @property
    def servers(self) -> str:
        """Return the name of the table of servers."""
        return "servers" if "servers" in self.columns else "machines"

    @property
    def server_key(self) -> str:
        """Return the column by which a run refers to its server."""
        return "server_id" if "server_id" in self.columns["backups"] else "machine_id"


class OldDatabase:
    """An old database, readable row by row.

    Each row is a dictionary; the order of columns does not matter.
    """

    def __init__(self, connection: sqlite3.Connection, layout: Layout) -> None:
        self._connection = connection
        self.layout = layout

    @property
    def version_text(self) -> str:
        """Return the schema version as the original writes it."""
        return ".".join(map(str, self.layout.version))

    def count(self, table: str) -> int:
        """Return the number of rows of a table; 0 if it does not exist."""
        if table not in self.layout.columns:
            return 0
        return int(self._one(f'SELECT count(*) FROM "{table}"'))  # noqa: S608 (a name of ours)

    def servers(self) -> Iterator[OldRow]:
        """Return the servers."""
        return self._rows(self.layout.servers)

    def runs(self) -> Iterator[list[OldRow]]:
        """Yield the runs in batches, in order of insertion.

        `server_id` is the server in every version.
        """
        for rows in self._batches("backups"):
            for row in rows:
                row["server_id"] = row[self.layout.server_key]
            yield rows

    def users(self) -> Iterator[OldRow]:
        """Return the accounts."""
        return self._rows("users")

    def audit_entries(self) -> Iterator[OldRow]:
        """Yield the audit log, oldest first."""
        return self._rows("audit_log", order='ORDER BY "timestamp", "id"')

    def settings(self) -> dict[str, str]:
        """Return the settings by key, as stored."""
        return {
            row["key"]: row["value"]
            for row in self._rows("configurations")
            if isinstance(row["key"], str) and isinstance(row["value"], str)
        }

    def ignored_tables(self) -> list[str]:
        """Return tables with rows that the import ignores."""
        taken = {self.layout.servers, "backups", "configurations", "users", "audit_log"}
        return sorted(table for table in self.layout.columns if table not in taken | NOT_IMPORTED and self.count(table))

    def _rows(self, table: str, order: str = "") -> Iterator[OldRow]:
        for rows in self._batches(table, order):
            yield from rows

    def _batches(self, table: str, order: str = "") -> Iterator[list[OldRow]]:
        columns = self.layout.columns.get(table)
        if columns is None:
            return
        names = ", ".join(f'"{name}"' for name in columns)
        try:
            cursor = self._connection.execute(f'SELECT {names} FROM "{table}" {order}')  # noqa: S608 (names checked)
            batch: list[OldRow] = []
            size = 0
            for row in cursor:
                batch.append(dict(zip(columns, row, strict=True)))
                size += sum(len(value) for value in row if isinstance(value, str | bytes))
                if len(batch) == ROWS_A_BATCH or size > CHARACTERS_A_BATCH:
                    yield batch
                    batch, size = [], 0
            if batch:
                yield batch
        except sqlite3.Error as error:
            raise Refused("import_table_incomplete", table=table, reason=str(error)) from error

    def _one(self, statement: str) -> Any:
        return self._connection.execute(statement).fetchone()[0]


def find_file(path: Path) -> Path:
    """Return the database at a path: the file, or the one in a data folder.

    Raises NotImportable.
    """
    file = path / OLD_NAME if path.is_dir() else path
    if not file.is_file():
        raise NotImportable(
            "import_file_not_in_directory" if path.is_dir() else "import_file_not_found", name=file.name
        )
    return file


@contextmanager
def open_database(file: Path, temporary: Path) -> Iterator[OldDatabase]:
    """Open an old database for reading.

    `temporary` gets a copy if it has a write-ahead log.

    Raises NotImportable for a file that is damaged, foreign, of a newer version, or suspicious.
    """
    try:
        with file.open("rb") as start:
            header = start.read(len(HEADER))
    except OSError as error:
        raise NotImportable("import_file_unreadable", reason=error.strerror) from error
    if header != HEADER:
        raise NotImportable("import_not_sqlite")
    with _stable_uri(file, temporary) as address:
        try:
            with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
                yield _checked(connection)
        except sqlite3.Error as error:
            raise NotImportable("import_file_unreadable", reason=str(error)) from error


@contextmanager
def _stable_uri(file: Path, temporary: Path) -> Iterator[str]:
    """Yield a URI under which the file contains all committed data and does not change."""
    siblings = [sibling for ending in ("-wal", "-journal") if _holds_data(sibling := _beside(file, ending))]
    if not siblings:
        yield f"{file.absolute().as_uri()}?mode=ro&immutable=1"
        return
    needed_bytes = sum(each.stat().st_size for each in (file, *siblings))
    if shutil.disk_usage(temporary).free < needed_bytes * 1.2:
        raise NotImportable("no_room_for_import_copy", name=siblings[0].name)
    with tempfile.TemporaryDirectory(dir=temporary) as folder:
        for each in (file, *siblings):
            copy = Path(folder) / each.name
            shutil.copyfile(each, copy)
            copy.chmod(0o600)
        # Opened for writing: SQLite has to apply the write-ahead log, here in our copy.
        yield (Path(folder) / file.name).as_uri()


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)


def _holds_data(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _checked(connection: sqlite3.Connection) -> OldDatabase:
    connection.text_factory = lambda value: value.decode("utf-8", "replace")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA ignore_check_constraints = ON")  # else the check below evaluates foreign expressions
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")
    kinds = _kinds(connection)
    if "alembic_version" in kinds:
        raise NotImportable("import_of_this_version")
    _require_plain_tables(kinds)
    columns = {name: _columns(connection, name) for name, kind in kinds.items() if kind == "table"}
    _require_columns(columns)
    for table in columns:
        found = connection.execute(f'PRAGMA quick_check("{table}")').fetchone()
        if found != ("ok",):
            raise NotImportable("import_table_damaged", table=table)
    connection.set_authorizer(_authorise)
    return OldDatabase(connection, Layout(_version(connection, columns), columns))


def _kinds(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the type of each table; a virtual table has no pages of its own."""
    made = (
        "SELECT name, CASE WHEN type = 'table' AND rootpage = 0 THEN 'virtual table' ELSE type END FROM sqlite_master"
    )
    rows = connection.execute(f"{made} WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {name.lower(): kind for name, kind in rows if name.replace("_", "").isalnum() and name.isascii()}


def _require_plain_tables(kinds: dict[str, str]) -> None:
    for table in ("servers", "machines", "backups", "configurations", "users", "audit_log", "db_version"):
        kind = kinds.get(table, "table")
        if kind != "table":
            raise NotImportable("import_table_is_no_table", table=table, kind=kind)


def _columns(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    """Return the column names of a table in lower case.

    Raises NotImportable for computed ones.
    """
    rows = connection.execute(f'PRAGMA table_xinfo("{table}")').fetchall()
    if any(row[6] for row in rows):
        raise NotImportable("import_computed_columns", table=table)
    return tuple(row[1].lower() for row in rows if '"' not in row[1])


def _require_columns(columns: dict[str, tuple[str, ...]]) -> None:
    """Raise NotImportable unless servers and runs have the columns of some version."""
    runs = set(columns.get("backups", ()))
    servers = set(columns.get("servers") or columns.get("machines") or ())
    if not runs >= NEEDED_OF_RUNS or not {"id", "name"} <= servers or not {"server_id", "machine_id"} & runs:
        raise NotImportable("import_not_duplistatus")
    needed = {
        "configurations": {"key", "value"},
        "users": {"id", "username", "password_hash", "is_admin"},
        "audit_log": {"id", "timestamp", "action", "category", "status"},
    }
    for table, names in needed.items():
        missing = names - set(columns.get(table, names))
        if missing:
            raise NotImportable("import_column_missing", table=table, column=min(missing))


def _version(connection: sqlite3.Connection, columns: dict[str, tuple[str, ...]]) -> tuple[int, int]:
    """Return the schema version; databases without a table of versions are 1.0.

    Raises NotImportable.
    """
    if not {"version", "applied_at"} <= set(columns.get("db_version", ())):
        return 1, 0
    newest = "SELECT version, max(applied_at) FROM db_version"
    text = connection.execute(newest).fetchone()[0]
    if text is None:
        return 1, 0
    try:
        major, _, minor = str(text).partition(".")
        version = int(major), int(minor.partition(".")[0] or 0)
    except ValueError as error:
        raise NotImportable("import_schema_invalid") from error
    if version > NEWEST_SCHEMA:
        newest = ".".join(map(str, NEWEST_SCHEMA))
        raise NotImportable("import_schema_too_new", version=text, known=newest)
    return version


def _authorise(action: int, _first: str | None, second: str | None, *_names: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_OK if second in COUNTING else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in READ_ACTIONS else sqlite3.SQLITE_DENY


def read_json(text: str | None) -> Any:
    """Return the value of a JSON text; None if missing or invalid."""
    try:
        return orjson.loads(text) if isinstance(text, str) and text.strip() else None
    except orjson.JSONDecodeError:
        return None


def read_mapping(text: str | None) -> dict[str, Any]:
    """Return the object in a JSON text; empty if it is none."""
    value = read_json(text)
    return value if isinstance(value, dict) else {}


# Secrets of an older installation: decrypted with its key file, then encrypted with ours.

OTHER_ENDING = ".key"


def find_key(file: Path, key_path: Path | None) -> bytes | None:
    """Return the key of an old database: the given file, else one beside it, else None.

    Raises NotImportable for an invalid key file.
    """
    candidates = (file.with_name(secrets.KEY_FILE), file.with_suffix(OTHER_ENDING))
    chosen = key_path or next((path for path in candidates if path.is_file()), None)
    if chosen is None:
        return None
    try:
        return secrets.read_key(chosen)
    except secrets.KeyUnusable as error:
        raise NotImportable("import_key_unusable", reason=error) from error


class OldSecrets:
    """Decrypts secrets of the old database where possible, and reports those that are lost."""

    def __init__(self, key: bytes | None, fingerprint: str | None, report: ImportReport) -> None:
        self._key = key
        self._report = report
        if key is not None and fingerprint and fingerprint != secrets.fingerprint_of(key):
            report.remark(Refused("key_file_does_not_match"))

    def open(self, text: object, what: Refused) -> str:
        """Decrypt a secret; empty, with a remark about `what`, if that is impossible."""
        if not isinstance(text, str) or not text:
            return ""
        if self._key is not None:
            try:
                return secrets.decrypt_with(self._key, text)
            except secrets.Undecryptable:
                self._report.remark(Refused("secret_not_decrypted", what=what))
                return ""
        self._report.remark(Refused("secret_without_key", what=what))
        return ""
