"""Wire form of the health report."""

from datetime import datetime
from typing import Any

from marshmallow import fields

from app.api.wire import SOMETIMES, IsoInstant, Out, iso
from app.services.health import Health


class ProblemOut(Out):
    """One thing that does not work."""

    code = fields.String()
    text = fields.String()


class HealthOut(Out):
    """The keys of the contract; when the database does not answer, only status, error, reason and time.

    `reason` is a word for programs, of the most serious problem; `problems` are for signed-in people.
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
    """The keys of the contract; names of tables and error texts only with `show_details`."""
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
    """Each problem, and the error texts of the contract, where there are any."""
    texts = "; ".join(problem.text for problem in health.problems)
    errors = {
        "preparedStatementsError": health.query_error,
        "initializationError": "" if health.is_migrated else texts,
        "connectionHealthError": "" if health.can_write else texts,
    }
    problems = {"problems": ProblemOut().dump(health.problems, many=True)} if health.problems else {}
    return {name: text for name, text in errors.items() if text} | problems
