"""The errors that an operation may answer, as far as they follow from its guard, its body and its address."""

from typing import Any

from werkzeug.routing import Rule as Route

from app.api.guards import Rule
from app.contracts import ApiGroup, Guard
from app.contracts.description import Description
from app.services.network_access import Zone

ERROR: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong. Some errors hold more than is named here.",
    "required": ["error", "timestamp"],
    "properties": {
        "error": {"type": "string", "description": "A sentence for people"},
        "timestamp": {"type": "string", "format": "date-time"},
        "errorCode": {"type": "string", "description": "A word for programs"},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The fields of the body or query that are wrong, by their path",
        },
        "message": {"type": "string", "description": "The technical text, in development mode only"},
        "stack": {"type": "string", "description": "Where it happened, in development mode only"},
    },
}
SENTENCES = {
    400: "The body or the query cannot be used",
    401: "Nobody is signed in, the session has ended, or the API key opens nothing",
    403: "The caller may not do this, the CSRF token is wrong, or the address is on no allow list",
    404: "There is no such thing, or the caller may not see it",
    409: "It exists already",
    413: "The body is too large",
    415: "The body is of a kind that cannot be read",
    429: "Too many requests",
    500: "Something unexpected went wrong; the log has the details",
    501: "Not possible with this database",
    502: "Another machine did not answer as it should",
    503: "A part that is needed does not answer now; it may later",
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "string", "pattern": r"^\d+$"}}}


def error_components() -> dict[str, dict[str, Any]]:
    """The answers that operations refer to."""
    return {f"Error{status}": _response(status, "application/json") for status in SENTENCES}


def error_statuses(
    rule: Rule, group: ApiGroup, route: Route, told: Description, *, is_api: bool
) -> dict[int, dict[str, Any]]:
    """The answers to what may go wrong, by status. Errors outside of /api are pages."""
    return {status: _answer(status, is_api=is_api) for status in sorted(_statuses(rule, group, route, told))}


def _statuses(rule: Rule, group: ApiGroup, route: Route, told: Description) -> set[int]:
    found = {500, 503, *told.errors}
    if rule.guard is not Guard.OPEN:
        found |= {401, 403}
    if rule.guard in (Guard.LOGIN, Guard.ADMIN):
        found.add(429)  # for keys that open nothing, sent again and again
    if rule.zone is not None:
        found.add(429 if rule.zone is Zone.PROBES else 403)
    if group.key_scope:
        found |= {401, 403, 429}
    if told.body is not None:
        found |= {400, 413}
    if told.query is not None:
        found.add(400)
    if route.arguments:
        found.add(404)
    return found


def _answer(status: int, *, is_api: bool) -> dict[str, Any]:
    return {"$ref": f"#/components/responses/Error{status}"} if is_api else _response(status, "text/html")


def _response(status: int, media_type: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"} if media_type == "application/json" else {"type": "string"}
    headers = {"headers": RETRY_AFTER} if status == 429 else {}
    return {"description": SENTENCES[status], "content": {media_type: {"schema": schema}}, **headers}
