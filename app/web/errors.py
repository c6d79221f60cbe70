"""Every error becomes one shape: `{"error", "timestamp", …}` below /api, a page elsewhere. Views hold no `try`."""

import logging
import sqlite3
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy.exc
import sqlalchemy.orm.exc
from flask import Blueprint, Flask, Response, current_app, jsonify, redirect, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, InternalServerError

from app import runtime
from app.core.db.faults import Fault, describe, fault_of
from app.database import checks
from app.plugin import AppError
from app.runtime import settings
from app.web.routing import path_as_sent, quoted

log = logging.getLogger(__name__)

PAGE_ERRORS = "duplistatus.page_errors"
ERROR_CODES = "duplistatus.error_codes"
REPEATED_STATUSES = "duplistatus.repeated_statuses"
# Shows an error to a person: called with the sentence and the status.
PageErrors = Callable[[str, int], ResponseReturnValue]
# What may tell of the state of the database, or of a mistake of ours: `fault_of` knows.
DATABASE_TROUBLE = (sqlalchemy.exc.DBAPIError, sqlalchemy.exc.TimeoutError, sqlite3.Error)
# What SQLite says of a text to look for that is longer than 50,000 bytes.
PATTERN_TOO_LONG = "LIKE or GLOB pattern too complex"
FAULT_TEXTS: Mapping[Fault, str] = {
    Fault.UNREACHABLE: "The database cannot be reached at the moment",
    Fault.LOCKED: "The database is busy or locked at the moment",
    Fault.DAMAGED: "The database is damaged; restore a backup",
    Fault.READ_ONLY: "The database cannot be written",
    Fault.DISK_FULL: "The disk is full, so nothing can be stored",
    Fault.DISK_ERROR: "The disk of the database cannot be read or written",
    Fault.SCHEMA: "The database lacks tables or columns that this version needs",
}
# PostgreSQL's words for a row that is there already, and for one that is there no more.
COLLISIONS = frozenset({"23505", "23503"})
ROW_IS_GONE = (sqlalchemy.orm.exc.StaleDataError, sqlalchemy.orm.exc.ObjectDeletedError)
# What marshmallow calls trouble that is about no field.
WHOLE = "_schema"
TEXTS = {
    400: "The request cannot be understood",
    404: "Not found",
    405: "Method not allowed",
    413: "The request is too large",
}


def install(app: Flask) -> None:
    """Register the handlers. Under test the unexpected is raised again, unless the configuration says otherwise."""
    if app.config["PROPAGATE_EXCEPTIONS"] is None:
        app.config["PROPAGATE_EXCEPTIONS"] = app.testing
    app.register_error_handler(AppError, answer_app_error)
    app.register_error_handler(ValidationError, answer_validation_error)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(InternalServerError, answer_unexpected)
    app.register_error_handler(sqlalchemy.exc.DataError, answer_impossible_value)
    app.register_error_handler(sqlalchemy.exc.IntegrityError, answer_broken_rule)
    for collision in ROW_IS_GONE:
        app.register_error_handler(collision, answer_collision)
    for trouble in DATABASE_TROUBLE:
        app.register_error_handler(trouble, answer_database_trouble)


def show_page_errors_with(app: Flask, show: PageErrors) -> None:
    """Let the pages draw the errors of everything that is not below /api."""
    app.extensions[PAGE_ERRORS] = show


def name_errors(blueprint: Blueprint, codes: Mapping[int, str], view: str = "") -> None:
    """Give errors of a blueprint, or of one of its views, an `errorCode` by status where they come without one."""
    place = f"{blueprint.name}.{view}" if view else blueprint.name
    blueprint.record(lambda state: state.app.extensions.setdefault(ERROR_CODES, {}).update({place: codes}))


def repeat_status(blueprint: Blueprint, *views: str) -> None:
    """Have errors of these views say their status in the body too, and always a `message` beside the sentence."""
    places = {f"{blueprint.name}.{view}" for view in views}
    blueprint.record(lambda state: state.app.extensions.setdefault(REPEATED_STATUSES, set()).update(places))


def answer_app_error(error: AppError) -> ResponseReturnValue:
    """Say what the caller can understand."""
    return _answer(error.message, error.status, error.extra, error.headers, error)


def answer_validation_error(error: ValidationError) -> ResponseReturnValue:
    """Name the first field that is wrong in the sentence, and all of them beside it."""
    fields = dict(_flatten(error.normalized_messages()))  # type: ignore[no-untyped-call]
    name, text = next(iter(fields.items()))
    sentence = text if name == WHOLE else f"{name}: {text}"
    named = {name: text for name, text in fields.items() if name != WHOLE}
    return _answer(sentence, 400, {"fields": named} if named else {}, {}, error)


def answer_http_error(error: HTTPException) -> ResponseReturnValue:
    """Put Werkzeug's own errors into our shape, and send a final slash to the address without it."""
    status = error.code or 500
    if status == 404 and path_as_sent(request.environ).endswith("/") and request.path.strip("/"):
        return redirect_without_slash()
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return _answer(TEXTS.get(status, error.name), status, {}, headers, error)


def answer_database_trouble(error: Exception) -> ResponseReturnValue:
    """Say what is the matter with the database, which may pass; the log holds the rest. A wrong statement is ours."""
    fault = fault_of(error)
    if fault is None and PATTERN_TOO_LONG in str(error):
        return answer_impossible_value(error)
    if fault is None:
        raise error
    log.error("the database cannot be used: %s", error, exc_info=settings().debug)
    if fault is Fault.DAMAGED:
        checks.note_damage(describe(error))
    sentence = FAULT_TEXTS[fault]
    code = {"errorCode": "DATABASE_NOT_READY"} | _of_family(sentence, 503)
    return _answer(sentence, 503, code, {"Retry-After": "5"}, error)


def answer_impossible_value(error: Exception) -> ResponseReturnValue:
    """Say that something of the request fits into no column; what is usual was refused before it came so far."""
    log.warning("the database rejected a value: %s", describe(error))
    return _answer("The request contains a string or number that cannot be stored", 400, {}, {}, error)


def answer_broken_rule(error: sqlalchemy.exc.IntegrityError) -> ResponseReturnValue:
    """Say that two changes met; any other rule of the database that was broken is a fault of ours."""
    if getattr(error.orig, "sqlstate", "") not in COLLISIONS:
        raise error
    return answer_collision(error)


def answer_collision(error: sqlalchemy.exc.SQLAlchemyError) -> ResponseReturnValue:
    """Say that two changes met: what one of them found was gone, or there, when it came to write."""
    log.warning("conflicting changes: %s", error)
    sentence = "Someone else just changed this; reload and try again"
    return _answer(sentence, 503, {}, {"Retry-After": "1"}, error)


def answer_unexpected(error: InternalServerError) -> ResponseReturnValue:
    """Answer with a plain sentence; Flask has written the trace into the log."""
    cause = error.original_exception or error
    if isinstance(cause, Exception) and fault_of(cause):
        return answer_database_trouble(cause)
    return _answer("Something unexpected went wrong; the application log has the details", 500, {}, {}, cause)


def is_api_request() -> bool:
    """Whether the request is for the API, whose errors are JSON even where there is no such address."""
    root = f"{settings().base_path}/api"
    return request.path == root or request.path.startswith(f"{root}/")


def redirect_without_slash() -> ResponseReturnValue:
    """Send the client to the same address without the final slash."""
    # Exactly one slash in front, and no backslash: `//host` and `/\host` would lead to another machine.
    address = quoted("/" + path_as_sent(request.environ).strip("/"))
    query = request.query_string.decode("latin-1")
    return redirect(f"{request.script_root}{address}{'?' + query if query else ''}", 308)


def _answer(
    sentence: str, status: int, extra: Mapping[str, Any], headers: Mapping[str, str], error: BaseException
) -> ResponseReturnValue:
    show: PageErrors | None = current_app.extensions.get(PAGE_ERRORS)
    if show is not None and not is_api_request():
        answer = current_app.make_response(show(sentence, status))
    else:
        answer = _as_json(sentence, _of_family(sentence, status) | dict(extra), error)
        answer.status_code = status
    answer.headers.extend(dict(headers))
    return answer


def _of_family(sentence: str, status: int) -> dict[str, Any]:
    """What all errors of an address hold: a code by their status, or the status itself."""
    named: Mapping[str, Mapping[int, str]] = current_app.extensions.get(ERROR_CODES, {})
    codes = {**named.get(request.blueprint or "", {}), **named.get(request.endpoint or "", {})}
    code = {"errorCode": codes[status]} if status in codes else {}
    is_repeated = request.endpoint in current_app.extensions.get(REPEATED_STATUSES, ())
    return code | ({"message": sentence, "status": status} if is_repeated else {})


def _as_json(sentence: str, extra: dict[str, Any], error: BaseException) -> Response:
    body = {"error": sentence, **extra, "timestamp": runtime.now()}
    if settings().debug:
        body = {"message": str(error), "stack": "".join(traceback.format_exception(error))} | body
    return jsonify(body)


def _flatten(messages: Mapping[Any, Any], path: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in messages.items():
        name = f"{path}.{key}" if path and key != WHOLE else path or str(key)
        if isinstance(value, Mapping):
            found += _flatten(value, name)
        else:
            found.append((name, str(value[0] if isinstance(value, list) and value else value)))
    return found
