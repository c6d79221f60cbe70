"""Wire form of Duplicati's reports, for the description of the API; `app.domain.reports` reads them."""

from typing import Any

from marshmallow import INCLUDE, Schema, fields

from app.api.wire import SOMETIMES, Out
from app.services.reception import Received


class Everything(Schema):
    """What Duplicati sends beyond what is named is taken as well."""

    class Meta:
        unknown = INCLUDE


class ReportSource(Everything):
    """Which job of which machine reports."""

    machine_id = fields.String(data_key="machine-id", required=True)
    machine_name = fields.String(data_key="machine-name", required=True)
    backup_name = fields.String(data_key="backup-name", required=True)
    backup_id = fields.String(data_key="backup-id")
    next_run = fields.String(data_key="next-scheduled-run")


class ReportData(Everything):
    """How the run went; a run that failed early has less, or null in its place."""

    main_operation = fields.String(data_key="MainOperation")
    parsed_result = fields.String(data_key="ParsedResult")
    began_at = fields.String(data_key="BeginTime")
    ended_at = fields.String(data_key="EndTime")
    duration = fields.String(data_key="Duration")
    examined_files = fields.Integer(data_key="ExaminedFiles")
    examined_bytes = fields.Integer(data_key="SizeOfExaminedFiles")
    messages = fields.List(fields.String(), data_key="Messages", allow_none=True)
    warnings = fields.List(fields.String(), data_key="Warnings", allow_none=True)
    errors = fields.List(fields.String(), data_key="Errors", allow_none=True)
    backend = fields.Dict(data_key="BackendStatistics", allow_none=True)


class ReportIn(Everything):
    """A report as Duplicati sends it with `--send-http-json-urls`."""

    data = fields.Nested(ReportData, data_key="Data", required=True, allow_none=True)
    extra = fields.Nested(ReportSource, data_key="Extra", required=True)
    log_lines = fields.List(fields.String(), data_key="LogLines", allow_none=True)


class UploadOut(Out):
    """An accepted upload. `stored` and `reason` are there when nothing was stored."""

    success = fields.Boolean()
    stored = fields.Boolean(metadata=SOMETIMES)
    reason = fields.String(metadata=SOMETIMES)


def dump_received(received: Received) -> dict[str, Any]:
    """The answer to an upload."""
    # wire: nothing but `success` for a run that was stored
    return {"success": True} | ({} if received.run_id else {"stored": False, "reason": received.reason})
