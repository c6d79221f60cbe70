"""Builds the OpenAPI document from routes, access rules, docstrings and schemas."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import Any

import orjson
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask, Response, current_app, request
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields
from werkzeug.routing import Rule as Route

from app import __version__
from app.accounts.network_access import Zone
from app.plugin import Access, AnyOf, ApiGroup, Content, described
from app.plugin.api import Description
from app.runtime import runtime_of
from app.web import guards
from app.web.guards import Rule
from app.web.http import DatabaseTime, IsoInstant, Out

# Conversion of shapes (see `app.plugin.api.described`) to JSON Schema; schemas become named components

JSON = "application/json"
DATABASE_TIME = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"
JsonSchema = dict[str, Any]


class Shapes:
    """The schemas of one document. Each becomes a component when it is first used."""

    def __init__(self) -> None:
        self.plugin = MarshmallowPlugin(schema_name_resolver=self._name)
        self._names: dict[str, type[Schema]] = {}

    def bind(self, spec: APISpec) -> None:
        """Register our own fields with the converter, once its document is known."""
        self._components = spec.components
        assert self.plugin.converter is not None, "made when the document was"  # noqa: S101 (for the type checker)
        self._converter = self.plugin.converter
        self._converter.add_attribute_function(_describe_own_field)  # type: ignore[no-untyped-call]

    def content(self, shape: Any) -> dict[str, Any]:
        """Return the shape by media type, for a request body or a response."""
        if isinstance(shape, AnyOf):
            plain = [one for one in shape.shapes if not isinstance(one, Content)]
            own = [self.content(one) for one in shape.shapes if isinstance(one, Content)]
            as_json = {JSON: {"schema": self.schema(plain[0] if len(plain) == 1 else AnyOf(*plain))}} if plain else {}
            return {**as_json, **{kind: body for one in own for kind, body in one.items()}}
        if isinstance(shape, Content):
            return {kind: {"schema": self.schema(shape)} for kind in shape.media_types}
        return {JSON: {"schema": self.schema(shape)}}

    def schema(self, shape: Any) -> JsonSchema:
        """Return the shape as JSON Schema. Raise TypeError for an invalid shape."""
        if isinstance(shape, type) and issubclass(shape, Schema):
            found: JsonSchema = self._converter.resolve_nested_schema(shape)  # type: ignore[no-untyped-call]
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
        raise TypeError(f"{shape!r} is not a valid body shape")

    def parameters(self, query: Any) -> list[dict[str, Any]]:
        """Return the fields of a query as parameters."""
        if isinstance(query, tuple):
            return [parameter for one in query for parameter in self.parameters(one)]
        named = query if isinstance(query, Mapping) else query().load_fields
        return [self._parameter(field.data_key or name, field) for name, field in named.items()]

    def finish(self) -> None:
        """Set the required fields of responses, and the description of each schema."""
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
        description = {"description": schema.pop("description")} if "description" in schema else {}
        return {"name": name, "in": "query", "required": field.required, "schema": schema, **description}

    def _name(self, schema: Any) -> str:
        """Name a schema by its group and class, since several groups have a `ServerOut`."""
        kind = schema if isinstance(schema, type) else type(schema)
        package = kind.__module__.split(".")
        wanted = f"{package[-2] if len(package) > 1 else package[0]}.{kind.__name__}"
        name, number = wanted, 2
        while self._names.setdefault(name, kind) is not kind:
            name, number = f"{wanted}{number}", number + 1
        return name


def always_there(named: Mapping[str, fields.Field[Any]]) -> list[str]:
    """Return the names of fields that are never missing.

    All but those with `metadata={"optional": True}`.
    """
    return [name for name, field in named.items() if not field.metadata.get("optional")]


def _describe_own_field(_converter: Any, field: fields.Field[Any], **_options: Any) -> JsonSchema:
    """Describe the fields of `app.web.http`, which the converter does not know."""
    if isinstance(field, DatabaseTime):
        return {"type": ["string", "null"], "pattern": DATABASE_TIME}
    if not isinstance(field, IsoInstant):
        return {}
    if field.missing_text is None:
        return {"type": ["string", "null"], "format": "date-time"}
    return {"anyOf": [{"type": "string", "format": "date-time"}, {"const": field.missing_text}]}


# wire: the words of the API documentation, which names them guards
GUARD_NAMES = {Access.PUBLIC: "open", Access.SESSION: "session", Access.USER: "login", Access.ADMIN: "admin"}

# Error responses of an operation that follow from its access rule, its body and its path.

ERROR: dict[str, Any] = {
    "type": "object",
    "description": "An error. Some errors have additional fields.",
    "required": ["error", "timestamp"],
    "properties": {
        "error": {"type": "string", "description": "Error message"},
        "timestamp": {"type": "string", "format": "date-time"},
        "errorCode": {"type": "string", "description": "Error code for programs"},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Messages for invalid fields of the body or query, by path",
        },
        "message": {"type": "string", "description": "Technical message, in development mode only"},
        "stack": {"type": "string", "description": "Stack trace, in development mode only"},
    },
}
SENTENCES = {
    400: "Invalid body or query",
    401: "Not signed in, session expired, or API key invalid",
    403: "Not permitted, CSRF token invalid, or address not on an allow list",
    404: "Not found, or not visible to the caller",
    409: "Conflict with the current state",
    413: "Body too large",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Unexpected error; see the application log",
    501: "Not supported by this database",
    502: "Unexpected response from another server",
    503: "Service temporarily unavailable",
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "string", "pattern": r"^\d+$"}}}


def error_components() -> dict[str, dict[str, Any]]:
    """Return the error responses that operations refer to."""
    return {f"Error{status}": _response(status, "application/json") for status in SENTENCES}


def error_statuses(
    rule: Rule, group: ApiGroup, route: Route, description: Description, *, is_api: bool
) -> dict[int, dict[str, Any]]:
    """Return the error responses by status. Errors outside of /api are pages."""
    return {
        status: _error_answer(status, is_api=is_api) for status in sorted(_statuses(rule, group, route, description))
    }


def _statuses(rule: Rule, group: ApiGroup, route: Route, description: Description) -> set[int]:
    found = {500, 503, *description.errors}
    if rule.access is not Access.PUBLIC:
        found |= {401, 403}
    if rule.access in (Access.USER, Access.ADMIN):
        found.add(429)  # for repeated invalid keys
    if rule.zone is not None:
        found.add(429 if rule.zone is Zone.PROBES else 403)
    if group.key_scope:
        found |= {401, 403, 429}
    if description.body is not None:
        found |= {400, 413}
    if description.query is not None:
        found.add(400)
    if route.arguments:
        found.add(404)
    return found


def _error_answer(status: int, *, is_api: bool) -> dict[str, Any]:
    return {"$ref": f"#/components/responses/Error{status}"} if is_api else _response(status, "text/html")


def _response(status: int, media_type: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"} if media_type == "application/json" else {"type": "string"}
    headers = {"headers": RETRY_AFTER} if status == 429 else {}
    return {"description": SENTENCES[status], "content": {media_type: {"schema": schema}}, **headers}


# Security schemes: who may call what

SCHEMES: dict[str, dict[str, Any]] = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionId",
        "description": "The session created by `GET /api/csrf` and authenticated by `POST /api/auth/login`",
    },
    "csrfToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRF-Token",
        "description": "The CSRF token of the session, from `GET /api/csrf`",
    },
    "keyInQuery": {"type": "apiKey", "in": "query", "name": "api_key", "description": "An API key"},
    "keyInHeader": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key"},
    "keyAsBearer": {"type": "http", "scheme": "bearer", "description": "An API key"},
}
KEYS_IN_HEADERS: list[dict[str, list[str]]] = [{"keyInHeader": []}, {"keyAsBearer": []}]
# Where keys are not required, nothing is; so the empty requirement comes first.
ANY_KEY_OR_NONE: list[dict[str, list[str]]] = [{}, {"keyInQuery": []}, *KEYS_IN_HEADERS]


def requirements(rule: Rule, group: ApiGroup, methods: set[str]) -> list[dict[str, list[str]]]:
    """Return the security requirements, each of which is sufficient."""
    if rule.access is Access.PUBLIC:
        return ANY_KEY_OR_NONE if group.key_scope else []
    session: dict[str, list[str]] = {"session": []}
    if rule.csrf and "GET" not in methods:
        session["csrfToken"] = []
    return [session] if rule.access is Access.SESSION else [session, *KEYS_IN_HEADERS]


OPENAPI = "3.1.0"
UNTOLD_METHODS = {"HEAD", "OPTIONS"}
# Werkzeug's converters of other types than text.
PATH_TYPES = {"int": "integer", "float": "number"}
TITLE = "duplistatus"
ABOUT = """
Times are ISO 8601 in UTC, sizes are bytes, errors are `{"error", "timestamp"}` with optional additional fields.
`GET /api/csrf` creates a session; send its token in the header `X-CSRF-Token` with every request that changes
data. `POST /api/auth/login` signs in. Programs use an API key instead.
"""


def build_document(app: Flask) -> dict[str, Any]:
    """Describe every route of every registered group, also of plugins."""
    groups = runtime_of(app).registry.api_groups
    shapes = Shapes()
    spec = APISpec(
        TITLE,
        __version__,
        OPENAPI,
        plugins=[shapes.plugin],
        info={"description": cleandoc(ABOUT)},
        tags=[{"name": group.name, "description": group.summary} for group in groups.values()],
    )
    shapes.bind(spec)
    for name, scheme in SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    spec.components.schema("Error", ERROR)
    for name, response in error_components().items():
        spec.components.response(name, response)
    for path, route, group in sorted(described_routes(app, groups), key=lambda found: found[0]):
        methods = sorted((route.methods or set()) - UNTOLD_METHODS)
        spec.path(path, operations={method.lower(): _operation(app, route, group, path, shapes) for method in methods})
    shapes.finish()
    document: dict[str, Any] = spec.to_dict()
    return document


def described_routes(app: Flask, groups: Mapping[str, ApiGroup]) -> list[tuple[str, Route, ApiGroup]]:
    """Return the routes of the groups, with their OpenAPI paths below the base path."""
    base_path = runtime_of(app).config.base_path
    return [
        (re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", route.rule.removeprefix(base_path)), route, groups[group_name])
        for route in app.url_map.iter_rules()
        if (group_name := route.endpoint.partition(".")[0]) in groups and "." in route.endpoint
    ]


def _operation(app: Flask, route: Route, group: ApiGroup, path: str, shapes: Shapes) -> dict[str, Any]:
    view = app.view_functions[route.endpoint]
    rule = runtime_of(app).part(guards.Rules)[route.endpoint]
    description: Description = getattr(view, "description", Description())
    summary, _, more = cleandoc(view.__doc__ or "").partition("\n")
    operation: dict[str, Any] = {
        "operationId": route.endpoint,
        "tags": [group.name],
        "summary": summary.rstrip("."),
        "x-guard": GUARD_NAMES[rule.access],
        "security": requirements(rule, group, route.methods or set()),
        "responses": {
            str(status): _answer(shape, shapes) for status, shape in (description.answers or {200: None}).items()
        },
    }
    if more.strip():
        operation["description"] = more.strip()
    parameters = [_path_parameter(name, route) for name in sorted(route.arguments)]
    if description.query is not None:
        parameters += shapes.parameters(description.query)
    if parameters:
        operation["parameters"] = parameters
    if description.body is not None:
        operation["requestBody"] = {
            "required": not description.is_body_optional,
            "content": shapes.content(description.body),
        }
    for status, answer in error_statuses(rule, group, route, description, is_api=path.startswith("/api")).items():
        operation["responses"].setdefault(str(status), answer)
    return operation


def _answer(shape: Any, shapes: Shapes) -> dict[str, Any]:
    description = "Success"
    return (
        {"description": description}
        if shape is None
        else {"description": description, "content": shapes.content(shape)}
    )


def _path_parameter(name: str, route: Route) -> dict[str, Any]:
    found = re.search(rf"<(\w+)(?:\((.*?)\))?:{re.escape(name)}>", route.rule)
    kind, options = (found[1], found[2] or "") if found else ("string", "")
    schema: dict[str, Any] = {"type": PATH_TYPES.get(kind, "string")}
    if kind == "any":
        schema["enum"] = [word.strip() for word in options.split(",")]
    elif schema["type"] == "string":
        schema["minLength"] = 1
    return {"name": name, "in": "path", "required": True, "schema": schema}


# The document, built once per application and encoded once per URL at which it is reached

# URLs come from proxies; more than a few mean that a client is forging headers.
MOST_ADDRESSES = 8


@dataclass
class BuiltDocument:
    """The document, and its JSON with an ETag by base URL."""

    document: dict[str, Any]
    encoded: dict[str, tuple[bytes, str]] = field(default_factory=dict)


def document(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of the application."""
    return _built(app).document


def _built(app: Flask) -> BuiltDocument:
    return runtime_of(app).part(BuiltDocument, lambda: BuiltDocument(build_document(app)))


def encoded_document(app: Flask, script_root: str) -> tuple[bytes, str]:
    """Return the document as JSON and its ETag.

    Its server is the URL that the client sees.
    """
    known = _built(app).encoded
    if script_root not in known:
        if len(known) >= MOST_ADDRESSES:
            known.clear()
        base_path = runtime_of(app).config.base_path
        body = orjson.dumps(document(app) | {"servers": [{"url": f"{script_root}{base_path}" or "/"}]})
        known[script_root] = body, hashlib.blake2b(body, digest_size=12).hexdigest()
    return known[script_root]


# View

bp = Blueprint("openapi", __name__)


@bp.get("/openapi.json")
@described({200: fields.Dict(), 304: None})
def show() -> ResponseReturnValue:
    """Get this document: all endpoints of the API in OpenAPI 3.1."""
    body, etag = encoded_document(current_app, request.script_root)
    answer = Response(body, mimetype="application/json")
    answer.set_etag(etag)
    return answer.make_conditional(request)


# The OpenAPI document, for programs

# Public, since the document of an open-source program contains no secret, and tools that read it have no session.
group = ApiGroup(name="openapi", blueprint=bp, access=Access.PUBLIC, csrf=False, summary="OpenAPI description")
