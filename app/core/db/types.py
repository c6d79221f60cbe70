"""Column types that both databases share."""

import sys
import uuid
from array import array
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, Dialect, Integer, LargeBinary, Row, Select, String, Text, event
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.types import TypeDecorator

from app.core.errors import Refused
from app.core.instants import from_milliseconds, to_milliseconds

# Maximum length of a user agent.
USER_AGENT_LENGTH = 512
# Rows and queries whose columns are known only to the caller.
AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]

# SQLite numbers rows automatically only in a column declared INTEGER; PostgreSQL needs the wide type.
RowId = BigInteger().with_variant(Integer(), "sqlite")


class TextTooLong(Refused, DontWrapMixin):
    """A text is longer than its column; the message names the column."""

    def __init__(self, field: str, length: int) -> None:
        super().__init__("text_too_long", field, name=field, most=length)


class Bounded(TypeDecorator[str]):
    """A text with a maximum length, also on SQLite, which would store any.

    Storing a longer one raises TextTooLong. Searching for one is no error: there is none.
    """

    impl = String
    cache_ok = True
    field = ""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """Compare with any text."""
        return String()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Store."""
        if value is not None and len(value) > self.length:
            raise TextTooLong(self.field, self.length)
        return value


class Recorded(TypeDecorator[str]):
    """A text from outside that is only recorded.

    An overlong one is truncated, never rejected.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Store."""
        return None if value is None else value[: self.length]


class RecordedText(Recorded):
    """The same in a column without a maximum length."""

    impl = Text
    cache_ok = True

    def __init__(self, length: int) -> None:
        TypeDecorator.__init__(self)
        self.length = length


@event.listens_for(Column, "after_parent_attach")
def name_field(column: Column[Any], _table: Any) -> None:
    """Set the name of the column in a bounded text type."""
    if isinstance(column.type, Bounded):
        column.type.field = column.name


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as milliseconds since 1970.

    A number is the same on both databases, compares and groups by day without date functions, takes 6 bytes instead
    of 26 in SQLite, and cannot lose its zone.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Store."""
        return None if value is None else to_milliseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Read."""
        return None if value is None else from_milliseconds(value)


class UuidText(TypeDecorator[str]):
    """A UUID as text with dashes in Python and on the wire, stored as its 16 bytes."""

    impl = LargeBinary(16)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Store. Raises ValueError when it is not a UUID."""
        return None if value is None else uuid.UUID(value).bytes

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Read."""
        return None if value is None else str(uuid.UUID(bytes=bytes(value)))


class Json(TypeDecorator[Any]):
    """Any JSON value, stored as text: the same on both databases, and read by orjson."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Store; None is NULL."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read."""
        return None if value is None else orjson.loads(value)


class VersionTimes(TypeDecorator[tuple[str, ...]]):
    """Times of restorable versions: ISO texts in Python, four bytes each when stored.

    The bytes are whole seconds since 1970.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> bytes | None:
        """Store; an empty list is NULL.

        Times outside 1970 to 2106 do not exist for a backup and are left out.
        """
        return pack_times(value or ()) or None

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> tuple[str, ...]:
        """Read, in the order in which they were stored."""
        return _kept_texts(bytes(value or b""))


# Bytes of a packed time.
TIME_SIZE = 4


def pack_times(texts: Iterable[str]) -> bytes:
    """Times as `VersionTimes` stores them, in their order."""
    seconds = [int(datetime.fromisoformat(text).timestamp()) for text in texts]
    return _little_endian(array("I", [second for second in seconds if 0 <= second < 1 << 32])).tobytes()


def unpack_times(packed: bytes) -> tuple[str, ...]:
    """The ISO texts of what `pack_times` gave."""
    return tuple(f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.000Z" for second in _seconds(packed))


# The newest list of each job is read whenever anything has changed, and differs once a run at most.
_kept_texts = lru_cache(maxsize=2048)(unpack_times)


def add_time(packed: bytes, at: datetime) -> bytes:
    """A packed list, newest first, with one more time in its place."""
    added = int(at.timestamp())
    if not packed or added > int.from_bytes(packed[:TIME_SIZE], "little"):
        return added.to_bytes(TIME_SIZE, "little") + packed
    return _little_endian(array("I", sorted({*_seconds(packed), added}, reverse=True))).tobytes()


def _seconds(packed: bytes) -> "array[int]":
    seconds = array("I")
    seconds.frombytes(packed)
    return _little_endian(seconds)


def _little_endian(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
