"""Wire forms of what the database is, of the copies in its own folder, and of when they are made."""

from datetime import datetime
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from app.api.wire import IsoInstant, Out, iso
from app.domain.backup_times import FREQUENCIES, MOST_KEPT, BackupSchedule


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
