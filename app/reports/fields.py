"""Typed access to the fields of a report.

An invalid value is an error with its name.
"""

import hashlib
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from app.core.errors import InputTooLarge, Refused
from app.core.instants import cut_to_milliseconds
from app.reports.decoding import MOST_VALUES

BACKUP, SYNC = "Backup", "Sync"
# Operations that save data: these have a schedule and decide the state of a job. All others maintain a backup.
SCHEDULED = frozenset({BACKUP, SYNC})
LARGEST_INTEGER = 2**31 - 1
LARGEST_LONG = 2**63 - 1
# Maximum length of a name or id of a server or job: the width of the columns and of index keys.
LONGEST_IDENTITY = 255
# Longer names are read up to this length; the hash distinguishes the rest.
LONGEST_SENT_IDENTITY = 100_000
_HASH_LENGTH = 16
_LONGEST_ECHO = 200
_DATE_LENGTH = len("2026-11-20")
# Characters at which `str.splitlines` splits.
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_FALSE_WORDS = frozenset({"", "0", "false", "no", "null"})


class InvalidReport(Refused):
    """The report is invalid; the message says which field is wrong and what to do."""


def clean_text(text: str) -> str:
    """Remove NUL, which PostgreSQL cannot store in text."""
    return text.replace("\x00", "") if "\x00" in text else text


def shorten_identity(text: str) -> str:
    """Return a name or id as stored: long ones are cut and end in a hash."""
    if len(text) <= LONGEST_IDENTITY:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_HASH_LENGTH]
    return f"{text[: LONGEST_IDENTITY - _HASH_LENGTH - 1]}-{digest}"


def read_instant(text: str, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of an ISO 8601 text, truncated to milliseconds.

    A date without time is midnight UTC; a time without offset is in `zone`. Raise ValueError for other texts and
    outside the years 1970 to 9000.
    """
    instant = datetime.fromisoformat(text.strip())
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone if len(text.strip()) > _DATE_LENGTH else UTC)
    try:
        instant = instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the date is out of range") from error
    if not 1970 <= instant.year <= 9000:
        raise ValueError("the year is out of range")
    return cut_to_milliseconds(instant)


def read_instant_or_none(value: Any, zone: ZoneInfo) -> datetime | None:
    """Return an instant as `read_instant` does; None if blank or invalid."""
    try:
        return read_instant(value, zone) if isinstance(value, str) and value else None
    except ValueError:
        return None


class FieldReader:
    """Typed reader of one object of a report; `name` is its path in error messages."""

    __slots__ = ("name", "values")

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self.name = name
        self.values = values

    def refusal(self, field: str, expected: str) -> InvalidReport:
        """Return the error for a field: its name and what is expected, never its value."""
        return InvalidReport("report_value_invalid", path=f"{self.name}.{field}", expected=expected)

    def missing(self, fields: tuple[str, ...]) -> list[str]:
        """Return those of the fields that are absent or empty, in their order."""
        return [field for field in fields if self._is_empty(self.values.get(field))]

    @staticmethod
    def _is_empty(value: object) -> bool:
        return not (clean_text(value) if isinstance(value, str) else value)

    def echo(self, fields: tuple[str, ...]) -> dict[str, Any]:
        """Return the plain values of the given fields; others may hold secrets."""
        values = {field: self.values.get(field) for field in fields}
        return {field: str(value)[:_LONGEST_ECHO] for field, value in values.items() if isinstance(value, str | int)}

    def text(self, field: str, longest: int = LONGEST_SENT_IDENTITY) -> str:
        """Return a text; numbers are converted, a missing value is ""."""
        value = self.values.get(field)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.refusal(field, "is not a string")
        text = clean_text(str(value))
        if len(text) > longest:
            raise self.refusal(field, f"is longer than {longest} characters")
        return text

    def word(self, field: str, longest: int) -> str:
        """Return the beginning of a text; never fails because of its length."""
        return self.text(field, sys.maxsize)[:longest]

    def shortened(self, field: str, longest: int) -> str | None:
        """Return the beginning of a descriptive text, or None if there is none."""
        value = self.values.get(field)
        return clean_text(value)[:longest] or None if isinstance(value, str) else None

    def instant_if_readable(self, field: str, zone: ZoneInfo) -> datetime | None:
        """Return an instant, or None if the field is absent or invalid."""
        value = self.values.get(field)
        try:
            return read_instant(value, zone) if isinstance(value, str) else None
        except ValueError:
            return None

    def count(self, field: str, largest: int = LARGEST_LONG) -> int:
        """Return a count or size.

        Missing and negative values are 0, digit strings are read.
        """
        value = self.values.get(field)
        if type(value) is int and 0 <= value <= largest:
            return value
        return self._converted_count(field, value, largest)

    def _converted_count(self, field: str, value: object, largest: int) -> int:
        if value is None or value == "":
            return 0
        try:
            if not isinstance(value, str | int | float):
                raise ValueError
            number = int(value[:40]) if isinstance(value, str) else int(value)
        except (ValueError, OverflowError):
            raise self.refusal(field, "is not a number") from None
        if number > largest:
            raise self.refusal(field, "is larger than can be stored")
        return max(number, 0)

    def amount(self, field: str) -> int:
        """Return a size that may be negative, which means unknown; -1 if missing."""
        value = self.values.get(field)
        try:
            return int(value[:40] if isinstance(value, str) else value) if value not in (None, "") else -1
        except (TypeError, ValueError, OverflowError):
            return -1

    def flag(self, field: str) -> bool:
        """Return a boolean; plain-text reports write it as a word."""
        value = self.values.get(field)
        if isinstance(value, str):
            return value.strip().lower() not in _FALSE_WORDS
        return bool(value)

    def lines(self, field: str) -> tuple[str, ...] | None:
        """Return a list of texts, or None if absent. Other entries are kept as JSON."""
        value = self.values.get(field)
        if value is None:
            return None
        if isinstance(value, str):
            if sum(map(value.count, _LINE_ENDS)) > MOST_VALUES:
                raise InputTooLarge("report_list_too_long", path=f"{self.name}.{field}", most=MOST_VALUES)
            return tuple(clean_text(value).splitlines())
        if not isinstance(value, list):
            raise self.refusal(field, "is not a list of strings")
        try:
            return tuple(clean_text(line if isinstance(line, str) else orjson.dumps(line).decode()) for line in value)
        except orjson.JSONEncodeError:  # nested too deeply to be serialised
            raise self.refusal(field, "is not a list of strings") from None


# Durations: Duplicati's and the readable format; all values are in seconds.

# .NET's TimeSpan: [-][d.]hh:mm:ss[.fffffff]; hours may have any number of digits when there are no days.
_TIME_SPAN = re.compile(r"(-)?(?:(\d{1,8})\.)?(\d{1,10}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,20}))?", re.ASCII)
# The largest TimeSpan, a little over 29,000 years.
_LONGEST_S = 10_675_200 * 86_400.0


def parse_duration(text: str) -> float:
    """Return the seconds of a .NET TimeSpan: `1.02:03:04.5678901` or `0:07:11`.

    A leading minus gives a negative number. Raise ValueError for anything else.
    """
    match = _TIME_SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a duration of the form [d.]hh:mm:ss[.fffffff]")
    minus, days, hours, minutes, seconds, fraction = match.groups()
    if int(minutes) > 59 or int(seconds) > 59:
        raise ValueError("minutes and seconds of a duration must be at most 59")
    whole = int(days or 0) * 86_400 + int(hours) * 3_600 + int(minutes) * 60 + int(seconds)
    duration_s = whole + float(f"0.{fraction or 0}")
    if duration_s > _LONGEST_S:
        raise ValueError("the duration is longer than 10675199 days")
    return -duration_s if minus else duration_s


def format_duration(seconds: float) -> str:
    """Format seconds as `HH:MM:SS`, floored; hours may exceed 99, negative is zero."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest:02d}"


def human_duration(seconds: float) -> str:
    """Format seconds as `1h 2m 3s`, `2m 3s` or `3s`, floored; negative is zero."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes}m {rest}s"
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"
