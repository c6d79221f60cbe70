"""Compares every response in a test with the API description."""

from functools import cache
from typing import Any

import jsonschema_rs
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from app.openapi.document import build_document
from app.runtime import runtime_of
from app.web.http import path_as_sent

UNDESCRIBED_METHODS = ("HEAD", "OPTIONS")
DOCUMENTS: dict[tuple[int, ...], dict[str, Any]] = {}


def document_of(app: Flask) -> dict[str, Any]:
    """Return the document of an application; applications with the same groups share one."""
    groups = runtime_of(app).registry.api_groups
    key = tuple(id(group) for group in groups.values())
    if key not in DOCUMENTS:
        DOCUMENTS.setdefault(key, build_document(app))  # concurrent threads share the first
    return DOCUMENTS[key]


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the operations by endpoint and method."""
    return {
        (operation["operationId"], method.upper()): operation
        for methods in document["paths"].values()
        for method, operation in methods.items()
    }


def check_answer(app: Flask, answer: TestResponse) -> None:
    """Fail unless the document contains status, media type and body for the operation."""
    request = answer.request
    try:
        endpoint, _ = app.url_map.bind("localhost").match(path_as_sent(request.environ), request.method)
    except HTTPException:
        return  # unknown URL: an error without an operation
    document = document_of(app)
    operation = operations_of(id(document)).get((endpoint, request.method))
    if operation is None or answer.status_code == 308:
        return
    what = f"{request.method} {request.path} -> {answer.status_code}"
    body = operation["responses"].get(str(answer.status_code))
    assert body is not None, f"{what}: the description knows no such status"
    body = resolve(document, body)
    if "content" not in body:
        return
    assert answer.mimetype in body["content"], f"{what}: {answer.mimetype} is not described"
    if answer.mimetype == "application/json":
        errors = list(validator(id(document), endpoint, request.method, answer.status_code).iter_errors(answer.json))
        assert not errors, f"{what}: {errors[0].instance_path}: {errors[0].message}"


def resolve(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the document, or its target if it is a reference."""
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


@cache
def operations_of(document_id: int) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the operations of a cached document."""
    return operations(_kept(document_id))


@cache
def validator(document_id: int, endpoint: str, method: str, status: int) -> Any:
    """Return the validator for the JSON of one response; formats are checked."""
    document = _kept(document_id)
    response = resolve(document, operations_of(document_id)[endpoint, method]["responses"][str(status)])
    schema = response["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator(
        {"allOf": [schema], "components": document["components"]}, validate_formats=True
    )


def _kept(document_id: int) -> dict[str, Any]:
    return next(document for document in DOCUMENTS.values() if id(document) == document_id)
