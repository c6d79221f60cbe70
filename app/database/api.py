"""API of the database.

Backup and restore, local backups, maintenance, import, key file and retention.
"""

import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE, RAISE, Schema, fields, validate

from app import runtime
from app.core.errors import Refused
from app.core.instants import iso
from app.database import backup as database_backup
from app.database import local_backups, maintenance, retention, secrets
from app.database import restore as database_restore
from app.database.local_backups import BACKUP_SCHEDULE, BackupSchedule
from app.database.restore import MOST_BYTES, Restored
from app.database.retention import RETENTION
from app.legacy_import import importing
from app.legacy_import.importing import FOLDER, UPLOAD, ImportState, OldInstallation, Received
from app.plugin import Access, AnyOf, ApiGroup, Content, described, takes_bytes
from app.web.forms import fields_in, fields_out
from app.web.http import MESSAGE, IsoInstant, Out, actor, json_body, saved_file

# Backup and restore: schemas


class BackupQuery(Schema):
    """Format of the backup: `db` or `sql`."""

    class Meta:
        unknown = EXCLUDE

    kind = fields.String(data_key="format", load_default="db")


class RestoreQuery(Schema):
    """Whether plugin tables with current data may be lost."""

    class Meta:
        unknown = EXCLUDE

    accepts_lost_tables = fields.Boolean(data_key="acceptLostTables", load_default=False)


class RestoredOut(Out):
    """What was restored, the safety backup of the previous data, and which plugin tables were kept or lost."""

    success = fields.Boolean()
    message = fields.String()
    safety_copy = fields.String(data_key="safetyBackupPath")
    requires_login = fields.Boolean(data_key="requiresReauth")
    kept_tables = fields.List(fields.String(), data_key="keptTables")
    lost_tables = fields.List(fields.String(), data_key="lostTables")


def dump_restored(done: Restored) -> dict[str, Any]:
    """Return what was restored, and the safety backup of the previous data."""
    return {
        "success": True,
        "message": f"The database was restored from the {done.kind.upper()} file; please sign in again",
        "safetyBackupPath": done.safety_copy,
        "requiresReauth": True,
        "keptTables": list(done.tables.kept),
        "lostTables": [*done.tables.lost, *done.tables.left],
    }


# Backup and restore: views

bp = Blueprint("database", __name__, url_prefix="/database")

# 200 MiB for the file, plus the multipart overhead of a form.
FORM = Content("multipart/form-data", shape={"database": fields.String(metadata={"format": "binary"})})
MIMETYPES = {"db": "application/octet-stream", "sql": "text/plain"}


@bp.get("/backup")
@described({200: Content("application/octet-stream", "text/plain")}, query=BackupQuery, errors=(500, 501))
def backup() -> ResponseReturnValue:
    """Download the database as a file, or as SQL statements with `format=sql`. 501 on PostgreSQL."""
    kind = BackupQuery().load(request.args)["kind"]
    made = database_backup.make_backup(kind, actor=actor(), now=runtime.now())
    answer = saved_file(made.file, made.name, MIMETYPES[kind])
    answer.content_length = made.size_bytes
    return answer


@bp.post("/restore")
@takes_bytes(MOST_BYTES)
@described({200: RestoredOut}, body=FORM, query=RestoreQuery, errors=(409, 500, 501))
def restore() -> ResponseReturnValue:
    """Replace all data by a backup. The file is validated first; an invalid file changes nothing.

    409 lists plugin tables that would be lost in `lostTables`; `acceptLostTables=true` restores anyway.
    """
    accepts = RestoreQuery().load(request.args)
    upload = request.files.get("database")
    if upload is None:
        raise Refused("file_missing", "file")
    with tempfile.NamedTemporaryFile(dir=database_backup.temporary_folder()) as file:
        upload.save(file)
        file.flush()
        name = upload.filename or ""
        done = database_restore.restore(Path(file.name), name, actor=actor(), now=runtime.now(), **accepts)
        return dump_restored(done)


# State, local backups and their schedule: schemas


class StateOut(Out):
    """State of the database; `freeBytes` would be freed by compacting."""

    is_sqlite = fields.Boolean(data_key="isSqlite")
    name = fields.String()
    size_bytes = fields.Integer(data_key="size")
    free_bytes = fields.Integer(data_key="freeBytes")
    run_count = fields.Integer(data_key="runCount")
    oldest_run_at = IsoInstant(data_key="oldestRun", allow_none=True)
    audit_entry_count = fields.Integer(data_key="auditEntryCount")


class IntegrityOut(Out):
    """Result of the integrity check, and the damage found."""

    is_whole = fields.Boolean(data_key="isWhole")
    damages = fields.List(fields.String())


class LocalBackupOut(Out):
    """A backup of the database. `kind` is scheduled, manual, safety-backup (before a restore) or before-migration."""

    name = fields.String()
    kind = fields.String()
    made_at = IsoInstant(data_key="madeAt")
    size_bytes = fields.Integer(data_key="size")


class LocalBackupsOut(Out):
    """All backups, newest first."""

    backups = fields.List(fields.Nested(LocalBackupOut))


class ScheduleIn(Schema):
    """Schedule of automatic backups; omitted fields are kept. `at` is a local time, `weekday` 0 is Monday."""

    class Meta:
        unknown = RAISE
        include = fields_in(BACKUP_SCHEDULE.parts)


class ScheduleOut(Out):
    """Schedule of automatic backups, the next one, and since when they fail."""

    class Meta:
        include = fields_out(BACKUP_SCHEDULE.parts)

    next_due_at = IsoInstant(data_key="nextDue", allow_none=True)
    failed_at = IsoInstant(data_key="failedAt", allow_none=True)


def dump_schedule(schedule: BackupSchedule, next_due_at: datetime | None, failed_at: datetime | None) -> dict[str, Any]:
    """Return the schedule of automatic backups, the next one, and since when they fail."""
    times = {"nextDue": next_due_at, "failedAt": failed_at}
    return schedule.as_mapping() | {key: iso(at) if at else None for key, at in times.items()}


# State, local backups and their schedule: views


@bp.get("/state")
@described({200: StateOut})
def show_state() -> ResponseReturnValue:
    """Get size, free space and oldest run of the database."""
    return StateOut().dump(maintenance.describe_database())


@bp.post("/integrity-check")
@described({200: IntegrityOut}, errors=(501,))
def check_integrity() -> ResponseReturnValue:
    """Run the integrity check of SQLite. 501 on PostgreSQL."""
    damages = maintenance.check_integrity(actor=actor(), now=runtime.now())
    return {"isWhole": not damages, "damages": [damage.message for damage in damages]}


@bp.post("/compact")
@described({200: {"freedBytes": fields.Integer()}}, errors=(500,))
def compact() -> ResponseReturnValue:
    """Compact the database; incoming reports wait meanwhile. On PostgreSQL this is VACUUM (ANALYZE)."""
    return {"freedBytes": maintenance.compact(actor=actor(), now=runtime.now())}


@bp.get("/backups")
@described({200: LocalBackupsOut})
def list_backups() -> ResponseReturnValue:
    """List the backups in the data directory, including those created before restores and migrations."""
    return {"backups": LocalBackupOut().dump(local_backups.list_backups(), many=True)}


@bp.post("/backups")
@described({201: LocalBackupOut}, errors=(500, 501))
def make_backup() -> ResponseReturnValue:
    """Create a backup in the data directory and check it. 501 on PostgreSQL."""
    return LocalBackupOut().dump(local_backups.back_up(now=runtime.now(), actor=actor())), 201


@bp.get("/backups/<backup_name>")
@described({200: Content("application/octet-stream")})
def download_backup(backup_name: str) -> ResponseReturnValue:
    """Download a backup."""
    file = local_backups.open_backup(backup_name, actor=actor(), now=runtime.now())
    return saved_file(file, backup_name, "application/octet-stream")


@bp.delete("/backups/<backup_name>")
@described({200: MESSAGE})
def delete_backup(backup_name: str) -> ResponseReturnValue:
    """Delete a backup."""
    local_backups.delete_backup(backup_name, actor=actor(), now=runtime.now())
    return {"message": "Backup deleted"}


@bp.post("/backups/<backup_name>/restore")
@described({200: RestoredOut}, query=RestoreQuery, errors=(409, 500, 501))
def restore_backup(backup_name: str) -> ResponseReturnValue:
    """Restore a backup; current data is saved as a safety backup. 409 as for an uploaded file."""
    accepts = RestoreQuery().load(request.args)
    return dump_restored(local_backups.restore_backup(backup_name, actor=actor(), now=runtime.now(), **accepts))


@bp.get("/backup-schedule")
@described({200: ScheduleOut})
def show_schedule() -> ResponseReturnValue:
    """Get the schedule of automatic backups."""
    return dump_schedule(local_backups.schedule(), local_backups.next_due_at(runtime.now()), local_backups.failed_at())


@bp.patch("/backup-schedule")
@described({200: ScheduleOut}, body=ScheduleIn, errors=(501,))
def save_schedule() -> ResponseReturnValue:
    """Set the schedule of automatic backups and how many are kept. 501 on PostgreSQL."""
    rules = replace(local_backups.schedule(), **ScheduleIn().load(json_body()))
    local_backups.save_schedule(rules, actor=actor(), now=runtime.now())
    return show_schedule()


# Import of an older installation: schemas


class PieceQuery(Schema):
    """Offset of a chunk and size of the whole file, in bytes."""

    class Meta:
        unknown = EXCLUDE

    offset = fields.Integer(load_default=0, validate=validate.Range(min=0))
    total = fields.Integer(required=True, validate=validate.Range(min=0))


class StartIn(Schema):
    """Source of the import: the uploaded file or the directory that was found. `fileName` is for the audit log."""

    class Meta:
        unknown = RAISE

    source = fields.String(load_default=UPLOAD, validate=validate.OneOf((UPLOAD, FOLDER)))
    file_name = fields.String(data_key="fileName", load_default="backups.db", validate=validate.Length(1, 255))


class ReceivedOut(Out):
    """Number of bytes received."""

    size_bytes = fields.Integer(data_key="receivedBytes")
    has_key = fields.Boolean(data_key="hasKey")


class CountOut(Out):
    """Results for one type of data."""

    found = fields.Integer()
    taken = fields.Integer()
    known = fields.Integer()
    left = fields.Integer()


class ReportOut(Out):
    """Report of an import; `remarks` are messages with the number of their occurrences."""

    schema_version = fields.String(data_key="schemaVersion")
    counts = fields.Dict(values=fields.Nested(CountOut))
    remarks = fields.Dict(values=fields.Integer())


class OldInstallationOut(Out):
    """A database of an older installation that was found, and whether its import is offered on the dashboard."""

    path = fields.String()
    size_bytes = fields.Integer(data_key="size")
    has_key = fields.Boolean(data_key="hasKey")
    is_offered = fields.Boolean(data_key="isOffered")


class ImportOut(Out):
    """State of the latest import: nothing, running, interrupted, done or failed; with progress and report."""

    phase = fields.String()
    source = fields.String()
    file_name = fields.String(data_key="fileName")
    started_at = IsoInstant(data_key="startedAt", allow_none=True)
    ended_at = IsoInstant(data_key="endedAt", allow_none=True)
    done_runs = fields.Integer(data_key="doneRuns")
    total_runs = fields.Integer(data_key="totalRuns")
    error = fields.String()
    can_resume = fields.Boolean(data_key="canGoOn")
    report = fields.Nested(ReportOut, allow_none=True)
    received = fields.Nested(ReceivedOut)
    old_installation = fields.Nested(OldInstallationOut, data_key="oldInstallation", allow_none=True)


_plain_out = ImportOut(exclude=("report", "received", "old_installation"))


def dump_import(state: ImportState, received: Received, old: OldInstallation | None) -> dict[str, Any]:
    """Return the state of the latest import, and what can be imported."""
    data: dict[str, Any] = _plain_out.dump(state)
    data["report"] = state.report and {
        "schemaVersion": state.report.schema_version,
        "counts": {kind: CountOut().dump(count) for kind, count in state.report.counts.items()},
        "remarks": dict(state.report.remarks),
    }
    data["received"] = ReceivedOut().dump(received)
    data["oldInstallation"] = old and OldInstallationOut().dump(old) | {"path": str(old.path)}
    return data


# Import of an older installation: views

BYTES = Content("application/octet-stream", shape=fields.String(metadata={"format": "binary"}))


@bp.get("/import")
@described({200: ImportOut})
def show_import() -> ResponseReturnValue:
    """Get the state of the latest import, the received files, and the older installation that was found."""
    return current_import()


@bp.put("/import/file")
@takes_bytes(importing.MOST_PIECE_BYTES)
@described({200: ReceivedOut}, query=PieceQuery, body=BYTES, errors=(409,))
def receive_file() -> ResponseReturnValue:
    """Upload a database of an older installation, or the chunk of it that begins at `offset`.

    On 409, resume at `receivedBytes`. Chunks can have up to 200 MiB.
    """
    position = PieceQuery().load(request.args)
    importing.require_rest()
    return ReceivedOut().dump(importing.receive_piece(cast(BinaryIO, request.stream), **position))


@bp.put("/import/key")
@takes_bytes(importing.MOST_KEY_BYTES)
@described({200: ReceivedOut}, body=BYTES, errors=(409,))
def receive_key() -> ResponseReturnValue:
    """Upload the key file of the older installation, which decrypts its passwords."""
    importing.require_rest()
    return ReceivedOut().dump(importing.receive_key(request.get_data()))


@bp.post("/import")
@described({202: ImportOut}, body=StartIn, is_body_optional=True, errors=(404, 409))
def start_import() -> ResponseReturnValue:
    """Start an import or resume an interrupted one; it runs in the background."""
    importing.start_import(**StartIn().load(json_body(optional=True)), actor=actor(), now=runtime.now())
    return current_import(), 202


@bp.delete("/import")
@described({200: MESSAGE}, errors=(409,))
def discard_import() -> ResponseReturnValue:
    """Delete the uploaded files and the report of the last import; imported data is kept."""
    importing.forget_import(actor=actor(), now=runtime.now())
    return {"message": "Discarded"}


@bp.post("/import/decline")
@described({200: MESSAGE})
def decline_import() -> ResponseReturnValue:
    """Dismiss the offer to import the older installation that was found."""
    importing.decline_import(actor=actor(), now=runtime.now())
    return {"message": "The offer was dismissed"}


def current_import() -> dict[str, Any]:
    """Return the state of the latest import, and what can be imported."""
    return dump_import(importing.import_state(), importing.received(), importing.find_old_installation())


# Key file


class MasterKeyOut(Out):
    """State of the key file: `ok`, `missing`, `unusable` or `other`; and the owners of secrets it cannot decrypt.

    `message` says what is wrong and what to do; empty if there is no problem.
    """

    state = fields.String(metadata={"enum": ["ok", secrets.MISSING, secrets.UNUSABLE, secrets.OTHER]})
    message = fields.String()
    owners = fields.List(fields.String())


class GivenUpOut(Out):
    """Owners of the cleared secrets."""

    owners = fields.List(fields.String())


@bp.get("/master-key")
@described({200: MasterKeyOut})
def show_master_key() -> ResponseReturnValue:
    """Check whether the key file decrypts all stored secrets."""
    problem = secrets.find_key_problem()
    if problem is None:
        return {"state": "ok", "message": "", "owners": []}
    return {"state": problem.state, "message": problem.sentence, "owners": list(problem.owners)}


@bp.post("/master-key/give-up-secrets")
@described({200: GivenUpOut}, errors=(409,))
def give_up_secrets() -> ResponseReturnValue:
    """Clear stored secrets that the key file cannot decrypt; create a missing key file. 409 if there are none."""
    return {"owners": list(secrets.clear_unreadable(actor=actor(), now=runtime.now()))}


# Retention: schemas


class RulesIn(Schema):
    """Retention rules; omitted fields are kept. 0 means forever."""

    class Meta:
        unknown = RAISE
        include = fields_in(RETENTION)


class CleanUpIn(RulesIn):
    """Rules of the clean-up (default: those in force), and whether it is only a preview."""

    is_dry_run = fields.Boolean(data_key="dryRun", load_default=True)


class RulesOut(Out):
    """Retention rules; 0 means forever."""

    class Meta:
        include = fields_out(RETENTION)


class ShareOut(Out):
    """Runs of one job that a clean-up would delete."""

    server_id = fields.String(data_key="serverId")
    server_name = fields.String(data_key="serverName")
    job_name = fields.String(data_key="backupName")
    doomed_count = fields.Integer(data_key="wouldDelete")
    kept_count = fields.Integer(data_key="wouldKeep")


class ForecastOut(Out):
    """Data that a clean-up would delete now."""

    rules = fields.Nested(RulesOut)
    run_count = fields.Integer(data_key="runs")
    shares = fields.List(fields.Nested(ShareOut), data_key="jobs")
    delivery_count = fields.Integer(data_key="deliveries")
    log_names = fields.List(fields.String(), data_key="logFiles")


class CleanedOut(Out):
    """Data that a clean-up deleted."""

    run_count = fields.Integer(data_key="deletedRuns")
    job_count = fields.Integer(data_key="jobs")
    delivery_count = fields.Integer(data_key="deletedDeliveries")
    log_count = fields.Integer(data_key="deletedLogFiles")


# Retention: views


@bp.get("/retention")
@described({200: RulesOut})
def show_retention() -> ResponseReturnValue:
    """Get the retention of runs, deliveries and log files."""
    return RulesOut().dump(retention.rules())


@bp.patch("/retention")
@described({200: RulesOut}, body=RulesIn)
def save_retention() -> ResponseReturnValue:
    """Set the retention of runs, deliveries and log files; applied by the nightly clean-up."""
    rules = replace(retention.rules(), **RulesIn().load(json_body()))
    retention.save_rules(rules, actor=actor(), now=runtime.now())
    return RulesOut().dump(retention.rules())


@bp.post("/retention/cleanup")
@described({200: AnyOf(ForecastOut, CleanedOut)}, body=CleanUpIn, is_body_optional=True)
def clean_up() -> ResponseReturnValue:
    """Preview a clean-up, or run it if `dryRun` is false. The newest run of each job is always kept."""
    values = CleanUpIn().load(json_body(optional=True))
    is_dry_run, now = values.pop("is_dry_run"), runtime.now()
    rules = replace(retention.rules(), **values)
    if is_dry_run:
        return ForecastOut().dump(retention.preview(rules, now))
    return CleanedOut().dump(retention.clean_up(rules, now=now, actor=actor()))


group = ApiGroup(name="database", blueprint=bp, access=Access.ADMIN, summary="Backup, restore, retention and import")
