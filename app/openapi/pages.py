"""The API documentation as a page, built from the OpenAPI document."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask, current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from markupsafe import Markup, escape

from app.core.db.orm import LONGEST_SEARCH
from app.openapi.document import document
from app.plugin import Access, guarded
from app.runtime import runtime_of

bp = Blueprint("api_manual", __name__)

# Deeper schemas are named but not expanded.
DEEPEST = 5
WHO = {"open": _("Everyone"), "session": _("Any session"), "login": _("Signed in"), "admin": _("Administrators")}
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Field:
    """A row of a table: a parameter, or a field of a body, possibly nested."""

    name: str
    kind: str
    is_required: bool = False
    about: str = ""
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Body:
    """A body in one media type; `kind` describes it as a whole."""

    media_type: str
    kind: str
    fields: tuple[Field, ...]

    @property
    def is_json(self) -> bool:
        """Whether the media type is JSON, as nearly always, and need not be named."""
        return self.media_type == JSON

    @property
    def is_list(self) -> bool:
        """Whether the fields are those of each element of an array."""
        return self.kind.startswith("list")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response with one status."""

    status: str
    phrase: str
    about: str
    bodies: tuple[Body, ...]

    @property
    def is_error(self) -> bool:
        """Whether the status is an error."""
        return self.status[0] in "45"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    anchor: str
    method: str
    path: str
    summary: str
    about: str
    who: LazyString
    guard: str
    needs_token: bool
    takes_keys: bool
    parameters: tuple[Field, ...]
    bodies: tuple[Body, ...]
    answers: tuple[Answer, ...]
    errors: tuple[Answer, ...]

    def matches(self, words: list[str]) -> bool:
        """Whether every word occurs in the path or in the description."""
        text = f"{self.method} {self.path} {self.summary} {self.who}".lower()
        return all(word in text for word in words)


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of one API group."""

    name: str
    summary: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Manual:
    """The groups as the page shows them."""

    groups: tuple[Group, ...]


@bp.get("/api/docs")
@guarded(Access.PUBLIC)
def show() -> ResponseReturnValue:
    """Show the API documentation."""
    words = request.args.get("q", "")[:LONGEST_SEARCH].lower().split()
    groups = [found for group in groups_of(current_app) if (found := narrowed(group, words)).operations]
    about = document(current_app)["info"]["description"]
    return render_template("openapi/page.html", groups=groups, wanted=" ".join(words), about=about, marked=marked)


def groups_of(app: Flask) -> tuple[Group, ...]:
    """Return all groups, built once per application."""
    return runtime_of(app).part(Manual, lambda: Manual(lay_out(document(app)))).groups


def narrowed(group: Group, words: list[str]) -> Group:
    """Return the group with only the matching operations."""
    matching = tuple(operation for operation in group.operations if operation.matches(words))
    return Group(group.name, group.summary, matching)


def lay_out(spec: Mapping[str, Any]) -> tuple[Group, ...]:
    """Return the operations of the document by group, sorted by path."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in spec["tags"]}
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_operation(spec, path, method, operation))
    return tuple(Group(tag["name"], tag["description"], tuple(found[tag["name"]])) for tag in spec["tags"])


def marked(text: str) -> Markup:
    """Return plain text as HTML: `code` marked up, everything else escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped just now)


def _operation(spec: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Operation:
    answers = tuple(_answer(spec, status, response) for status, response in sorted(operation["responses"].items()))
    schemes = {name for requirement in operation["security"] for name in requirement}
    return Operation(
        anchor=f"{operation['operationId'].replace('.', '-')}-{method}",
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        about=operation.get("description", ""),
        who=WHO[operation["x-guard"]],
        guard=operation["x-guard"],
        needs_token="csrfToken" in schemes,
        takes_keys="keyInHeader" in schemes,
        parameters=tuple(_parameter(spec, parameter) for parameter in operation.get("parameters", ())),
        bodies=_bodies(spec, operation.get("requestBody", {})),
        answers=tuple(answer for answer in answers if not answer.is_error or answer.bodies),
        errors=tuple(answer for answer in answers if answer.is_error and not answer.bodies),
    )


def _parameter(spec: Mapping[str, Any], parameter: Mapping[str, Any]) -> Field:
    location = "in the address" if parameter["in"] == "path" else "after ?"
    about = parameter.get("description", "")
    kind = f"{_kind(spec, parameter['schema'])}, {location}"
    return Field(parameter["name"], kind, parameter["required"], about)


def _answer(spec: Mapping[str, Any], status: str, response: Mapping[str, Any]) -> Answer:
    # The common shape of errors is described once, at the top of the page.
    is_common = "$ref" in response
    response = _resolved(spec, response)
    return Answer(
        status,
        HTTPStatus(int(status)).phrase,
        response["description"],
        () if is_common else _bodies(spec, response),
    )


def _bodies(spec: Mapping[str, Any], response: Mapping[str, Any]) -> tuple[Body, ...]:
    return tuple(
        Body(media_type, _kind(spec, content["schema"]), tuple(_fields(spec, content["schema"])))
        for media_type, content in response.get("content", {}).items()
    )


def _fields(spec: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> Iterator[Field]:
    schema = _resolved(spec, schema)
    if depth > DEEPEST:
        return
    for inner in (schema.get("items"), *schema.get("anyOf", ())):
        if inner:
            yield from _fields(spec, inner, depth)
    further = schema.get("additionalProperties")
    if isinstance(further, Mapping) and further:
        yield Field("(any name)", _kind(spec, further), depth=depth)
        yield from _fields(spec, further, depth + 1)
    needed = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        yield Field(name, _kind(spec, inner), name in needed, inner.get("description", ""), depth)
        yield from _fields(spec, inner, depth + 1)


def _kind(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words."""
    schema = _resolved(spec, schema)
    if "const" in schema:
        return f'"{schema["const"]}"' if schema["const"] else "empty"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(spec, one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join("null" if word is None else str(word) or "empty" for word in schema["enum"])
    kinds = schema.get("type", "anything")
    names = [_type_name(spec, kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return " or ".join(names)


def _type_name(spec: Mapping[str, Any], kind: str, schema: Mapping[str, Any]) -> str:
    if kind == "array":
        return f"list of {_kind(spec, schema.get('items', {}))}"
    if kind == "string":
        return {"date-time": "time", "date": "day", "binary": "file"}.get(schema.get("format", ""), "text")
    return {"integer": "whole number", "boolean": "true or false"}.get(kind, kind)


def _resolved(spec: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        _, _, kind, name = part["$ref"].split("/")
        part = spec["components"][kind][name]
    return part
