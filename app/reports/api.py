"""The one door for Duplicati's reports."""

from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import INCLUDE, RAISE, Schema, fields

from app import runtime
from app.core.db.transaction import wait_longer
from app.plugin import AnyOf, ApiGroup, Content, Guard, described, takes_bytes
from app.reports import intake
from app.reports.intake import Received, RejectedReport
from app.web.guards import authenticate_api_key
from app.web.request import actor, json_body, visitor
from app.web.responses import SOMETIMES, IsoInstant, Out

# Wire form of Duplicati's reports, for the description of the API; `app.reports.report` reads them.


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


# View of the upload group.

upload_bp = Blueprint("upload", __name__)

FORM = Content("application/x-www-form-urlencoded", shape={"message": fields.String()})


@upload_bp.before_request
def admit() -> None:
    """Hold senders to their keys, rates and sizes."""
    authenticate_api_key("upload")
    wait_longer()
    intake.max_upload_bytes()
    request.max_content_length = intake.most_body_bytes()


@upload_bp.post("/upload")
@takes_bytes(intake.most_body_bytes)
@described({200: UploadOut}, body=AnyOf(ReportIn, FORM, Content("text/plain")), errors=(409, 415))
def create() -> ResponseReturnValue:
    """Store the report of one run: as JSON, as form field `message`, or as Duplicati's plain text, gzipped or not.

    What Duplicati sends besides the reports of runs, and a run that came in another format before, is accepted but not
    stored: then `stored` is false, and `reason` says why.
    """
    received = intake.receive_report(
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
    guard=Guard.OPEN,
    csrf=False,
    summary="Reports of Duplicati after each run",
    key_scope="upload",
)


# Wire forms of refused uploads and of what is taken in.


class ReceptionIn(Schema):
    """What to change of how uploads are taken; what is left out stays. Other operations: restores, tests, compactions.

    A `maxUploadMib` of null goes back to what the environment says, an empty `publicUrl` to the address in use.
    """

    class Meta:
        unknown = RAISE

    keeps_other_operations = fields.Boolean(data_key="keepsOtherOperations")
    max_upload_mib = fields.Integer(data_key="maxUploadMib", strict=True, allow_none=True)
    public_url = fields.String(data_key="publicUrl")


class ReceptionOut(Out):
    """How uploads are taken, and where this installation says that it is found; blank where nobody said it."""

    keeps_other_operations = fields.Boolean(data_key="keepsOtherOperations")
    max_upload_bytes = fields.Integer(data_key="maxUploadBytes")
    public_url = fields.String(data_key="publicUrl")


class RejectedReportOut(Out):
    """A refused upload without its body."""

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
    """A refused upload with its body; addresses of destinations were removed before it was stored."""

    body = fields.String()


class RejectedReportsOut(Out):
    """All refused uploads that are kept, newest first."""

    reports = fields.List(fields.Nested(RejectedReportOut), data_key="rejectedReports")


class ReplayOut(Out):
    """The run that a replayed report became; null, with the reason, where it is accepted but not stored."""

    run_id = fields.String(data_key="backupId", allow_none=True)
    reason = fields.String(metadata=SOMETIMES)


_rejected_out = RejectedReportOut()


def dump_full(report: RejectedReport, body: str) -> dict[str, Any]:
    """A refused upload with its body."""
    return _rejected_out.dump(report) | {"body": body}


# Views of the reception group.

reception_bp = Blueprint("reception", __name__)


@reception_bp.get("/reception")
@described({200: ReceptionOut})
def show_settings() -> ResponseReturnValue:
    """How uploads are taken: which operations, how large, and the public address of this installation."""
    return ReceptionOut().dump(intake.describe_settings())


@reception_bp.patch("/reception")
@described({200: ReceptionOut}, body=ReceptionIn)
def save_settings() -> ResponseReturnValue:
    """Change how uploads are taken; what is left out stays as it is."""
    intake.change_settings(ReceptionIn().load(json_body()), actor=actor(), now=runtime.now())
    return show_settings()


@reception_bp.get("/rejected-reports")
@described({200: RejectedReportsOut})
def index() -> ResponseReturnValue:
    """The refused uploads that are kept, newest first, without their bodies."""
    return {"rejectedReports": RejectedReportOut().dump(intake.list_rejected(), many=True)}


@reception_bp.get("/rejected-reports/<int:report_id>")
@described({200: FullRejectedReportOut})
def show(report_id: int) -> ResponseReturnValue:
    """A refused upload with its body, in which addresses of destinations are blanked out."""
    report = intake.find_rejected(report_id)
    return dump_full(report, intake.body_of(report).decode("utf-8", "replace"))


@reception_bp.post("/rejected-reports/<int:report_id>/replay")
@described({200: ReplayOut}, errors=(400, 409, 413))
def replay(report_id: int) -> ResponseReturnValue:
    """Take a refused upload in by the rules of today. 400 when they refuse it too, 409 when the run is known."""
    received = intake.replay_rejected(report_id, actor=actor(), now=runtime.now())
    return {"backupId": received.run_id} | ({} if received.run_id else {"reason": received.reason})


@reception_bp.delete("/rejected-reports/<int:report_id>")
@described({200: {"message": fields.String()}})
def delete(report_id: int) -> ResponseReturnValue:
    """Forget a refused upload."""
    intake.delete_rejected(report_id, actor=actor(), now=runtime.now())
    return {"message": "Rejected report deleted"}


# What is taken in, and the uploads that were refused.

reception_group = ApiGroup(
    name="reception", blueprint=reception_bp, guard=Guard.ADMIN, summary="Refused uploads, and what is taken in"
)
