"""View of the upload group."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.client import visitor
from app.api.program_access import admit_program
from app.api.upload.schemas import ReportIn, UploadOut, dump_received
from app.contracts import (
    AnyOf,
    Content,
    described,
    takes_bytes,
)
from app.services import clock, reception
from app.services.transaction import wait_longer

bp = Blueprint("upload", __name__)

FORM = Content("application/x-www-form-urlencoded", shape={"message": fields.String()})


@bp.before_request
def admit() -> None:
    """Hold senders to their keys, rates and sizes."""
    admit_program("upload")
    wait_longer()
    reception.max_upload_bytes()
    request.max_content_length = reception.most_body_bytes()


@bp.post("/upload")
@takes_bytes(reception.most_body_bytes)
@described({200: UploadOut}, body=AnyOf(ReportIn, FORM, Content("text/plain")), errors=(409, 415))
def create() -> ResponseReturnValue:
    """Store the report of one run: as JSON, as form field `message`, or as Duplicati's plain text, gzipped or not.

    What Duplicati sends besides the reports of runs, and a run that came in another format before, is accepted but not
    stored: then `stored` is false, and `reason` says why.
    """
    received = reception.receive_report(
        request.get_data(cache=False, parse_form_data=False),
        content_type=request.content_type or "",
        content_encoding=request.headers.get("Content-Encoding", ""),
        now=clock.now(),
        actor=visitor(),
    )
    return dump_received(received)
