"""Classification of database errors: unreachable, locked, damaged, full.

A wrong statement or value is a bug and has no class.

Sources: https://www.sqlite.org/rescode.html and appendix A of PostgreSQL's manual, "PostgreSQL Error Codes".
"""

import re
import sqlite3
from collections.abc import Mapping
from enum import StrEnum
from functools import cache

import sqlalchemy.exc

from app.core.db.orm import db


class Fault(StrEnum):
    """A state in which the database cannot be used properly.

    The values are words for programs.
    """

    UNREACHABLE = "database_unreachable"
    LOCKED = "database_locked"
    DAMAGED = "database_damaged"
    READ_ONLY = "database_read_only"
    DISK_FULL = "disk_full"
    DISK_ERROR = "disk_error"
    SCHEMA = "schema_differs"


# What using the database may raise: errors of SQLAlchemy, and of connections that we open ourselves.
DATABASE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error)

_SQLITE_CODES: Mapping[int, Fault] = {
    sqlite3.SQLITE_BUSY: Fault.LOCKED,
    sqlite3.SQLITE_LOCKED: Fault.LOCKED,
    sqlite3.SQLITE_PROTOCOL: Fault.LOCKED,
    sqlite3.SQLITE_CORRUPT: Fault.DAMAGED,
    sqlite3.SQLITE_NOTADB: Fault.DAMAGED,
    sqlite3.SQLITE_FORMAT: Fault.DAMAGED,
    sqlite3.SQLITE_READONLY: Fault.READ_ONLY,
    sqlite3.SQLITE_PERM: Fault.READ_ONLY,
    sqlite3.SQLITE_FULL: Fault.DISK_FULL,
    sqlite3.SQLITE_IOERR: Fault.DISK_ERROR,
    sqlite3.SQLITE_CANTOPEN: Fault.UNREACHABLE,
    sqlite3.SQLITE_INTERRUPT: Fault.UNREACHABLE,
    sqlite3.SQLITE_SCHEMA: Fault.SCHEMA,
}
# For errors without a code, such as those of Python itself.
_SQLITE_TEXTS: Mapping[str, Fault] = {
    "is locked": Fault.LOCKED,
    "malformed": Fault.DAMAGED,
    "not a database": Fault.DAMAGED,
    "Could not decode": Fault.DAMAGED,
    "readonly": Fault.READ_ONLY,
    "is full": Fault.DISK_FULL,
    "disk I/O error": Fault.DISK_ERROR,
    "unable to open": Fault.UNREACHABLE,
}
# Prefixes of a SQLSTATE; the longest match counts.
_SQL_STATES: Mapping[str, Fault] = {
    "08": Fault.UNREACHABLE,
    "25006": Fault.READ_ONLY,
    "40": Fault.LOCKED,
    "53": Fault.UNREACHABLE,
    "53100": Fault.DISK_FULL,
    "55P03": Fault.LOCKED,
    "57": Fault.UNREACHABLE,
    "57014": Fault.LOCKED,
    "58": Fault.DISK_ERROR,
    "XX": Fault.DAMAGED,
}
_MISSING_SQL_STATES = ("42P01", "42703")
_MISSING_TEXT = re.compile("no such table|no such column|has no column named")


def fault_of(error: BaseException) -> Fault | None:
    """Return the state that an error reports.

    None if the statement or its values are wrong.
    """
    if isinstance(error, sqlalchemy.exc.TimeoutError):  # no connection or no turn to write became free in time
        return Fault.LOCKED
    original = getattr(error, "orig", None) or error
    if isinstance(original, sqlite3.Error):
        return _fault_of_sqlite(original)
    if getattr(error, "connection_invalidated", False):
        return Fault.UNREACHABLE
    state = getattr(original, "sqlstate", None)
    if state is None:
        return Fault.UNREACHABLE if isinstance(error, sqlalchemy.exc.OperationalError) else None
    if state in _MISSING_SQL_STATES:
        return _fault_of_missing(str(original))
    return next((_SQL_STATES[start] for start in (state, state[:2]) if start in _SQL_STATES), None)


def describe(error: BaseException) -> str:
    """Return the database's message of an error in one line.

    Without statement and values.
    """
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _fault_of_sqlite(error: sqlite3.Error) -> Fault | None:
    text, code = str(error), getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _SQLITE_CODES:
        return _SQLITE_CODES[code & 0xFF]
    if _MISSING_TEXT.search(text):
        return _fault_of_missing(text)
    if code is None and isinstance(error, sqlite3.DatabaseError):
        found = next((fault for words, fault in _SQLITE_TEXTS.items() if words in text), None)
        return found or (Fault.UNREACHABLE if isinstance(error, sqlite3.OperationalError) else None)
    return None


def _fault_of_missing(text: str) -> Fault | None:
    """Return MISSING if a table or column of the models does not exist.

    None for any other name.
    """
    return Fault.SCHEMA if _known_names() & set(re.findall(r"\w+", text.splitlines()[0])) else None


@cache
def _known_names() -> frozenset[str]:
    tables = db.metadata.tables.values()
    return frozenset(table.name for table in tables) | {column.name for table in tables for column in table.columns}
