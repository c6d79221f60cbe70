"""JSON as other programs write it: mostly strict, now and then with what the standard does not allow."""

import json
from typing import Any

import orjson


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


def _read_odd_json(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=lambda _: None)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("nested deeper than can be read") from None
