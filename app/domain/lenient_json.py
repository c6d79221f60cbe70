"""JSON as other programs write it: mostly strict, now and then with what the standard does not allow."""

import json
from itertools import accumulate
from typing import Any

import orjson

from app.contracts.errors import TooLarge

# What anybody may send. A report of Duplicati has some 70 values and one for each line of its log.
MOST_VALUES = 500_000
MOST_LEVELS = 64

_BLANKS = b" \t\r\n"
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - set(_STEPS))


def read_json(text: str | bytes) -> Any:
    """Give the value of a JSON text, with or without a byte order mark. Raises ValueError.

    Halves of surrogate pairs, as names of Windows files may hold, are replaced, and NaN is null.
    """
    body = text.encode("utf-8", "replace") if isinstance(text, str) else text
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _read_odd_json(body.decode("utf-8", "replace"))


def check_extent(body: bytes) -> None:
    """Raise TooLarge (413) for a JSON text of more than `MOST_VALUES` values or `MOST_LEVELS` levels.

    A body of some megabytes can hold values that take fifty times its size and seconds to read.
    """
    values, levels = measure_extent(body) if body.count(b'"') <= 4 * MOST_VALUES else (MOST_VALUES + 1, 0)
    if values > MOST_VALUES:
        raise TooLarge(f"The JSON text holds more than {MOST_VALUES} values")
    if levels > MOST_LEVELS:
        raise TooLarge(f"The JSON text is nested more than {MOST_LEVELS} levels deep")


def measure_extent(body: bytes) -> tuple[int, int]:
    """Count the values of a JSON text, objects and lists included, and its levels of them, without reading it."""
    # Of each text between quotation marks only the marks remain: a mark in it is escaped, as a backslash is.
    texts = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    outside = b'"'.join(texts[::2]).translate(None, _BLANKS)
    brackets = outside.translate(None, _NO_BRACKETS)
    empty = outside.count(b"[]") + outside.count(b"{}")
    values = 1 + outside.count(b",") + brackets.count(b"[") + brackets.count(b"{") - empty
    return values, max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _read_odd_json(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=lambda _: None)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("nested deeper than can be read") from None
