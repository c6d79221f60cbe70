"""Turns the shapes of the contract into JSON Schema, and the schemas among them into named components."""

from collections.abc import Mapping
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields

from app.api.wire import DatabaseTime, IsoInstant, Out
from app.contracts import AnyOf, Content

JSON = "application/json"
DATABASE_TIME = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"
JsonSchema = dict[str, Any]


class Shapes:
    """The schemas of one document. Each becomes a component when it is first met."""

    def __init__(self) -> None:
        self.plugin = MarshmallowPlugin(schema_name_resolver=self._name)
        self._names: dict[str, type[Schema]] = {}

    def bind(self, spec: APISpec) -> None:
        """Teach the converter our own fields, once the document that it writes to is known."""
        self._components = spec.components
        assert self.plugin.converter is not None, "made when the document was"  # noqa: S101 (for the type checker)
        self._converter = self.plugin.converter
        self._converter.add_attribute_function(_describe_own_field)

    def content(self, shape: Any) -> dict[str, Any]:
        """The shape by media type, as a body or an answer holds it."""
        if isinstance(shape, AnyOf):
            plain = [one for one in shape.shapes if not isinstance(one, Content)]
            own = [self.content(one) for one in shape.shapes if isinstance(one, Content)]
            as_json = {JSON: {"schema": self.schema(plain[0] if len(plain) == 1 else AnyOf(*plain))}} if plain else {}
            return {**as_json, **{kind: body for one in own for kind, body in one.items()}}
        if isinstance(shape, Content):
            return {kind: {"schema": self.schema(shape)} for kind in shape.media_types}
        return {JSON: {"schema": self.schema(shape)}}

    def schema(self, shape: Any) -> JsonSchema:
        """The shape as JSON Schema. Raises TypeError for what is no shape."""
        if isinstance(shape, type) and issubclass(shape, Schema):
            found: JsonSchema = self._converter.resolve_nested_schema(shape)
            return found
        if isinstance(shape, fields.Field):
            return dict(self._converter.field2property(shape))
        if isinstance(shape, Mapping):
            properties = {name: self.schema(field) for name, field in shape.items()}
            return {"type": "object", "properties": properties, "required": always_there(shape)}
        if isinstance(shape, list):
            return {"type": "array", "items": self.schema(shape[0])}
        if isinstance(shape, AnyOf):
            return {"anyOf": [self.schema(one) for one in shape.shapes]}
        if isinstance(shape, Content):
            return {"type": "string"} if shape.shape is None else self.schema(shape.shape)
        raise TypeError(f"{shape!r} is no shape of a body")

    def parameters(self, query: Any) -> list[dict[str, Any]]:
        """The fields of a query as parameters."""
        if isinstance(query, tuple):
            return [parameter for one in query for parameter in self.parameters(one)]
        named = query if isinstance(query, Mapping) else query().load_fields
        return [self._parameter(field.data_key or name, field) for name, field in named.items()]

    def finish(self) -> None:
        """Say of each answer which of its fields are always there, and give each schema its sentence."""
        for name, schema in self._names.items():
            component = self._components.schemas[name]
            if issubclass(schema, Out):
                named = {field.data_key or key: field for key, field in schema().dump_fields.items()}
                component["required"] = always_there(named)
            sentence = (schema.__dict__.get("__doc__") or "").strip()
            if sentence:
                component["description"] = sentence

    def _parameter(self, name: str, field: fields.Field[Any]) -> dict[str, Any]:
        schema = self.schema(field)
        said = {"description": schema.pop("description")} if "description" in schema else {}
        return {"name": name, "in": "query", "required": field.required, "schema": schema, **said}

    def _name(self, schema: Any) -> str:
        """Name a schema by its group and class, since several groups have a `ServerOut`."""
        kind = schema if isinstance(schema, type) else type(schema)
        room = kind.__module__.split(".")
        wanted = f"{room[-2] if len(room) > 1 else room[0]}.{kind.__name__}"
        name, number = wanted, 2
        while self._names.setdefault(name, kind) is not kind:
            name, number = f"{wanted}{number}", number + 1
        return name


def always_there(named: Mapping[str, fields.Field[Any]]) -> list[str]:
    """The names of the fields that no answer lacks: all but those marked `metadata={"optional": True}`."""
    return [name for name, field in named.items() if not field.metadata.get("optional")]


def _describe_own_field(_converter: Any, field: fields.Field[Any], **_options: Any) -> JsonSchema:
    """Describe the fields of `app.api.wire`, which the converter does not know."""
    if isinstance(field, DatabaseTime):
        return {"type": ["string", "null"], "pattern": DATABASE_TIME}
    if not isinstance(field, IsoInstant):
        return {}
    if field.missing_text is None:
        return {"type": ["string", "null"], "format": "date-time"}
    return {"anyOf": [{"type": "string", "format": "date-time"}, {"const": field.missing_text}]}
