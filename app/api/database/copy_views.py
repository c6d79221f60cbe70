"""Views of the database group about its state, and about copies in its own folder."""

from dataclasses import replace

from flask import request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.answers import saved_file
from app.api.client import actor, json_body
from app.api.database.copies import (
    IntegrityOut,
    LocalBackupOut,
    LocalBackupsOut,
    ScheduleIn,
    ScheduleOut,
    StateOut,
    dump_schedule,
)
from app.api.database.schemas import RestoredOut, RestoreQuery, dump_restored
from app.api.database.views import bp
from app.api.wire import MESSAGE
from app.contracts import Content, described
from app.services import clock, database_state, local_backups


@bp.get("/state")
@described({200: StateOut})
def show_state() -> ResponseReturnValue:
    """How large the database is, how much of it is unused, and how far it reaches back."""
    return StateOut().dump(database_state.describe())


@bp.post("/integrity-check")
@described({200: IntegrityOut}, errors=(501,))
def check_integrity() -> ResponseReturnValue:
    """Have SQLite go through its whole file. 501 on PostgreSQL."""
    damages = database_state.check_integrity(actor=actor(), now=clock.now())
    return {"isWhole": not damages, "damages": damages}


@bp.post("/compact")
@described({200: {"freedBytes": fields.Integer()}}, errors=(500,))
def compact() -> ResponseReturnValue:
    """Write the file anew without what it does not use; uploads wait meanwhile. On PostgreSQL it is analysed."""
    return {"freedBytes": database_state.compact(actor=actor(), now=clock.now())}


@bp.get("/backups")
@described({200: LocalBackupsOut})
def list_backups() -> ResponseReturnValue:
    """The copies in our own folder, those that were put aside before restores and migrations among them."""
    return {"backups": LocalBackupOut().dump(local_backups.list_backups(), many=True)}


@bp.post("/backups")
@described({201: LocalBackupOut}, errors=(500, 501))
def make_backup() -> ResponseReturnValue:
    """Make a copy in our own folder and check it. 501 on PostgreSQL."""
    return LocalBackupOut().dump(local_backups.back_up(now=clock.now(), actor=actor())), 201


@bp.get("/backups/<backup_name>")
@described({200: Content("application/octet-stream")})
def download_backup(backup_name: str) -> ResponseReturnValue:
    """A copy as a file."""
    file = local_backups.open_backup(backup_name, actor=actor(), now=clock.now())
    return saved_file(file, backup_name, "application/octet-stream")


@bp.delete("/backups/<backup_name>")
@described({200: MESSAGE})
def delete_backup(backup_name: str) -> ResponseReturnValue:
    """Delete a copy."""
    local_backups.delete_backup(backup_name, actor=actor(), now=clock.now())
    return {"message": "Backup deleted"}


@bp.post("/backups/<backup_name>/restore")
@described({200: RestoredOut}, query=RestoreQuery, errors=(409, 500, 501))
def restore_backup(backup_name: str) -> ResponseReturnValue:
    """Go back to a copy; what is there now is put aside before. 409 as with a file that is sent."""
    accepts = RestoreQuery().load(request.args)
    return dump_restored(local_backups.restore_backup(backup_name, actor=actor(), now=clock.now(), **accepts))


@bp.get("/backup-schedule")
@described({200: ScheduleOut})
def show_schedule() -> ResponseReturnValue:
    """When copies are made by themselves."""
    return dump_schedule(local_backups.schedule(), local_backups.next_due_at(clock.now()), local_backups.failed_at())


@bp.patch("/backup-schedule")
@described({200: ScheduleOut}, body=ScheduleIn, errors=(501,))
def save_schedule() -> ResponseReturnValue:
    """Choose when copies are made by themselves, and how many are kept. 501 on PostgreSQL."""
    wanted = replace(local_backups.schedule(), **ScheduleIn().load(json_body()))
    local_backups.save_schedule(wanted, actor=actor(), now=clock.now())
    return show_schedule()
