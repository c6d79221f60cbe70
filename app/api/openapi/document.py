"""Builds the OpenAPI document from what is there anyway: routes, guards, docstrings and schemas."""

import re
from inspect import cleandoc
from typing import Any

from apispec import APISpec
from flask import Flask
from werkzeug.routing import Rule as Route

from app import __version__
from app.api import guards
from app.api.openapi.errors import ERROR, error_components, error_statuses
from app.api.openapi.security import SCHEMES, requirements
from app.api.openapi.shapes import Shapes
from app.contracts import ApiGroup
from app.contracts.description import Description

OPENAPI = "3.1.0"
UNTOLD_METHODS = {"HEAD", "OPTIONS"}
# The converters of Werkzeug that stand for something else than text.
PATH_TYPES = {"int": "integer", "float": "number"}
TITLE = "duplistatus"
ABOUT = """
Times are ISO 8601 in UTC, sizes are bytes, errors are `{"error", "timestamp"}` and may hold more.
A session begins with `GET /api/csrf`, whose token goes into the header `X-CSRF-Token` of every request that changes
something; `POST /api/auth/login` signs it in. Programs come with an API key instead.
"""


def build_document(app: Flask) -> dict[str, Any]:
    """Describe every route of every registered group, a guest's as well."""
    groups: dict[str, ApiGroup] = app.extensions["duplistatus.registry"].api_groups
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


def described_routes(app: Flask, groups: dict[str, ApiGroup]) -> list[tuple[str, Route, ApiGroup]]:
    """The routes of the groups, with their addresses below the base path as OpenAPI writes them."""
    base_path = app.extensions["duplistatus.settings"].base_path
    return [
        (re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", route.rule.removeprefix(base_path)), route, groups[group_name])
        for route in app.url_map.iter_rules()
        if (group_name := route.endpoint.partition(".")[0]) in groups and "." in route.endpoint
    ]


def _operation(app: Flask, route: Route, group: ApiGroup, path: str, shapes: Shapes) -> dict[str, Any]:
    view = app.view_functions[route.endpoint]
    rule: guards.Rule = app.extensions[guards.RULES][route.endpoint]
    told: Description = getattr(view, "description", Description())
    summary, _, more = cleandoc(view.__doc__ or "").partition("\n")
    operation: dict[str, Any] = {
        "operationId": route.endpoint,
        "tags": [group.name],
        "summary": summary.rstrip("."),
        "x-guard": rule.guard.name.lower(),
        "security": requirements(rule, group, route.methods or set()),
        "responses": {str(status): _answer(shape, shapes) for status, shape in (told.answers or {200: None}).items()},
    }
    if more.strip():
        operation["description"] = more.strip()
    parameters = [_path_parameter(name, route) for name in sorted(route.arguments)]
    if told.query is not None:
        parameters += shapes.parameters(told.query)
    if parameters:
        operation["parameters"] = parameters
    if told.body is not None:
        operation["requestBody"] = {"required": not told.is_body_optional, "content": shapes.content(told.body)}
    for status, answer in error_statuses(rule, group, route, told, is_api=path.startswith("/api")).items():
        operation["responses"].setdefault(str(status), answer)
    return operation


def _answer(shape: Any, shapes: Shapes) -> dict[str, Any]:
    said = "As asked for"
    return {"description": said} if shape is None else {"description": said, "content": shapes.content(shape)}


def _path_parameter(name: str, route: Route) -> dict[str, Any]:
    found = re.search(rf"<(\w+)(?:\((.*?)\))?:{re.escape(name)}>", route.rule)
    kind, options = (found[1], found[2] or "") if found else ("string", "")
    schema: dict[str, Any] = {"type": PATH_TYPES.get(kind, "string")}
    if kind == "any":
        schema["enum"] = [word.strip() for word in options.split(",")]
    elif schema["type"] == "string":
        schema["minLength"] = 1
    return {"name": name, "in": "path", "required": True, "schema": schema}
