"""Whether the tables of the database have the columns that the models know.

The number of the newest migration alone does not say so: a migration may have been changed after it ran.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Table, inspect

from app import models
from app.extensions import db

log = logging.getLogger(__name__)

DIFFERENCES_NAMED = 5


def find_differences(connection: Connection) -> list[str]:
    """Return what a program of this version would stumble over, such as `jobs.note is missing`."""
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
    """Return the first of some differences, and how many more there are."""
    more = len(differences) - DIFFERENCES_NAMED
    return ", ".join(differences[:DIFFERENCES_NAMED]) + (f" and {more} more" if more > 0 else "")


def log_differences() -> bool:
    """Say in the log that the columns differ from the models; returns whether they do."""
    with db.engine.connect() as connection:
        differences = find_differences(connection)
    if differences:
        log.error(
            "The schema of the database differs from what this version needs, although its migrations have run: %s. "
            "Restore a backup from before the upgrade, or install the version that the database was used with.",
            name_differences(differences),
        )
    return bool(differences)


def _own_tables() -> list[Table]:
    """The tables of our models; plugins look after theirs themselves."""
    found = {getattr(value, "__table__", None) for value in vars(models).values()}
    return sorted((table for table in found if table is not None), key=lambda table: table.name)


def _differences(table: Table, present: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for column in table.columns:
        if column.name not in present:
            yield f"{table.name}.{column.name} is missing"
        elif column.nullable and not present[column.name]["nullable"]:
            yield f"{table.name}.{column.name} takes no NULL"
    for name, known in present.items():
        # It would refuse every new row.
        if name not in table.columns and not known["nullable"] and known["default"] is None:
            yield f"{table.name}.{name} is unknown and takes no NULL"
