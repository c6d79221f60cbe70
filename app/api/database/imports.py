"""Wire forms of the import of an old installation."""

from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, fields, validate

from app.api.wire import IsoInstant, Out
from app.services.transfer.background import FOLDER, UPLOAD, ImportState, OldInstallation
from app.services.transfer.received_files import Received


class PieceQuery(Schema):
    """Where a piece begins, and how large the whole file is, in bytes."""

    class Meta:
        unknown = EXCLUDE

    offset = fields.Integer(load_default=0, validate=validate.Range(min=0))
    total = fields.Integer(required=True, validate=validate.Range(min=0))


class StartIn(Schema):
    """What to import: the file that was received, or the folder that was found. `fileName` is for the audit log."""

    class Meta:
        unknown = RAISE

    source = fields.String(load_default=UPLOAD, validate=validate.OneOf((UPLOAD, FOLDER)))
    file_name = fields.String(data_key="fileName", load_default="backups.db", validate=validate.Length(1, 255))


class ReceivedOut(Out):
    """What has arrived so far."""

    size_bytes = fields.Integer(data_key="receivedBytes")
    has_key = fields.Boolean(data_key="hasKey")


class CountOut(Out):
    """What became of things of one kind."""

    found = fields.Integer()
    taken = fields.Integer()
    known = fields.Integer()
    left = fields.Integer()


class ReportOut(Out):
    """What became of an old installation; `remarks` are sentences with how often each was true."""

    schema_version = fields.String(data_key="schemaVersion")
    counts = fields.Dict(values=fields.Nested(CountOut))
    remarks = fields.Dict(values=fields.Integer())


class OldInstallationOut(Out):
    """An old database that lies where we look, and whether it is offered on the dashboard."""

    path = fields.String()
    size_bytes = fields.Integer(data_key="size")
    has_key = fields.Boolean(data_key="hasKey")
    is_offered = fields.Boolean(data_key="isOffered")


class ImportOut(Out):
    """How the newest import goes, or ended: nothing, running, interrupted, done or failed; and what else there is."""

    phase = fields.String()
    source = fields.String()
    file_name = fields.String(data_key="fileName")
    started_at = IsoInstant(data_key="startedAt", allow_none=True)
    ended_at = IsoInstant(data_key="endedAt", allow_none=True)
    done_runs = fields.Integer(data_key="doneRuns")
    total_runs = fields.Integer(data_key="totalRuns")
    error = fields.String()
    can_go_on = fields.Boolean(data_key="canGoOn")
    report = fields.Nested(ReportOut, allow_none=True)
    received = fields.Nested(ReceivedOut)
    old_installation = fields.Nested(OldInstallationOut, data_key="oldInstallation", allow_none=True)


_plain_out = ImportOut(exclude=("report", "received", "old_installation"))


def dump_import(state: ImportState, received: Received, old: OldInstallation | None) -> dict[str, Any]:
    """How the newest import goes, and what could be imported."""
    told: dict[str, Any] = _plain_out.dump(state)
    told["report"] = state.report and {
        "schemaVersion": state.report.schema_version,
        "counts": {kind: CountOut().dump(count) for kind, count in state.report.counts.items()},
        "remarks": dict(state.report.remarks),
    }
    told["received"] = ReceivedOut().dump(received)
    told["oldInstallation"] = old and OldInstallationOut().dump(old) | {"path": str(old.path)}
    return told
