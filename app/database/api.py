"""The database as a whole: backup and restore, copies, what is kept, and bringing an old installation along."""

import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE, RAISE, Schema, fields, validate

from app import runtime
from app.core.instants import iso
from app.database import backup as database_backup
from app.database import local_backups, maintenance, retention, secrets
from app.database import restore as database_restore
from app.database.restore import MOST_BYTES, Restored
from app.database.retention import BOUNDS
from app.database.schedule import FREQUENCIES, MOST_KEPT, BackupSchedule
from app.legacy_import import importing
from app.legacy_import.importing import FOLDER, UPLOAD, ImportState, OldInstallation, Received
from app.plugin import AnyOf, ApiGroup, AppError, Content, Guard, described, takes_bytes
from app.web.request import actor, json_body
from app.web.responses import MESSAGE, IsoInstant, Out, saved_file

# Wire forms of backup and restore.


class BackupQuery(Schema):
    """In which form the backup is wanted: `db` or `sql`."""

    class Meta:
        unknown = EXCLUDE

    kind = fields.String(data_key="format", load_default="db")


class RestoreQuery(Schema):
    """Whether tables of plugins may be lost with what is there now."""

    class Meta:
        unknown = EXCLUDE

    accepts_lost_tables = fields.Boolean(data_key="acceptLostTables", load_default=False)


class RestoredOut(Out):
    """What was restored, where the content before it is kept, and which tables of plugins were kept and were not."""

    success = fields.Boolean()
    message = fields.String()
    safety_copy = fields.String(data_key="safetyBackupPath")
    requires_login = fields.Boolean(data_key="requiresReauth")
    kept_tables = fields.List(fields.String(), data_key="keptTables")
    lost_tables = fields.List(fields.String(), data_key="lostTables")


def dump_restored(done: Restored) -> dict[str, Any]:
    """What was restored, and where the content before it is kept."""
    return {
        "success": True,
        "message": f"The database was restored from the {done.kind.upper()} file; please sign in again",
        "safetyBackupPath": done.safety_copy,
        "requiresReauth": True,
        "keptTables": list(done.tables.kept),
        "lostTables": [*done.tables.lost, *done.tables.left],
    }


# Views of the database group.

bp = Blueprint("database", __name__, url_prefix="/database")

# 200 MiB for the file, and something for what a form puts around it.
FORM = Content("multipart/form-data", shape={"database": fields.String(metadata={"format": "binary"})})
MIMETYPES = {"db": "application/octet-stream", "sql": "text/plain"}


@bp.get("/backup")
@described({200: Content("application/octet-stream", "text/plain")}, query=BackupQuery, errors=(500, 501))
def backup() -> ResponseReturnValue:
    """The database as a file, or with `format=sql` as statements. 501 on PostgreSQL."""
    kind = BackupQuery().load(request.args)["kind"]
    made = database_backup.make_backup(kind, actor=actor(), now=runtime.now())
    answer = saved_file(made.file, made.name, MIMETYPES[kind])
    answer.content_length = made.size_bytes
    return answer


@bp.post("/restore")
@takes_bytes(MOST_BYTES)
@described({200: RestoredOut}, body=FORM, query=RestoreQuery, errors=(409, 500, 501))
def restore() -> ResponseReturnValue:
    """Put the content of a backup in place of everything; a file that is not fine changes nothing.

    409 names tables of plugins that would be lost under `lostTables`; `acceptLostTables=true` restores all the same.
    """
    accepts = RestoreQuery().load(request.args)
    upload = request.files.get("database")
    if upload is None:
        raise AppError("No file provided")
    with tempfile.NamedTemporaryFile(dir=database_backup.temporary_folder()) as file:
        upload.save(file)
        file.flush()
        name = upload.filename or ""
        done = database_restore.restore(Path(file.name), name, actor=actor(), now=runtime.now(), **accepts)
        return dump_restored(done)


# Wire forms of what the database is, of the copies in its own folder, and of when they are made.


class StateOut(Out):
    """How the database is; `freeBytes` of its file are not used and would be given back by compacting."""

    is_sqlite = fields.Boolean(data_key="isSqlite")
    name = fields.String()
    size_bytes = fields.Integer(data_key="size")
    free_bytes = fields.Integer(data_key="freeBytes")
    run_count = fields.Integer(data_key="runCount")
    oldest_run_at = IsoInstant(data_key="oldestRun", allow_none=True)
    audit_entry_count = fields.Integer(data_key="auditEntryCount")


class IntegrityOut(Out):
    """Whether the file is whole, and what is wrong with it where it is not."""

    is_whole = fields.Boolean(data_key="isWhole")
    damages = fields.List(fields.String())


class LocalBackupOut(Out):
    """A copy in our own folder. `kind` is scheduled, manual, safety-backup (before a restore) or before-migration."""

    name = fields.String()
    kind = fields.String()
    made_at = IsoInstant(data_key="madeAt")
    size_bytes = fields.Integer(data_key="size")


class LocalBackupsOut(Out):
    """All copies, the newest first."""

    backups = fields.List(fields.Nested(LocalBackupOut))


class ScheduleIn(Schema):
    """When copies are made; what is left out stays. `at` is a local time, `weekday` counts from Monday as 0."""

    class Meta:
        unknown = RAISE

    every = fields.String(validate=validate.OneOf(FREQUENCIES))
    weekday = fields.Integer(strict=True, validate=validate.Range(0, 6))
    at = fields.String(validate=validate.Regexp(r"([01][0-9]|2[0-3]):[0-5][0-9]$"))
    keep = fields.Integer(strict=True, validate=validate.Range(1, MOST_KEPT))


class ScheduleOut(Out):
    """When copies are made, when the next one is due, and since when that fails."""

    every = fields.String()
    weekday = fields.Integer()
    at = fields.String()
    keep = fields.Integer()
    next_due_at = IsoInstant(data_key="nextDue", allow_none=True)
    failed_at = IsoInstant(data_key="failedAt", allow_none=True)


def dump_schedule(schedule: BackupSchedule, next_due_at: datetime | None, failed_at: datetime | None) -> dict[str, Any]:
    """When copies are made, when the next one is due, and since when that fails."""
    times = {"nextDue": next_due_at, "failedAt": failed_at}
    return schedule.as_mapping() | {key: iso(at) if at else None for key, at in times.items()}


# Views of the database group about its state, and about copies in its own folder.


@bp.get("/state")
@described({200: StateOut})
def show_state() -> ResponseReturnValue:
    """How large the database is, how much of it is unused, and how far it reaches back."""
    return StateOut().dump(maintenance.describe_database())


@bp.post("/integrity-check")
@described({200: IntegrityOut}, errors=(501,))
def check_integrity() -> ResponseReturnValue:
    """Have SQLite go through its whole file. 501 on PostgreSQL."""
    damages = maintenance.check_integrity(actor=actor(), now=runtime.now())
    return {"isWhole": not damages, "damages": damages}


@bp.post("/compact")
@described({200: {"freedBytes": fields.Integer()}}, errors=(500,))
def compact() -> ResponseReturnValue:
    """Write the file anew without what it does not use; uploads wait meanwhile. On PostgreSQL it is analysed."""
    return {"freedBytes": maintenance.compact(actor=actor(), now=runtime.now())}


@bp.get("/backups")
@described({200: LocalBackupsOut})
def list_backups() -> ResponseReturnValue:
    """The copies in our own folder, those that were put aside before restores and migrations among them."""
    return {"backups": LocalBackupOut().dump(local_backups.list_backups(), many=True)}


@bp.post("/backups")
@described({201: LocalBackupOut}, errors=(500, 501))
def make_backup() -> ResponseReturnValue:
    """Make a copy in our own folder and check it. 501 on PostgreSQL."""
    return LocalBackupOut().dump(local_backups.back_up(now=runtime.now(), actor=actor())), 201


@bp.get("/backups/<backup_name>")
@described({200: Content("application/octet-stream")})
def download_backup(backup_name: str) -> ResponseReturnValue:
    """A copy as a file."""
    file = local_backups.open_backup(backup_name, actor=actor(), now=runtime.now())
    return saved_file(file, backup_name, "application/octet-stream")


@bp.delete("/backups/<backup_name>")
@described({200: MESSAGE})
def delete_backup(backup_name: str) -> ResponseReturnValue:
    """Delete a copy."""
    local_backups.delete_backup(backup_name, actor=actor(), now=runtime.now())
    return {"message": "Backup deleted"}


@bp.post("/backups/<backup_name>/restore")
@described({200: RestoredOut}, query=RestoreQuery, errors=(409, 500, 501))
def restore_backup(backup_name: str) -> ResponseReturnValue:
    """Go back to a copy; what is there now is put aside before. 409 as with a file that is sent."""
    accepts = RestoreQuery().load(request.args)
    return dump_restored(local_backups.restore_backup(backup_name, actor=actor(), now=runtime.now(), **accepts))


@bp.get("/backup-schedule")
@described({200: ScheduleOut})
def show_schedule() -> ResponseReturnValue:
    """When copies are made by themselves."""
    return dump_schedule(local_backups.schedule(), local_backups.next_due_at(runtime.now()), local_backups.failed_at())


@bp.patch("/backup-schedule")
@described({200: ScheduleOut}, body=ScheduleIn, errors=(501,))
def save_schedule() -> ResponseReturnValue:
    """Choose when copies are made by themselves, and how many are kept. 501 on PostgreSQL."""
    wanted = replace(local_backups.schedule(), **ScheduleIn().load(json_body()))
    local_backups.save_schedule(wanted, actor=actor(), now=runtime.now())
    return show_schedule()


# Wire forms of the import of an old installation.


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


# Views of the database group that bring an old installation along.

BYTES = Content("application/octet-stream", shape=fields.String(metadata={"format": "binary"}))


@bp.get("/import")
@described({200: ImportOut})
def show_import() -> ResponseReturnValue:
    """How the newest import goes or ended, what was received so far, and the old installation that was found."""
    return told()


@bp.put("/import/file")
@takes_bytes(importing.MOST_PIECE_BYTES)
@described({200: ReceivedOut}, query=PieceQuery, body=BYTES, errors=(409,))
def receive_file() -> ResponseReturnValue:
    """Receive an old database, or the piece of it that begins at `offset`.

    409 tells with `receivedBytes` where to go on. Pieces may hold 200 MiB; browsers send small ones.
    """
    place = PieceQuery().load(request.args)
    importing.require_rest()
    return ReceivedOut().dump(importing.receive_piece(cast(BinaryIO, request.stream), **place))


@bp.put("/import/key")
@takes_bytes(importing.MOST_KEY_BYTES)
@described({200: ReceivedOut}, body=BYTES, errors=(409,))
def receive_key() -> ResponseReturnValue:
    """Receive the key file of the old installation, which opens its passwords."""
    importing.require_rest()
    return ReceivedOut().dump(importing.receive_key(request.get_data()))


@bp.post("/import")
@described({202: ImportOut}, body=StartIn, is_body_optional=True, errors=(404, 409))
def start_import() -> ResponseReturnValue:
    """Begin to import, or go on with an import that was broken off; it goes on when nobody asks how it goes."""
    importing.start_import(**StartIn().load(json_body(optional=True)), actor=actor(), now=runtime.now())
    return told(), 202


@bp.delete("/import")
@described({200: MESSAGE}, errors=(409,))
def discard_import() -> ResponseReturnValue:
    """Delete what was received and the account of the last import; what was imported stays."""
    importing.forget_import(actor=actor(), now=runtime.now())
    return {"message": "Discarded"}


@bp.post("/import/decline")
@described({200: MESSAGE})
def decline_import() -> ResponseReturnValue:
    """Offer the old installation that was found no more."""
    importing.decline_import(actor=actor(), now=runtime.now())
    return {"message": "It is not offered any more"}


def told() -> dict[str, Any]:
    """How the newest import goes, and what could be imported."""
    return dump_import(importing.import_state(), importing.received(), importing.find_old_installation())


# Views of the database group about the key file that opens stored secrets.


class MasterKeyOut(Out):
    """Whether the key file opens what is stored: `ok`, `missing`, `unusable` or `other`; and whose secrets it does not.

    `message` says what is wrong and what to do; empty while nothing is.
    """

    state = fields.String(metadata={"enum": ["ok", secrets.MISSING, secrets.UNUSABLE, secrets.OTHER]})
    message = fields.String()
    owners = fields.List(fields.String())


class GivenUpOut(Out):
    """Whose secrets were cleared."""

    owners = fields.List(fields.String())


@bp.get("/master-key")
@described({200: MasterKeyOut})
def show_master_key() -> ResponseReturnValue:
    """Whether the key file opens all stored secrets."""
    trouble = secrets.find_trouble()
    if trouble is None:
        return {"state": "ok", "message": "", "owners": []}
    return {"state": trouble.state, "message": trouble.sentence, "owners": list(trouble.owners)}


@bp.post("/master-key/give-up-secrets")
@described({200: GivenUpOut}, errors=(409,))
def give_up_secrets() -> ResponseReturnValue:
    """Clear the stored secrets that the key file does not open; without one make a new one. 409 while all is well."""
    return {"owners": list(secrets.give_up(actor=actor(), now=runtime.now()))}


# Wire forms of what is kept for how long, and of what a clean-up takes.


class RulesIn(Schema):
    """How long things are kept; what is left out stays as it is. 0 stands for ever."""

    class Meta:
        unknown = RAISE

    run_days = fields.Integer(data_key="runDays", strict=True, validate=validate.Range(*BOUNDS["run_days"]))
    run_count = fields.Integer(data_key="runCount", strict=True, validate=validate.Range(*BOUNDS["run_count"]))
    delivery_days = fields.Integer(
        data_key="deliveryDays", strict=True, validate=validate.Range(*BOUNDS["delivery_days"])
    )
    log_days = fields.Integer(data_key="logDays", strict=True, validate=validate.Range(*BOUNDS["log_days"]))


class CleanUpIn(RulesIn):
    """The rules to clean up by, those in force where they are left out, and whether it is only to be told."""

    is_dry_run = fields.Boolean(data_key="dryRun", load_default=True)


class RulesOut(Out):
    """How long things are kept; 0 stands for ever."""

    run_days = fields.Integer(data_key="runDays")
    run_count = fields.Integer(data_key="runCount")
    delivery_days = fields.Integer(data_key="deliveryDays")
    log_days = fields.Integer(data_key="logDays")


class ShareOut(Out):
    """What a clean-up would take of one job."""

    server_id = fields.String(data_key="serverId")
    server_name = fields.String(data_key="serverName")
    job_name = fields.String(data_key="backupName")
    doomed_count = fields.Integer(data_key="wouldDelete")
    kept_count = fields.Integer(data_key="wouldKeep")


class ForecastOut(Out):
    """What a clean-up would delete now."""

    rules = fields.Nested(RulesOut)
    run_count = fields.Integer(data_key="runs")
    shares = fields.List(fields.Nested(ShareOut), data_key="jobs")
    delivery_count = fields.Integer(data_key="deliveries")
    log_names = fields.List(fields.String(), data_key="logFiles")


class CleanedOut(Out):
    """What a clean-up deleted."""

    run_count = fields.Integer(data_key="deletedRuns")
    job_count = fields.Integer(data_key="jobs")
    delivery_count = fields.Integer(data_key="deletedDeliveries")
    log_count = fields.Integer(data_key="deletedLogFiles")


# Views of the database group about what is kept for how long.


@bp.get("/retention")
@described({200: RulesOut})
def show_retention() -> ResponseReturnValue:
    """How long runs, deliveries and log files are kept."""
    return RulesOut().dump(retention.rules())


@bp.patch("/retention")
@described({200: RulesOut}, body=RulesIn)
def save_retention() -> ResponseReturnValue:
    """Choose how long runs, deliveries and log files are kept; the nightly clean-up goes by it."""
    wanted = replace(retention.rules(), **RulesIn().load(json_body()))
    retention.save_rules(wanted, actor=actor(), now=runtime.now())
    return RulesOut().dump(retention.rules())


@bp.post("/retention/cleanup")
@described({200: AnyOf(ForecastOut, CleanedOut)}, body=CleanUpIn, is_body_optional=True)
def clean_up() -> ResponseReturnValue:
    """Tell what a clean-up would delete, or with `dryRun` false delete it; of each job the newest run stays."""
    given = CleanUpIn().load(json_body(optional=True))
    is_dry_run, now = given.pop("is_dry_run"), runtime.now()
    wanted = replace(retention.rules(), **given)
    if is_dry_run:
        return ForecastOut().dump(retention.foresee(wanted, now))
    return CleanedOut().dump(retention.clean_up(wanted, now=now, actor=actor()))


group = ApiGroup(name="database", blueprint=bp, guard=Guard.ADMIN, summary="Backup, restore, retention and import")
