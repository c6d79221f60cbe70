"""The API as a page: laid out from the OpenAPI document, so that it is always about what is installed."""

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

from app.core.db.transaction import LONGEST_SEARCH
from app.openapi.document import document
from app.plugin import Guard, guarded

bp = Blueprint("api_manual", __name__)

LAID_OUT = "duplistatus.api_manual"
# Further in, a schema is named and no longer unfolded.
DEEPEST = 5
WHO = {"open": _("Everyone"), "session": _("Any session"), "login": _("Signed in"), "admin": _("Administrators")}
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a table: a parameter, or a field of a body at some depth within it."""

    name: str
    kind: str
    is_required: bool = False
    about: str = ""
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Body:
    """A body in one media type; `kind` says what it is as a whole."""

    media_type: str
    kind: str
    fields: tuple[Field, ...]

    @property
    def is_json(self) -> bool:
        """Whether it needs no word about its kind, since nearly all are so."""
        return self.media_type == JSON

    @property
    def is_list(self) -> bool:
        """Whether the fields are those of each element."""
        return self.kind.startswith("list")


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back with one status."""

    status: str
    phrase: str
    about: str
    bodies: tuple[Body, ...]

    @property
    def is_error(self) -> bool:
        """Whether something went wrong."""
        return self.status[0] in "45"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

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
        """Whether every word stands in the address or in what is said of it."""
        text = f"{self.method} {self.path} {self.summary} {self.who}".lower()
        return all(word in text for word in words)


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of one API group."""

    name: str
    summary: str
    operations: tuple[Operation, ...]


@bp.get("/api/docs")
@guarded(Guard.OPEN)
def show() -> ResponseReturnValue:
    """The API for people: every address, who may call it, what it takes and gives."""
    words = request.args.get("q", "")[:LONGEST_SEARCH].lower().split()
    groups = [found for group in groups_of(current_app) if (found := narrowed(group, words)).operations]
    about = document(current_app)["info"]["description"]
    return render_template("openapi/page.html", groups=groups, wanted=" ".join(words), about=about, marked=marked)


def groups_of(app: Flask) -> tuple[Group, ...]:
    """All groups, laid out once for each application."""
    found: tuple[Group, ...] | None = app.extensions.get(LAID_OUT)
    if found is None:
        found = app.extensions[LAID_OUT] = lay_out(document(app))
    return found


def narrowed(group: Group, words: list[str]) -> Group:
    """The group with the operations that match."""
    kept = tuple(operation for operation in group.operations if operation.matches(words))
    return Group(group.name, group.summary, kept)


def lay_out(told: Mapping[str, Any]) -> tuple[Group, ...]:
    """The document as groups of operations, those of a group by address."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in told["tags"]}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_operation(told, path, method, operation))
    return tuple(Group(tag["name"], tag["description"], tuple(found[tag["name"]])) for tag in told["tags"])


def marked(text: str) -> Markup:
    """Plain text with its `code` marked as such, and everything else escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped just now)


def _operation(told: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Operation:
    answers = tuple(_answer(told, status, said) for status, said in sorted(operation["responses"].items()))
    ways = {name for way in operation["security"] for name in way}
    return Operation(
        anchor=f"{operation['operationId'].replace('.', '-')}-{method}",
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        about=operation.get("description", ""),
        who=WHO[operation["x-guard"]],
        guard=operation["x-guard"],
        needs_token="csrfToken" in ways,
        takes_keys="keyInHeader" in ways,
        parameters=tuple(_parameter(told, parameter) for parameter in operation.get("parameters", ())),
        bodies=_bodies(told, operation.get("requestBody", {})),
        answers=tuple(answer for answer in answers if not answer.is_error or answer.bodies),
        errors=tuple(answer for answer in answers if answer.is_error and not answer.bodies),
    )


def _parameter(told: Mapping[str, Any], parameter: Mapping[str, Any]) -> Field:
    place = "in the address" if parameter["in"] == "path" else "after ?"
    about = parameter.get("description", "")
    kind = f"{_kind(told, parameter['schema'])}, {place}"
    return Field(parameter["name"], kind, parameter["required"], about)


def _answer(told: Mapping[str, Any], status: str, said: Mapping[str, Any]) -> Answer:
    # The common shape of errors is told once, at the head of the page.
    is_common = "$ref" in said
    said = _resolved(told, said)
    return Answer(status, HTTPStatus(int(status)).phrase, said["description"], () if is_common else _bodies(told, said))


def _bodies(told: Mapping[str, Any], said: Mapping[str, Any]) -> tuple[Body, ...]:
    return tuple(
        Body(media_type, _kind(told, content["schema"]), tuple(_fields(told, content["schema"])))
        for media_type, content in said.get("content", {}).items()
    )


def _fields(told: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> Iterator[Field]:
    schema = _resolved(told, schema)
    if depth > DEEPEST:
        return
    for inner in (schema.get("items"), *schema.get("anyOf", ())):
        if inner:
            yield from _fields(told, inner, depth)
    further = schema.get("additionalProperties")
    if isinstance(further, Mapping) and further:
        yield Field("(any name)", _kind(told, further), depth=depth)
        yield from _fields(told, further, depth + 1)
    needed = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        yield Field(name, _kind(told, inner), name in needed, inner.get("description", ""), depth)
        yield from _fields(told, inner, depth + 1)


def _kind(told: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a value is, in words."""
    schema = _resolved(told, schema)
    if "const" in schema:
        return f'"{schema["const"]}"' if schema["const"] else "empty"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(told, one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join("null" if word is None else str(word) or "empty" for word in schema["enum"])
    kinds = schema.get("type", "anything")
    words = [_word(told, kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return " or ".join(words)


def _word(told: Mapping[str, Any], kind: str, schema: Mapping[str, Any]) -> str:
    if kind == "array":
        return f"list of {_kind(told, schema.get('items', {}))}"
    if kind == "string":
        return {"date-time": "time", "date": "day", "binary": "file"}.get(schema.get("format", ""), "text")
    return {"integer": "whole number", "boolean": "true or false"}.get(kind, kind)


def _resolved(told: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        _, _, kind, name = part["$ref"].split("/")
        part = told["components"][kind][name]
    return part
