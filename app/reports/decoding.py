"""Decode request bodies and read the fields of a report: compression, forms, JSON, typed values."""

import hashlib
import json
import re
import sys
import zlib
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any
from urllib.parse import unquote_to_bytes
from zoneinfo import ZoneInfo

import orjson
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Field, File, MultipartDecoder, NeedData, State

from app.core.errors import InputTooLarge, Refused
from app.core.instants import cut_to_milliseconds

# Limits for JSON from any sender. A Duplicati report has about 70 values plus one per log line.
MOST_VALUES = 500_000
MOST_LEVELS = 64
# Names and digits of a number in text that only the lenient decoder accepts.
_MOST_NAMES = 50_000
_MOST_DIGITS = 20

_BLANKS = b" \t\r\n"
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - set(_STEPS))


def without_mark(text: str | bytes) -> bytes:
    """Return a text in UTF-8 without a byte order mark and surrounding blanks."""
    body = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return body.removeprefix(b"\xef\xbb\xbf").strip()


def read_json(text: str | bytes) -> Any:
    """Parse JSON, with or without a byte order mark. Raise ValueError.

    Lone surrogates, which Windows file names may contain, are replaced; NaN becomes null.
    """
    body = without_mark(text)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _read_lenient_json(body)


def check_extent(body: bytes) -> None:
    """Raise InputTooLarge (413) if a JSON text exceeds `MOST_VALUES` or `MOST_LEVELS`.

    Counts without parsing: a body of a few megabytes can hold values that take fifty times its size, and seconds.
    """
    if body.count(b'"') > 4 * MOST_VALUES or count_values(outside := outside_of_texts(body)) > MOST_VALUES:
        raise InputTooLarge("json_too_many_values", most=MOST_VALUES)
    if count_levels(outside) > MOST_LEVELS:
        raise InputTooLarge("json_too_deep", most=MOST_LEVELS)


def outside_of_texts(body: bytes) -> bytes:
    """Return a JSON text without blanks.

    Each string is reduced to one quotation mark.
    """
    # Quotation marks and backslashes within strings are escaped by backslashes.
    parts = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    return b'"'.join(parts[::2]).translate(None, _BLANKS)


def count_values(outside: bytes) -> int:
    """Count values, objects and lists in the result of `outside_of_texts`."""
    empty = outside.count(b"[]") + outside.count(b"{}")
    return 1 + outside.count(b",") + outside.count(b"[") + outside.count(b"{") - empty


def count_levels(outside: bytes) -> int:
    """Return the nesting depth of the result of `outside_of_texts`."""
    return max(accumulate(map(_STEPS.__getitem__, outside.translate(None, _NO_BRACKETS))), default=0)


def _read_whole(digits: str) -> int | None:
    """Parse an integer of a bounded length.

    The time grows with the square of the length.
    """
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _read_lenient_json(body: bytes) -> Any:
    if outside_of_texts(body).count(b":") > _MOST_NAMES:
        raise ValueError("too many names in text that is not strict JSON")
    try:
        text = body.decode("utf-8", "replace")
        value = json.loads(text, parse_constant=lambda _word: None, parse_int=_read_whole)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


# Decompression and form fields
#
# Each step takes time proportional to the size of the body, since any sender can post one.

_USUAL_FIELD = "message"
_MOST_FIELDS = 200
# Headers of a form part: usually one line.
_MOST_HEADER_BYTES = 8 * 1024
# Bound for invalid percent escapes; the decoder for those is slow.
_MOST_INVALID_ESCAPES = 10_000
_GZIP_MARK = b"\x1f\x8b"


class UnreadableBody(Refused):
    """The body could not be decompressed or decoded."""


def decode_body(content: bytes, content_type: str) -> str | bytes:
    """Return the report's text from a decompressed request body.

    JSON is accepted whatever `content_type` is. In a form, the field `message` is used; if there is none, the only
    field that looks like a report, since the field's name can be configured in Duplicati. Raise UnreadableBody
    (400).
    """
    if content.lstrip()[:1] in (b"{", b"["):
        return content
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _chosen_field(_multipart_fields(content, content_type))
    if kind == "application/x-www-form-urlencoded" or content.startswith(b"message="):
        return _chosen_field(_form_fields(content))
    return content


def is_packed(body: bytes, content_encoding: str) -> bool:
    """Return whether the body is compressed, or its header claims so."""
    return content_encoding.strip().lower() not in ("", "identity") or body.startswith(_GZIP_MARK)


def unpack(body: bytes, content_encoding: str, limit_bytes: int) -> bytes:
    """Decompress gzip or deflate, holding at most `limit_bytes`.

    Raise InputTooLarge (413) over `limit_bytes`, before or after decompression, and UnreadableBody (400, 415).
    """
    encoding = content_encoding.strip().lower()
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    if encoding in ("gzip", "x-gzip") or body.startswith(_GZIP_MARK):
        return _inflate(body, 16 + zlib.MAX_WBITS, limit_bytes)
    if encoding == "deflate":
        return _inflate(body, zlib.MAX_WBITS, limit_bytes)
    if encoding in ("", "identity"):
        return body
    raise UnreadableBody("content_encoding_unknown")


def _inflate(body: bytes, window_bits: int, limit_bytes: int) -> bytes:
    """Decompress one stream, stopping as soon as the limit is exceeded."""
    decompressor = zlib.decompressobj(window_bits)
    try:
        content = decompressor.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise UnreadableBody("body_not_decompressible") from error
    if len(content) > limit_bytes:
        raise _too_large(limit_bytes)
    if not decompressor.eof or decompressor.unused_data:
        raise UnreadableBody("body_truncated")
    return content


def _too_large(limit_bytes: int) -> InputTooLarge:
    return InputTooLarge("report_too_large", most=limit_bytes)


def _form_fields(content: bytes) -> list[tuple[str, str]]:
    """Return the fields of a URL-encoded form."""
    fields = content.split(b"&", _MOST_FIELDS)
    if len(fields) > _MOST_FIELDS:
        raise _too_many_fields()
    pairs = (field.partition(b"=") for field in fields)
    return [(_decoded(name), _decoded(value)) for name, _, value in pairs]


def _decoded(text: bytes) -> str:
    """Decode a URL-encoded text.

    Quoted-printable differs only in its escape character, and its decoder takes 0.1 s for 16 MB, where urllib's takes 3
    to 30 s. It drops or keeps invalid escapes; the length of the result shows which.
    """
    plain = text.replace(b"+", b" ")
    count = plain.count(b"%")
    decoded = a2b_qp(plain.replace(b"=", b"%3D").replace(b"%", b"="))
    if len(decoded) != len(plain) - 2 * count or b"%\r" in plain or b"%\n" in plain:
        if count > _MOST_INVALID_ESCAPES:
            raise UnreadableBody("form_not_encoded")
        decoded = unquote_to_bytes(plain)
    return decoded.decode("utf-8", "replace")


def _multipart_fields(content: bytes, content_type: str) -> list[tuple[str, str]]:
    """Return the fields of a multipart form."""
    boundary = parse_options_header(content_type)[1].get("boundary", "").encode("utf-8", "replace")
    fields: list[tuple[Any, list[bytes]]] = []
    try:
        for event in _multipart_events(content, boundary):
            if isinstance(event, Field | File):
                fields.append((event, []))
            elif isinstance(event, Data):
                fields[-1][1].append(event.data)
        return [(field.name or "", _field_text(field, b"".join(parts))) for field, parts in fields]
    except RequestEntityTooLarge as error:
        raise _too_many_fields() from error
    except ValueError as error:
        raise UnreadableBody("form_not_multipart") from error


def _multipart_events(content: bytes, boundary: bytes) -> Iterator[object]:
    """Decode in chunks, so that unterminated headers are detected early."""
    decoder = MultipartDecoder(boundary, max_parts=_MOST_FIELDS)
    for start in range(0, len(content), _MOST_HEADER_BYTES):
        decoder.receive_data(content[start : start + _MOST_HEADER_BYTES])
        while not isinstance(event := decoder.next_event(), NeedData):
            yield event
            if decoder.state is State.EPILOGUE:
                return
        if decoder.state is State.PART and len(decoder.buffer) > _MOST_HEADER_BYTES:
            raise UnreadableBody("form_headers_too_long", most=_MOST_HEADER_BYTES)
    raise UnreadableBody("form_truncated")


def _field_text(field: Field | File, value: bytes) -> str:
    encoding = field.headers.get("Content-Transfer-Encoding", "").strip().lower()
    if encoding == "base64":
        value = a2b_base64(value)
    elif encoding == "quoted-printable":
        value = a2b_qp(value)
    return value.decode("utf-8", "replace")


def _too_many_fields() -> UnreadableBody:
    return UnreadableBody("form_too_many_fields", most=_MOST_FIELDS)


def _chosen_field(fields: Sequence[tuple[str, str]]) -> str:
    """Return the field that holds the report."""
    for name, value in fields:
        if name == _USUAL_FIELD:
            return value
    reports = [value for _, value in fields if _looks_like_report(value)]
    if len(reports) == 1:
        return reports[0]
    raise UnreadableBody("form_without_report", name=_USUAL_FIELD)


def _looks_like_report(value: str) -> bool:
    """Return whether a value is a report and not one of the additional fields."""
    start = value.lstrip()
    return start.startswith("{") or "MainOperation:" in value or (start.startswith("Duplicati ") and "\n" in start)


# Typed access to the fields of a report.
#
# An invalid value is an error with its name.

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

    def refusal(self, field: str, expected: Refused) -> InvalidReport:
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
            raise self.refusal(field, Refused("value_no_string"))
        text = clean_text(str(value))
        if len(text) > longest:
            raise self.refusal(field, Refused("value_too_long", most=longest))
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
            raise self.refusal(field, Refused("value_no_number")) from None
        if number > largest:
            raise self.refusal(field, Refused("value_too_large"))
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
            raise self.refusal(field, Refused("value_no_list"))
        try:
            return tuple(clean_text(line if isinstance(line, str) else orjson.dumps(line).decode()) for line in value)
        except orjson.JSONEncodeError:  # nested too deeply to be serialised
            raise self.refusal(field, Refused("value_no_list")) from None


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


def shorten(text: str, limit: int | None, *, in_bytes: bool = False) -> str:
    """Shorten a text with an ellipsis to a limit of characters or UTF-8 bytes.

    None means no limit.
    """
    if limit is None or (len(text.encode()) if in_bytes else len(text)) <= limit:
        return text
    if not in_bytes:
        return text[: max(limit - 1, 0)].rstrip() + "…"
    return text.encode()[: max(limit - len("…".encode()), 0)].decode(errors="ignore").rstrip() + "…"
