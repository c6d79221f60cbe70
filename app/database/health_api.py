"""API of the health check of duplistatus."""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue
from flask_login import current_user
from marshmallow import fields

from app import runtime
from app.accounts import sessions
from app.core.instants import iso
from app.database import health
from app.database.health import Health
from app.plugin import Access, ApiGroup, described
from app.web.http import CACHE_SET_C, SOMETIMES, IsoInstant, Out

# Schemas


class ProblemOut(Out):
    """A problem."""

    code = fields.String()
    text = fields.String()


class HealthOut(Out):
    """The result of the health check; only status, error, reason and time if the database does not respond.

    `reason` is the code of the most serious problem; `problems` are shown only to signed-in users.
    """

    status = fields.String(metadata={"enum": ["healthy", "degraded", "unhealthy"]})
    reason = fields.String(metadata=SOMETIMES)
    database = fields.String(metadata=SOMETIMES)
    basic_connection = fields.Boolean(data_key="basicConnection", metadata=SOMETIMES)
    tables_found = fields.Integer(data_key="tablesFound", metadata=SOMETIMES)
    tables = fields.List(fields.String(), metadata=SOMETIMES)
    prepared_statements = fields.Boolean(data_key="preparedStatements", metadata=SOMETIMES)
    prepared_statements_error = fields.String(data_key="preparedStatementsError", metadata=SOMETIMES)
    initialization_status = fields.String(data_key="initializationStatus", metadata=SOMETIMES)
    initialization_complete = fields.Boolean(data_key="initializationComplete", metadata=SOMETIMES)
    initialization_error = fields.String(data_key="initializationError", metadata=SOMETIMES)
    connection_health = fields.Boolean(data_key="connectionHealth", metadata=SOMETIMES)
    connection_health_error = fields.String(data_key="connectionHealthError", metadata=SOMETIMES)
    connection_details = fields.Dict(data_key="connectionDetails", metadata=SOMETIMES)
    problems = fields.List(fields.Nested(ProblemOut), metadata=SOMETIMES)
    error = fields.String(metadata=SOMETIMES)
    timestamp = IsoInstant(missing="")


def dump_health(health: Health, now: datetime, *, show_details: bool) -> dict[str, Any]:
    """Return the fields of the contract.

    Table names and error texts only with `show_details`.
    """
    reason = {"reason": health.reason} if health.reason else {}
    if not health.is_connected:
        return {"status": "unhealthy", "error": "Database connection failed", **reason, "timestamp": iso(now)}
    return {
        "status": "healthy" if health.is_healthy else "degraded",
        **reason,
        "database": "connected",
        "basicConnection": True,
        "tablesFound": len(health.tables),
        "tables": list(health.tables) if show_details else [],
        "preparedStatements": health.queries_work,
        "initializationStatus": "complete" if health.is_migrated else "failed",
        "initializationComplete": health.is_migrated,
        "connectionHealth": health.can_write,
        "connectionDetails": {"status": "ready" if health.can_write else "error"},
        **(_details(health) if show_details else {}),
        "timestamp": iso(now),
    }


def _details(health: Health) -> dict[str, Any]:
    """Return each problem with the error text of the contract, if any."""
    texts = "; ".join(problem.text for problem in health.problems)
    errors = {
        "preparedStatementsError": health.query_error,
        "initializationError": "" if health.is_migrated else texts,
        "connectionHealthError": "" if health.can_write else texts,
    }
    problems = {"problems": ProblemOut().dump(health.problems, many=True)} if health.problems else {}
    return {name: text for name, text in errors.items() if text} | problems


# Views

bp = Blueprint("monitoring", __name__)


@bp.after_request
def forbid_caching(answer: Response) -> Response:
    """Make responses of the group uncacheable."""
    answer.headers.extend(CACHE_SET_C)
    return answer


@bp.get("/ping")
@described({200: {"ok": fields.Boolean()}})
def ping() -> ResponseReturnValue:
    """Liveness check; does not access the database."""
    return {"ok": True}


@bp.get("/health")
@described({200: HealthOut, 503: HealthOut})
def show() -> ResponseReturnValue:
    """Readiness check, at most 30 seconds old; 503 with the reason on problems. Details only after sign-in."""
    now = runtime.now()
    found = health.examine(now)
    return dump_health(found, now, show_details=_may_see_details(found, now)), 200 if found.is_healthy else 503


def _may_see_details(found: Health, now: datetime) -> bool:
    """Whether a user is signed in.

    The visit is not stored if the database is not writable.
    """
    if not found.is_connected or (not found.queries_work and not found.tables):
        return False
    if found.can_write:
        return bool(current_user.is_authenticated)
    session = sessions.current()
    session.skip_writing()
    return session.user is not None and not session.user.is_locked(now)


group = ApiGroup(name="monitoring", blueprint=bp, access=Access.PUBLIC, csrf=False, summary="Health of the service")
