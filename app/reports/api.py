"""API groups `upload` and `reception`: reports, upload settings, rejected reports."""

from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import INCLUDE, RAISE, Schema, fields

from app import runtime
from app.core.db.orm import wait_longer
from app.plugin import Access, AnyOf, ApiGroup, Content, described, takes_bytes
from app.reports import ingest, rejected
from app.reports import settings as upload_settings
from app.reports.ingest import Received
from app.reports.rejected import RejectedReport
from app.web.guards import authenticate_api_key
from app.web.http import SOMETIMES, IsoInstant, Out, actor, json_body, visitor

# Input schemas; they document the API, `app.reports.parser` parses the reports.


class Everything(Schema):
    """Input that accepts additional fields of Duplicati."""

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
    """An accepted report. `stored` and `reason` are present if nothing was stored."""

    success = fields.Boolean()
    stored = fields.Boolean(metadata=SOMETIMES)
    reason = fields.String(metadata=SOMETIMES)


def dump_received(received: Received) -> dict[str, Any]:
    """Return the body of the answer to an upload."""
    # wire: nothing but `success` for a run that was stored
    return {"success": True} | ({} if received.run_id else {"stored": False, "reason": received.reason})


# Upload group

upload_bp = Blueprint("upload", __name__)

FORM = Content("application/x-www-form-urlencoded", shape={"message": fields.String()})


@upload_bp.before_request
def admit() -> None:
    """Check the sender's API key, its rate and the size of the request."""
    authenticate_api_key("upload")
    wait_longer()
    ingest.max_upload_bytes()
    request.max_content_length = ingest.most_body_bytes()


@upload_bp.post("/upload")
@takes_bytes(ingest.most_body_bytes)
@described({200: UploadOut}, body=AnyOf(ReportIn, FORM, Content("text/plain")), errors=(409, 415))
def create() -> ResponseReturnValue:
    """Store the report of a run: JSON, form field `message` or Duplicati's plain text, optionally gzipped.

    Other messages of Duplicati, and a run that was received before in another format, are accepted but not
    stored: `stored` is false, and `reason` says why.
    """
    received = ingest.receive_report(
        request.get_data(cache=False, parse_form_data=False),
        content_type=request.content_type or "",
        content_encoding=request.headers.get("Content-Encoding", ""),
        now=runtime.now(),
        actor=visitor(),
    )
    return dump_received(received)


upload_group = ApiGroup(
    name="upload",
    blueprint=upload_bp,
    access=Access.PUBLIC,
    csrf=False,
    summary="Receive reports from Duplicati",
    key_scope="upload",
)


# Schemas of the upload settings and the rejected reports


class UploadSettingsIn(Schema):
    """Changes to the settings for reports; omitted fields are kept. Other operations: restores, tests, compactions.

    With `maxUploadMib` null the environment variable applies, with an empty `publicUrl` the URL in use.
    """

    class Meta:
        unknown = RAISE

    keeps_other_operations = fields.Boolean(data_key="keepsOtherOperations")
    max_upload_mib = fields.Integer(data_key="maxUploadMib", strict=True, allow_none=True)
    public_url = fields.String(data_key="publicUrl")


class UploadSettingsOut(Out):
    """Settings for incoming reports, and the public URL; blank if not set."""

    keeps_other_operations = fields.Boolean(data_key="keepsOtherOperations")
    max_upload_bytes = fields.Integer(data_key="maxUploadBytes")
    public_url = fields.String(data_key="publicUrl")


class RejectedReportOut(Out):
    """A rejected report without its body."""

    id = fields.Integer()
    received_at = IsoInstant(data_key="receivedAt")
    ip_address = fields.String(data_key="ipAddress")
    content_type = fields.String(data_key="contentType")
    status_code = fields.Integer(data_key="statusCode")
    reason = fields.String()
    size_bytes = fields.Integer(data_key="size")
    attempts = fields.Integer()
    replayed_at = IsoInstant(data_key="replayedAt", allow_none=True)


class FullRejectedReportOut(RejectedReportOut):
    """A rejected report with its body; destination URLs were removed before it was stored."""

    body = fields.String()


class RejectedReportsOut(Out):
    """All stored rejected reports, newest first."""

    reports = fields.List(fields.Nested(RejectedReportOut), data_key="rejectedReports")


class ReplayOut(Out):
    """The run created from the report; null with a reason if it was accepted but not stored."""

    run_id = fields.String(data_key="backupId", allow_none=True)
    reason = fields.String(metadata=SOMETIMES)


_rejected_out = RejectedReportOut()


def dump_full(report: RejectedReport, body: str) -> dict[str, Any]:
    """Return a rejected report with its body."""
    return _rejected_out.dump(report) | {"body": body}


# Upload settings group

reception_bp = Blueprint("reception", __name__)


@reception_bp.get("/reception")
@described({200: UploadSettingsOut})
def show_settings() -> ResponseReturnValue:
    """Get the settings for incoming reports: operations, maximum size and public URL."""
    return UploadSettingsOut().dump(upload_settings.describe_settings())


@reception_bp.patch("/reception")
@described({200: UploadSettingsOut}, body=UploadSettingsIn)
def save_settings() -> ResponseReturnValue:
    """Change the settings for incoming reports; omitted fields are kept."""
    upload_settings.change_settings(UploadSettingsIn().load(json_body()), actor=actor(), now=runtime.now())
    return show_settings()


@reception_bp.get("/rejected-reports")
@described({200: RejectedReportsOut})
def index() -> ResponseReturnValue:
    """List stored rejected reports, newest first, without their bodies."""
    return {"rejectedReports": RejectedReportOut().dump(rejected.list_rejected(), many=True)}


@reception_bp.get("/rejected-reports/<int:report_id>")
@described({200: FullRejectedReportOut})
def show(report_id: int) -> ResponseReturnValue:
    """Get a rejected report with its body; destination URLs are masked."""
    report = rejected.find_rejected(report_id)
    return dump_full(report, rejected.body_of(report).decode("utf-8", "replace"))


@reception_bp.post("/rejected-reports/<int:report_id>/replay")
@described({200: ReplayOut}, errors=(400, 409, 413))
def replay(report_id: int) -> ResponseReturnValue:
    """Retry a rejected report with the current rules.

    400 if it is rejected again, 409 if the run exists.
    """
    received = ingest.replay_rejected(report_id, actor=actor(), now=runtime.now())
    return {"backupId": received.run_id} | ({} if received.run_id else {"reason": received.reason})


@reception_bp.delete("/rejected-reports/<int:report_id>")
@described({200: {"message": fields.String()}})
def delete(report_id: int) -> ResponseReturnValue:
    """Delete a rejected report."""
    rejected.delete_rejected(report_id, actor=actor(), now=runtime.now())
    return {"message": "Rejected report deleted"}


reception_group = ApiGroup(
    name="reception", blueprint=reception_bp, access=Access.ADMIN, summary="Incoming reports and rejected reports"
)
