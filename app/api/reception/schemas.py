"""Wire forms of refused uploads and of what is taken in."""

from typing import Any

from marshmallow import RAISE, Schema, fields

from app.api.wire import SOMETIMES, IsoInstant, Out
from app.models import RejectedReport


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
