"""Views of the database group."""

import tempfile
from pathlib import Path

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.answers import saved_file
from app.api.client import actor
from app.api.database.schemas import (
    BackupQuery,
    RestoredOut,
    RestoreQuery,
    dump_restored,
)
from app.contracts import (
    AppError,
    Content,
    described,
    takes_bytes,
)
from app.services import clock, database_backup, database_restore

bp = Blueprint("database", __name__, url_prefix="/database")

# 200 MiB for the file, and something for what a form puts around it.
MOST_BYTES = 200 * 1024 * 1024 + 64 * 1024
FORM = Content("multipart/form-data", shape={"database": fields.String(metadata={"format": "binary"})})
MIMETYPES = {"db": "application/octet-stream", "sql": "text/plain"}


@bp.get("/backup")
@described({200: Content("application/octet-stream", "text/plain")}, query=BackupQuery, errors=(500, 501))
def backup() -> ResponseReturnValue:
    """The database as a file, or with `format=sql` as statements. 501 on PostgreSQL."""
    kind = BackupQuery().load(request.args)["kind"]
    made = database_backup.make_backup(kind, actor=actor(), now=clock.now())
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
        done = database_restore.restore(Path(file.name), name, actor=actor(), now=clock.now(), **accepts)
        return dump_restored(done)
