"""JSON as we send it: written by orjson, instants as ISO 8601 in UTC with milliseconds and Z."""

from datetime import datetime
from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider

from app.api.wire import iso


class OrjsonProvider(JSONProvider):
    """What Flask uses wherever it makes or reads JSON."""

    def dumps(self, obj: Any, **_options: Any) -> str:
        """Write as text."""
        return _encode(obj).decode()

    def loads(self, s: str | bytes, **_options: Any) -> Any:
        """Read. Raises ValueError for what is not JSON."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Answer with JSON, without the detour over text."""
        return Response(_encode(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


def _encode(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if hasattr(value, "__html__") or type(value).__name__ == "LazyString":
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
