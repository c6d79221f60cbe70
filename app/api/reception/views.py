"""Views of the reception group."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.client import actor, json_body
from app.api.reception.schemas import (
    FullRejectedReportOut,
    ReceptionIn,
    ReceptionOut,
    RejectedReportOut,
    RejectedReportsOut,
    ReplayOut,
    dump_full,
)
from app.contracts import described
from app.services import clock, reception, rejections

bp = Blueprint("reception", __name__)


@bp.get("/reception")
@described({200: ReceptionOut})
def show_settings() -> ResponseReturnValue:
    """How uploads are taken: which operations, how large, and the public address of this installation."""
    return ReceptionOut().dump(reception.describe())


@bp.patch("/reception")
@described({200: ReceptionOut}, body=ReceptionIn)
def save_settings() -> ResponseReturnValue:
    """Change how uploads are taken; what is left out stays as it is."""
    reception.change(ReceptionIn().load(json_body()), actor=actor(), now=clock.now())
    return show_settings()


@bp.get("/rejected-reports")
@described({200: RejectedReportsOut})
def index() -> ResponseReturnValue:
    """The refused uploads that are kept, newest first, without their bodies."""
    return {"rejectedReports": RejectedReportOut().dump(rejections.list_rejected(), many=True)}


@bp.get("/rejected-reports/<int:report_id>")
@described({200: FullRejectedReportOut})
def show(report_id: int) -> ResponseReturnValue:
    """A refused upload with its body, in which addresses of destinations are blanked out."""
    report = rejections.find_rejected(report_id)
    return dump_full(report, rejections.body_of(report).decode("utf-8", "replace"))


@bp.post("/rejected-reports/<int:report_id>/replay")
@described({200: ReplayOut}, errors=(400, 409, 413))
def replay(report_id: int) -> ResponseReturnValue:
    """Take a refused upload in by the rules of today. 400 when they refuse it too, 409 when the run is known."""
    received = reception.replay_rejected(report_id, actor=actor(), now=clock.now())
    return {"backupId": received.run_id} | ({} if received.run_id else {"reason": received.reason})


@bp.delete("/rejected-reports/<int:report_id>")
@described({200: {"message": fields.String()}})
def delete(report_id: int) -> ResponseReturnValue:
    """Forget a refused upload."""
    rejections.delete_rejected(report_id, actor=actor(), now=clock.now())
    return {"message": "Rejected report deleted"}
