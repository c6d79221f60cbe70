"""Wire forms of backup and restore."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from app.api.wire import Out
from app.services.database_restore import Restored


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
