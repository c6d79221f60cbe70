"""Looking for a part of a text in the database, whatever its case."""

from typing import Any

from sqlalchemy import ColumnElement, func, or_

from app.contracts import AppError

# SQLite refuses patterns of more than 50,000 bytes, and long ones make it slow.
LONGEST_SEARCH = 255


def holds(text: str, *columns: Any) -> ColumnElement[bool]:
    """The condition that one of the columns holds a text. Raises AppError for a text that is too long."""
    if len(text) > LONGEST_SEARCH:
        raise AppError(f"search: at most {LONGEST_SEARCH} characters can be looked for")
    return or_(*(func.lower(column).contains(text.lower(), autoescape=True) for column in columns))
