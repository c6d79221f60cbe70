"""How values look on the wire, and schemas that dump fast."""

from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from marshmallow import Schema, ValidationError, fields

from app.domain.instants import iso as iso
from app.domain.request_headers import BadHeader, check_headers

NOT_AVAILABLE = "N/A"
# What many views answer, and what functions of a row give, for the description of the API.
MESSAGE: dict[str, fields.Field[Any]] = {"message": fields.String()}
DONE: dict[str, fields.Field[Any]] = {"success": fields.Boolean(), **MESSAGE}
TEXT = {"type": "string"}
SOMETIMES = {"optional": True}
NUMBER = {"type": "number"}
COUNT = {"type": "integer"}
COUNT_OR_NULL = {"type": ["integer", "null"]}
TRUTH = {"type": "boolean"}
TEXTS = {"type": "array", "items": TEXT}
PLAIN_FIELDS = (fields.String, fields.Integer, fields.Float, fields.Boolean, fields.Raw)


class IsoInstant(fields.Field):
    """An instant as ISO 8601 text; None as null, or as `missing`."""

    def __init__(self, *, missing: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.missing_text = missing

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return self.missing_text if value is None else iso(value)


class DatabaseTime(fields.Field):
    """An instant as `YYYY-MM-DD HH:MM:SS` in UTC; None as null."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


class Out(Schema):
    """A schema of an answer, dumped by plain attribute access: lists of thousands of rows go out.

    marshmallow's own way looks every value up through several layers, which took two thirds of a dashboard's time.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._writers = [_writer(name, field) for name, field in self.dump_fields.items()]

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """Turn one object, or with `many` each of several, into wire names and plain values."""
        if self.many if many is None else many:
            return [self._dump_one(item) for item in obj]
        return self._dump_one(obj)

    def _dump_one(self, obj: Any) -> dict[str, Any]:
        return {key: write(obj) for key, write in self._writers}


def _writer(name: str, field: fields.Field) -> tuple[str, Callable[[Any], Any]]:
    key = field.data_key or name
    read = attrgetter(field.attribute or name)
    if isinstance(field, fields.Function | fields.Method):
        return key, lambda obj: field.serialize(name, obj)
    if isinstance(field, fields.Nested):
        return key, lambda obj: field.schema.dump(read(obj))
    if type(field) in PLAIN_FIELDS:
        return key, read
    return key, lambda obj: field._serialize(read(obj), name, obj)


class RequestHeaders(fields.Dict):
    """Request headers for a server, by name; those that cannot be sent are refused by name."""

    def __init__(self, **options: Any) -> None:
        sentence = "Sent with every request to the server, for a proxy with a sign-in in front of it; given back masked"
        super().__init__(fields.String(), fields.String(), metadata={"description": sentence}, **options)

    def _deserialize(self, value: Any, attr: Any, data: Any, **options: Any) -> dict[str, str]:
        try:
            return check_headers(super()._deserialize(value, attr, data, **options))
        except BadHeader as wrong:
            raise ValidationError(str(wrong)) from wrong
