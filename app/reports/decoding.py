"""Decode request bodies: compression, form fields, JSON that is not quite valid."""

import json
import zlib
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Field, File, MultipartDecoder, NeedData, State

from app.core.errors import InputTooLarge, Refused

# Limits for JSON from any sender. A Duplicati report has about 70 values plus one per log line.
MOST_VALUES = 500_000
MOST_LEVELS = 64
# Literals that only the tolerant decoder accepts.
_MOST_ODD_NAMES = 50_000
_MOST_DIGITS = 20

_BLANKS = b" \t\r\n"
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - set(_STEPS))


def read_json(text: str | bytes) -> Any:
    """Parse JSON, with or without a byte order mark. Raise ValueError.

    Lone surrogates, which Windows file names may contain, are replaced; NaN becomes null.
    """
    body = text.encode("utf-8", "replace") if isinstance(text, str) else text
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _read_odd_json(body)


def check_extent(body: bytes) -> None:
    """Raise TooLarge (413) if a JSON text exceeds `MOST_VALUES` or `MOST_LEVELS`.

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


def _read_odd_json(body: bytes) -> Any:
    if outside_of_texts(body).count(b":") > _MOST_ODD_NAMES:
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
_MOST_STRAY_PERCENTS = 10_000
_GZIP_MARK = b"\x1f\x8b"


class UnreadableEnvelope(Refused):
    """The body could not be decompressed or decoded."""


def decode_body(content: bytes, content_type: str) -> str | bytes:
    """Return the report's text from a decompressed request body.

    JSON is accepted whatever `content_type` is. In a form, the field `message` is used; if there is none, the only
    field that looks like a report, since the field's name can be configured in Duplicati. Raise UnreadableEnvelope
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

    Raise TooLarge (413) over `limit_bytes`, before or after decompression, and UnreadableEnvelope (400, 415).
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
    raise UnreadableEnvelope("content_encoding_unknown")


def _inflate(body: bytes, window_bits: int, limit_bytes: int) -> bytes:
    """Decompress one stream, stopping as soon as the limit is exceeded."""
    decompressor = zlib.decompressobj(window_bits)
    try:
        content = decompressor.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise UnreadableEnvelope("body_not_decompressible") from error
    if len(content) > limit_bytes:
        raise _too_large(limit_bytes)
    if not decompressor.eof or decompressor.unused_data:
        raise UnreadableEnvelope("body_truncated")
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
        if count > _MOST_STRAY_PERCENTS:
            raise UnreadableEnvelope("form_not_encoded")
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
        raise UnreadableEnvelope("form_not_multipart") from error


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
            raise UnreadableEnvelope("form_headers_too_long", most=_MOST_HEADER_BYTES)
    raise UnreadableEnvelope("form_truncated")


def _field_text(field: Field | File, value: bytes) -> str:
    encoding = field.headers.get("Content-Transfer-Encoding", "").strip().lower()
    if encoding == "base64":
        value = a2b_base64(value)
    elif encoding == "quoted-printable":
        value = a2b_qp(value)
    return value.decode("utf-8", "replace")


def _too_many_fields() -> UnreadableEnvelope:
    return UnreadableEnvelope("form_too_many_fields", most=_MOST_FIELDS)


def _chosen_field(fields: Sequence[tuple[str, str]]) -> str:
    """Return the field that holds the report."""
    for name, value in fields:
        if name == _USUAL_FIELD:
            return value
    reports = [value for _, value in fields if _looks_like_report(value)]
    if len(reports) == 1:
        return reports[0]
    raise UnreadableEnvelope("form_without_report", name=_USUAL_FIELD)


def _looks_like_report(value: str) -> bool:
    """Return whether a value is a report and not one of the additional fields."""
    start = value.lstrip()
    return start.startswith("{") or "MainOperation:" in value or (start.startswith("Duplicati ") and "\n" in start)
