"""Values in API responses, and schemas that serialize fast."""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

import orjson
from flask import Response, request, send_file
from flask.json.provider import JSONProvider
from marshmallow import Schema, ValidationError, fields

from app.backups.servers import BadHeader, check_headers
from app.core.db.cache import cache
from app.core.instants import iso

NOT_AVAILABLE = "N/A"
# Shared fields of responses, and base class of schemas
MESSAGE: dict[str, fields.Field[Any]] = {"message": fields.String()}
DONE: dict[str, fields.Field[Any]] = {"success": fields.Boolean(), **MESSAGE}
TEXT = {"type": "string"}
SOMETIMES = {"optional": True}
NUMBER = {"type": "number"}
COUNT = {"type": "integer"}
COUNT_OR_NULL = {"type": ["integer", "null"]}
TEXTS = {"type": "array", "items": TEXT}


class IsoInstant(fields.Field[Any]):
    """An instant as ISO 8601 text; None as null, or as `missing`."""

    def __init__(self, *, missing: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.missing_text = missing

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return self.missing_text if value is None else iso(value)


class DatabaseTime(fields.Field[Any]):
    """An instant as `YYYY-MM-DD HH:MM:SS` in UTC; None as null."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


class Out(Schema):
    """A schema of a response. A missing attribute is an error.

    Marshmallow would leave out the key.
    """

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Read an attribute, or a dotted path of several."""
        return attrgetter(attr)(obj)


class RequestHeaders(fields.Dict):
    """Request headers for a server, by name; invalid ones are rejected by name."""

    def __init__(self, **options: Any) -> None:
        sentence = "Sent with every request to the server, for a proxy that requires authentication; returned masked"
        super().__init__(fields.String(), fields.String(), metadata={"description": sentence}, **options)

    def _deserialize(self, value: Any, attr: Any, data: Any, **options: Any) -> dict[str, str]:
        try:
            return check_headers(super()._deserialize(value, attr, data, **options))  # type: ignore[no-untyped-call]
        except BadHeader as wrong:
            raise ValidationError(str(wrong)) from wrong


# JSON in responses: written by orjson, instants as ISO 8601 in UTC with milliseconds and Z


class OrjsonProvider(JSONProvider):
    """Flask's JSON provider."""

    def dumps(self, obj: Any, **_options: Any) -> str:
        """Write as text."""
        return _encode_value(obj).decode()

    def loads(self, s: str | bytes, **_options: Any) -> Any:
        """Read. Raise ValueError for invalid JSON."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a JSON response, without converting to text in between."""
        return Response(_encode_value(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


def _encode_value(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if hasattr(value, "__html__") or type(value).__name__ == "LazyString":
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


# Responses that are built once per state of the database, with an ETag, and sent as bytes

JSON = "application/json"
# Sets of docs/compatibility/conventions.md#cache-headers; B adds nosniff to C.
NO_STORE = {"Cache-Control": "no-store, no-cache, must-revalidate", "Pragma": "no-cache"}
CACHE_SET_A = {**NO_STORE, "Expires": "0"}
CACHE_SET_B = {**NO_STORE, "X-Content-Type-Options": "nosniff"}
CACHE_SET_C = NO_STORE


def cached_json(
    key: Hashable,
    build: Callable[[], Any],
    *,
    moment: Hashable = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Respond with the result of `build` as JSON, cached until the database changes.

    304 if the client has it. See `ExactCache.get` for `moment`. Errors raised by `build` are not cached.
    """
    body, etag = cache().get(("json", key), lambda: _encode(build()), moment=moment)
    is_known = request.headers.get("If-None-Match") == etag
    answer = Response(status=304) if is_known else Response(body, mimetype=JSON)
    answer.headers["ETag"] = etag
    if headers:
        answer.headers.extend(headers)
    return answer


def streamed_list(rows: Iterable[Any], dump: Callable[[Any], dict[str, Any]]) -> Response:
    """Stream a JSON array while it is read; `rows` must not need the request context."""

    def parts() -> Iterator[bytes]:
        separator = b"["
        for row in rows:
            yield separator + orjson.dumps(dump(row))
            separator = b","
        yield b"]" if separator == b"," else b"[]"

    return Response(parts(), mimetype=JSON)


def saved_file(file: Path | IO[bytes], name: str, mimetype: str) -> Response:
    """Respond with a file to save under this name.

    Intermediate caches must not store it.
    """
    answer = send_file(file, mimetype=mimetype, as_attachment=True, download_name=name)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _encode(value: Any) -> tuple[bytes, str]:
    body = orjson.dumps(value)
    return body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


# CSV for spreadsheets: no cell is a formula

# First characters that a spreadsheet takes for a formula.
FORMULA_CHARACTERS = ("=", "+", "-", "@", "\t", "\r")


def csv_line(cells: Iterable[object]) -> str:
    """Return one line without its end.

    None is an empty cell, and numbers stay numbers, also negative ones.
    """
    return ",".join(_cell(cell) for cell in cells)


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return str(value)
    text = "" if value is None else str(value)
    if text.startswith(FORMULA_CHARACTERS):
        text = f"'{text}"
    # The csv module leaves a carriage return unquoted unless lines end with one.
    return '"' + text.replace('"', '""') + '"' if any(char in text for char in ',"\n\r') else text
