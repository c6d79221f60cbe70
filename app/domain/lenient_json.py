"""JSON as other programs write it: mostly strict, now and then with what the standard does not allow."""

import json
from itertools import accumulate
from typing import Any

import orjson

from app.contracts.errors import TooLarge

# What anybody may send. A report of Duplicati has some 70 values and one for each line of its log.
MOST_VALUES = 500_000
MOST_LEVELS = 64
# Names of values in a text that only the slow reader can read.
_MOST_ODD_NAMES = 50_000
_MOST_DIGITS = 20

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
        return _read_odd_json(body)


def check_extent(body: bytes) -> None:
    """Raise TooLarge (413) for a JSON text of more than `MOST_VALUES` values or `MOST_LEVELS` levels.

    Counts without reading: a body of some megabytes can hold values that take fifty times its size, and seconds.
    """
    if body.count(b'"') > 4 * MOST_VALUES or count_values(outside := outside_of_texts(body)) > MOST_VALUES:
        raise TooLarge(f"The JSON text holds more than {MOST_VALUES} values")
    if count_levels(outside) > MOST_LEVELS:
        raise TooLarge(f"The JSON text is nested more than {MOST_LEVELS} levels deep")


def outside_of_texts(body: bytes) -> bytes:
    """Give what stands outside of the texts of a JSON text, without blanks; of each one quotation mark remains."""
    # Marks within texts are escaped, as backslashes are.
    parts = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    return b'"'.join(parts[::2]).translate(None, _BLANKS)


def count_values(outside: bytes) -> int:
    """Count the values by what `outside_of_texts` gives, objects and lists included."""
    empty = outside.count(b"[]") + outside.count(b"{}")
    return 1 + outside.count(b",") + outside.count(b"[") + outside.count(b"{") - empty


def count_levels(outside: bytes) -> int:
    """Count the levels of objects and lists by what `outside_of_texts` gives."""
    return max(accumulate(map(_STEPS.__getitem__, outside.translate(None, _NO_BRACKETS))), default=0)


def _read_whole(digits: str) -> int | None:
    """Read a whole number that a report can hold; reading longer ones takes the square of their length."""
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _read_odd_json(body: bytes) -> Any:
    if outside_of_texts(body).count(b":") > _MOST_ODD_NAMES:
        raise ValueError("too many names for a text that is not strict JSON")
    try:
        text = body.decode("utf-8", "replace")
        value = json.loads(text, parse_constant=lambda _word: None, parse_int=_read_whole)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("nested deeper than can be read") from None
