"""Answers that are built once for each state of the database, with an ETag, and sent as ready bytes."""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson
from flask import Response, request, send_file

from app.services.freshness import cache

JSON = "application/json"
# Cache headers of the contract (00-conventions, 9); B adds nosniff to C.
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
    """Answer with what `build` returns as JSON, from the cache while the database stands still; 304 if it is known.

    See `ExactCache.get` for `moment`. Errors raised by `build` are not cached.
    """
    body, etag = cache().get(("json", key), lambda: _encode(build()), moment=moment)
    is_known = request.headers.get("If-None-Match") == etag
    answer = Response(status=304) if is_known else Response(body, mimetype=JSON)
    answer.headers["ETag"] = etag
    if headers:
        answer.headers.extend(headers)
    return answer


def streamed_list(rows: Iterable[Any], dump: Callable[[Any], dict[str, Any]]) -> Response:
    """Answer with a JSON array that is written while it is read; `rows` has to do without the request's context."""

    def parts() -> Iterator[bytes]:
        separator = b"["
        for row in rows:
            yield separator + orjson.dumps(dump(row))
            separator = b","
        yield b"]" if separator == b"," else b"[]"

    return Response(parts(), mimetype=JSON)


def saved_file(file: Path | IO[bytes], name: str, mimetype: str) -> Response:
    """Answer with a file that the browser saves under this name; no cache on the way may keep what it holds."""
    answer = send_file(file, mimetype=mimetype, as_attachment=True, download_name=name)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _encode(value: Any) -> tuple[bytes, str]:
    body = orjson.dumps(value)
    return body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
