"""The document, built once for each application and encoded once for each address that it is reached at."""

import hashlib
from typing import Any

import orjson
from flask import Flask

from app.api.openapi.document import build_document

BUILT = "duplistatus.openapi"
ENCODED = "duplistatus.openapi.encoded"
# Addresses come from proxies; more than a few mean that somebody plays with headers.
MOST_ADDRESSES = 8


def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of the application."""
    found: dict[str, Any] | None = app.extensions.get(BUILT)
    if found is None:
        found = app.extensions[BUILT] = build_document(app)
    return found


def encoded_document(app: Flask, script_root: str) -> tuple[bytes, str]:
    """The document as JSON and its ETag; its server is the address that the client sees."""
    known: dict[str, tuple[bytes, str]] = app.extensions.setdefault(ENCODED, {})
    if script_root not in known:
        if len(known) >= MOST_ADDRESSES:
            known.clear()
        base_path = app.extensions["duplistatus.settings"].base_path
        body = orjson.dumps(document(app) | {"servers": [{"url": f"{script_root}{base_path}" or "/"}]})
        known[script_root] = body, hashlib.blake2b(body, digest_size=12).hexdigest()
    return known[script_root]
