"""Column types that both databases share."""

import sys
import uuid
from array import array
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, Row, Select, Text
from sqlalchemy.types import TypeDecorator

from app.domain.instants import from_milliseconds, to_milliseconds

# Rows and queries of which only the reader of the query knows the columns.
AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]

# SQLite counts rows by itself only in a column declared INTEGER; PostgreSQL needs the wide type.
RowId = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as milliseconds since 1970.

    A number is the same on both databases, compares and groups by day without date functions, takes 6 bytes
    instead of 26 in SQLite, and cannot lose its zone.
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
    """Times of restorable versions as ISO texts in Python, stored as four bytes each: whole seconds since 1970."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> bytes | None:
        """Store; an empty list is NULL. Times outside 1970 to 2106 do not exist for a backup and are left out."""
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
