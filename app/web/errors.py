"""Error responses: `{"error", "timestamp", …}` below /api, a page elsewhere.

Views have no `try`.
"""

import logging
import sqlite3
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy.exc
import sqlalchemy.orm.exc
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext, ngettext
from flask_login import current_user
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, InternalServerError

from app import runtime
from app.accounts.models import User
from app.accounts.network_access import Zone, allow_lists
from app.core.db.faults import Fault, describe, fault_of
from app.core.errors import Refused, load_refusal
from app.database import checks
from app.runtime import runtime_of, settings
from app.web import http, i18n
from app.web.http import client_address, path_as_sent, quoted

log = logging.getLogger(__name__)

# Renders an error as a page.
PageErrors = Callable[[Refused], ResponseReturnValue]
# Errors that may be about the state of the database, or bugs; see `fault_of`.
DATABASE_ERROR_TYPES = (sqlalchemy.exc.DBAPIError, sqlalchemy.exc.TimeoutError, sqlite3.Error)
# SQLite's message for a pattern of more than 50,000 bytes.
PATTERN_TOO_LONG = "LIKE or GLOB pattern too complex"
FAULT_CODES: Mapping[Fault, str] = {
    Fault.UNREACHABLE: "database_unreachable",
    Fault.LOCKED: "database_locked",
    Fault.DAMAGED: "database_damaged",
    Fault.READ_ONLY: "database_read_only",
    Fault.DISK_FULL: "disk_full",
    Fault.DISK_ERROR: "disk_error",
    Fault.SCHEMA: "database_schema",
}
# PostgreSQL's codes for a row that exists already, and for one that no longer exists.
COLLISIONS = frozenset({"23505", "23503"})
ROW_DELETED = (sqlalchemy.orm.exc.StaleDataError, sqlalchemy.orm.exc.ObjectDeletedError)
# marshmallow's key for errors that concern no field.
WHOLE = "_schema"
HTTP_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


class InputRefused(Refused):
    """A schema refuses an input; its sentence names the first field that is wrong, and all are in the body."""

    @property
    def message(self) -> str:
        """The sentence of the schema."""
        return str(self.params["sentence"])


def install(app: Flask) -> None:
    """Register the handlers.

    In tests unexpected errors are raised, unless configured otherwise.
    """
    if app.config["PROPAGATE_EXCEPTIONS"] is None:
        app.config["PROPAGATE_EXCEPTIONS"] = app.testing
    app.register_error_handler(Refused, answer_app_error)
    app.register_error_handler(ValidationError, answer_validation_error)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(InternalServerError, answer_unexpected)
    app.register_error_handler(sqlalchemy.exc.DataError, answer_impossible_value)
    app.register_error_handler(sqlalchemy.exc.IntegrityError, answer_broken_rule)
    for collision in ROW_DELETED:
        app.register_error_handler(collision, answer_collision)
    for error_type in DATABASE_ERROR_TYPES:
        app.register_error_handler(error_type, answer_database_error)
    app.jinja_env.globals.update(refusal_text=refusal_text, stored_text=stored_text)


@dataclass
class ErrorForms:
    """How errors are rendered: the function for pages, and additions to the API by endpoint."""

    show_page: PageErrors | None = None
    codes: dict[str, Mapping[int, str]] = field(default_factory=dict)
    repeats_status: set[str] = field(default_factory=set)


def show_page_errors_with(app: Flask, show: PageErrors) -> None:
    """Set the function that renders errors of everything that is not below /api."""
    runtime_of(app).part(ErrorForms).show_page = show


def name_errors(blueprint: Blueprint, codes: Mapping[int, str], view: str = "") -> None:
    """Add an `errorCode` by status to errors that have none.

    For a blueprint, or one of its views.
    """
    scope = f"{blueprint.name}.{view}" if view else blueprint.name
    blueprint.record(lambda state: runtime_of(state.app).part(ErrorForms).codes.update({scope: codes}))


def repeat_status(blueprint: Blueprint, *views: str) -> None:
    """Include the status in the body of errors of these views, and always a `message`."""
    scopes = {f"{blueprint.name}.{view}" for view in views}
    blueprint.record(lambda state: runtime_of(state.app).part(ErrorForms).repeats_status.update(scopes))


def answer_app_error(error: Refused) -> ResponseReturnValue:
    """Return the response for an error that the caller can understand."""
    return _answer(error, error)


def answer_validation_error(error: ValidationError) -> ResponseReturnValue:
    """Return the response for invalid fields.

    The first one is in the message, all of them are beside it.
    """
    messages = dict(_flatten(error.normalized_messages()))  # type: ignore[no-untyped-call]
    code = getattr(next(iter(messages.values())), "code", "input_invalid")
    fields = {name: str(text) for name, text in messages.items()}
    name, text = next(iter(fields.items()))
    sentence = text if name == WHOLE else f"{name}: {text}"
    named = {name: text for name, text in fields.items() if name != WHOLE}
    return _answer(InputRefused(code, body={"fields": named} if named else {}, sentence=sentence), error)


def answer_http_error(error: HTTPException) -> ResponseReturnValue:
    """Return the response for Werkzeug's errors.

    Redirect a URL with a final slash to the one without.
    """
    status = error.code or 500
    if status == 404 and path_as_sent(request.environ).endswith("/") and request.path.strip("/"):
        return redirect_without_slash()
    refusal = Refused(HTTP_CODES.get(status, "http_error"), status=status, name=error.name)
    refusal.headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return _answer(refusal, error)


def answer_database_error(error: Exception) -> ResponseReturnValue:
    """Return the response for an unavailable or damaged database, or for a bug.

    Details are logged.
    """
    fault = fault_of(error)
    if fault is None and PATTERN_TOO_LONG in str(error):
        return answer_impossible_value(error)
    if fault is None:
        raise error
    log.error("the database cannot be used: %s", error, exc_info=settings().debug)
    if fault is Fault.DAMAGED:
        checks.record_damage(describe(error))
    return _answer(Refused(FAULT_CODES[fault], retry_after_s=5), error)


def answer_impossible_value(error: Exception) -> ResponseReturnValue:
    """Return the response for a value that fits into no column.

    The usual ones were rejected before.
    """
    log.warning("the database rejected a value: %s", describe(error))
    return _answer(Refused("value_not_storable"), error)


def answer_broken_rule(error: sqlalchemy.exc.IntegrityError) -> ResponseReturnValue:
    """Return the response for a violated constraint: two concurrent changes, or a bug."""
    if getattr(error.orig, "sqlstate", "") not in COLLISIONS:
        raise error
    return answer_collision(error)


def answer_collision(error: sqlalchemy.exc.SQLAlchemyError) -> ResponseReturnValue:
    """Return the response for two concurrent changes.

    A row has been deleted, or created, in between.
    """
    log.warning("conflicting changes: %s", error)
    return _answer(Refused("conflicting_change", retry_after_s=1), error)


def answer_unexpected(error: InternalServerError) -> ResponseReturnValue:
    """Return the response for an unexpected error; Flask has logged the traceback."""
    cause = error.original_exception or error
    if isinstance(cause, Exception) and fault_of(cause):
        return answer_database_error(cause)
    return _answer(Refused("unexpected"), cause)


def is_api_request() -> bool:
    """Whether the request is for the API.

    Its errors are JSON even for unknown paths.
    """
    root = f"{settings().base_path}/api"
    return request.path == root or request.path.startswith(f"{root}/")


def redirect_without_slash() -> ResponseReturnValue:
    """Redirect to the same URL without the final slash."""
    # Exactly one slash in front, and no backslash: `//host` and `/\host` would lead to another machine.
    address = quoted("/" + path_as_sent(request.environ).strip("/"))
    query = request.query_string.decode("latin-1")
    return redirect(f"{request.script_root}{address}{'?' + query if query else ''}", 308)


def _answer(refusal: Refused, error: BaseException) -> ResponseReturnValue:
    show = runtime.part(ErrorForms).show_page
    if show is not None and not is_api_request():
        answer = current_app.make_response(show(refusal))
    else:
        answer = _as_json(refusal, error)
        answer.status_code = refusal.status
    answer.headers.extend(dict(refusal.headers))
    return answer


def _as_json(refusal: Refused, error: BaseException) -> Response:
    details = {"errorCode": _error_code(refusal), "field": refusal.wire_field}
    body: dict[str, Any] = {"error": refusal.message, **{name: text for name, text in details.items() if text}}
    if request.endpoint in runtime.part(ErrorForms).repeats_status:
        body |= {"message": refusal.message, "status": refusal.status}
    body |= {**refusal.extra, "timestamp": runtime.now()}
    if settings().debug:
        body = {"message": str(error), "stack": "".join(traceback.format_exception(error))} | body
    return jsonify(body)


def _error_code(refusal: Refused) -> str:
    """Return the prescribed code of a refusal, else the one of all errors of an address with this status."""
    named = runtime.part(ErrorForms).codes
    codes = {**named.get(request.blueprint or "", {}), **named.get(request.endpoint or "", {})}
    return refusal.text.wire or codes.get(refusal.status) or refusal.error_code


def _flatten(messages: Mapping[Any, Any], path: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in messages.items():
        name = f"{path}.{key}" if path and key != WHOLE else path or str(key)
        if isinstance(value, Mapping):
            found += _flatten(value, name)
        else:
            found.append((name, value[0] if isinstance(value, list) and value else value))
    return found


# The sentence of a refusal in the language of the page.


def refusal_text(refusal: Refused) -> str:
    """Return what a page says about a refusal: the text of its code with its parameters."""
    text = refusal.text.page or refusal.text.sentence
    params = {name: _shown(value) for name, value in refusal.params.items()}
    if isinstance(text, tuple):
        return ngettext(*text, **params)
    # Filled in always, as the English sentence is: a text without parameters may contain "%%".
    return gettext(text) % {"field": refusal.wire_field, **params}


def stored_text(details: Any, sentence: str | None) -> str:
    """Return what a page says about a stored error.

    That is the text of its code and parameters; the stored English sentence if it has none, as in older rows.
    """
    try:
        refusal = load_refusal(details)
        return refusal_text(refusal) if refusal else sentence or ""
    except (KeyError, TypeError, ValueError):  # parameters of another version
        return sentence or ""


def refusal_texts(refusal: Refused) -> tuple[str, ...]:
    """Return the sentence of each problem if a refusal lists several, such as the broken rules for a password."""
    problems = refusal.params.get("problems")
    return tuple(map(refusal_text, problems)) if problems else (refusal_text(refusal),)


def _shown(value: Any) -> Any:
    if isinstance(value, Refused):
        return refusal_text(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(str(_shown(item)) for item in value)
    return value


# Errors as pages: with the header for signed-in users, without it for others.

TITLES = {
    403: lazy_gettext("Access denied"),
    404: lazy_gettext("Page not found"),
    413: lazy_gettext("Too large"),
    429: lazy_gettext("Too many requests"),
    500: lazy_gettext("Something went wrong"),
    503: lazy_gettext("Temporarily unavailable"),
}
OTHER_TITLE = lazy_gettext("Request failed")
# Shown if no template can be rendered, and so in one language.
LAST_RESORT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>duplistatus</title>
<h1>{status}</h1><p>This page cannot be shown at the moment. The application log has the details.</p></html>
"""
STALE_TITLE = lazy_gettext("Page expired")


def show_error(refusal: Refused) -> Response:
    """Render an error as a page.

    Without the header if that fails, as plain HTML if the page fails as well.
    """
    for may_have_header in (True, False):  # the header may need what has failed
        try:
            return _draw(refusal, has_header=may_have_header and _is_for_reader(refusal.status))
        except Exception:
            log.exception("an error page could not be rendered")
    return Response(LAST_RESORT.format(status=refusal.status), refusal.status, mimetype="text/html")


def _is_for_reader(status: int) -> bool:
    """Whether the reader may see the other pages.

    False without a query if the database is unavailable.
    """
    if status == 503 or not allow_lists().admit(Zone.ADMINISTRATION, client_address()):
        return False
    return isinstance(current_user._get_current_object(), User) and not current_user.must_change_password


def _draw(refusal: Refused, *, has_header: bool) -> Response:
    here, status = "", refusal.status
    if has_header:
        # After a change of theme or language here, redirect to a page that can be opened.
        here = http.here() if request.method == "GET" and status != 405 else url_for("pages.dashboard")
    else:
        i18n.ignore_account()
    title = STALE_TITLE if refusal.code == "csrf_token_invalid" else TITLES.get(status, OTHER_TITLE)
    values = {"title": title, "sentence": refusal_text(refusal), "status": status}
    theme = i18n.reader_preferences().theme
    return make_response(render_template("error.html", has_header=has_header, here=here, theme=theme, **values), status)
