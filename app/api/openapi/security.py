"""Who may call what, in the words of OpenAPI."""

from typing import Any

from app.api.guards import Rule
from app.contracts import ApiGroup, Guard

SCHEMES: dict[str, dict[str, Any]] = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionId",
        "description": "The session that `GET /api/csrf` begins and `POST /api/auth/login` signs in",
    },
    "csrfToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRF-Token",
        "description": "The session's token, from `GET /api/csrf`",
    },
    "keyInQuery": {"type": "apiKey", "in": "query", "name": "api_key", "description": "An API key"},
    "keyInHeader": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key"},
    "keyAsBearer": {"type": "http", "scheme": "bearer", "description": "An API key"},
}
KEYS_IN_HEADERS: list[dict[str, list[str]]] = [{"keyInHeader": []}, {"keyAsBearer": []}]
# Where keys are not required, nothing is; so nothing stands first among the ways in.
ANY_KEY_OR_NONE: list[dict[str, list[str]]] = [{}, {"keyInQuery": []}, *KEYS_IN_HEADERS]


def requirements(rule: Rule, group: ApiGroup, methods: set[str]) -> list[dict[str, list[str]]]:
    """The ways in, each of which is enough."""
    if rule.guard is Guard.OPEN:
        return ANY_KEY_OR_NONE if group.key_scope else []
    session: dict[str, list[str]] = {"session": []}
    if rule.csrf and "GET" not in methods:
        session["csrfToken"] = []
    return [session] if rule.guard is Guard.SESSION else [session, *KEYS_IN_HEADERS]
