"""Wire form of the health report."""

from datetime import datetime
from typing import Any

from marshmallow import fields

from app.api.wire import SOMETIMES, IsoInstant, Out, iso
from app.services.health import Health


class HealthOut(Out):
    """The keys of the contract; when the database does not answer, only status, error and time."""

    status = fields.String(metadata={"enum": ["healthy", "degraded", "unhealthy"]})
    database = fields.String(metadata=SOMETIMES)
    basic_connection = fields.Boolean(data_key="basicConnection", metadata=SOMETIMES)
    tables_found = fields.Integer(data_key="tablesFound", metadata=SOMETIMES)
    tables = fields.List(fields.String(), metadata=SOMETIMES)
    prepared_statements = fields.Boolean(data_key="preparedStatements", metadata=SOMETIMES)
    prepared_statements_error = fields.String(data_key="preparedStatementsError", metadata=SOMETIMES)
    initialization_status = fields.String(data_key="initializationStatus", metadata=SOMETIMES)
    initialization_complete = fields.Boolean(data_key="initializationComplete", metadata=SOMETIMES)
    connection_health = fields.Boolean(data_key="connectionHealth", metadata=SOMETIMES)
    connection_details = fields.Dict(data_key="connectionDetails", metadata=SOMETIMES)
    error = fields.String(metadata=SOMETIMES)
    timestamp = IsoInstant(missing="")


def dump_health(health: Health, now: datetime, *, show_details: bool) -> dict[str, Any]:
    """The keys of the contract; names of tables and error texts only with `show_details`."""
    if not health.is_connected:
        return {"status": "unhealthy", "error": "Database connection failed", "timestamp": iso(now)}
    report: dict[str, Any] = {
        "status": "healthy" if health.is_healthy else "degraded",
        "database": "connected",
        "basicConnection": True,
        "tablesFound": len(health.tables),
        "tables": list(health.tables) if show_details else [],
        "preparedStatements": health.queries_work,
        "initializationStatus": "complete" if health.is_migrated else "failed",
        "initializationComplete": health.is_migrated,
        "connectionHealth": True,
        "connectionDetails": {"status": "ready"},
        "timestamp": iso(now),
    }
    if health.error and show_details:
        report["preparedStatementsError"] = health.error
    return report
