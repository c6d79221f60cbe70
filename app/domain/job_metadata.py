"""What a Duplicati server keeps with a job besides its log: the last synchronisation, the last error, its own settings.

Times of `Metadata` are whole seconds in UTC (`20261130T222428Z`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.durations import parse_duration
from app.domain.instants import iso
from app.domain.reported_values import clean_text, read_instant, read_instant_or_none

LONGEST_ERROR = 4_000
# More versions than a job has; a list of them is not kept.
MOST_VERSIONS = 10_000


@dataclass(frozen=True, slots=True)
class LastSync:
    """The last synchronisation that ended well."""

    began_at: datetime
    ended_at: datetime
    duration_s: float


@dataclass(frozen=True, slots=True)
class LastError:
    """The newest error that Duplicati recorded for a job; the time is that of its end."""

    at: datetime
    message: str


def read_last_sync(metadata: Any) -> LastSync | None:
    """Return the last synchronisation; None where there was none, or it cannot be read."""
    values = metadata if isinstance(metadata, Mapping) else {}
    began_at, ended_at = _read_time(values.get("LastSyncStarted")), _read_time(values.get("LastSyncFinished"))
    if began_at is None or ended_at is None or ended_at < began_at:
        return None
    try:
        duration_s = max(0.0, parse_duration(str(values.get("LastSyncDuration"))))
    except (ValueError, OverflowError):
        duration_s = (ended_at - began_at).total_seconds()
    return LastSync(began_at, ended_at, duration_s)


def read_last_error(metadata: Any) -> LastError | None:
    """Return the newest error; None where there was none."""
    values = metadata if isinstance(metadata, Mapping) else {}
    at, message = _read_time(values.get("LastErrorDate")), values.get("LastErrorMessage")
    if at is None or not isinstance(message, str) or not message.strip():
        return None
    return LastError(at, clean_text(message).strip()[:LONGEST_ERROR])


def read_settings(backup: Any) -> dict[str, str] | None:
    """Return the settings of a job by their names without dashes; one that is set to nothing is empty.

    None when it is no job. Duplicati 2.0 gives it as `data`, beside `success`.
    """
    outer = backup.get("data", backup) if isinstance(backup, Mapping) else None
    inner = outer.get("Backup") if isinstance(outer, Mapping) else None
    if not isinstance(inner, Mapping):
        return None
    settings = inner.get("Settings")
    named = (item for item in settings if isinstance(item, Mapping)) if isinstance(settings, list) else ()
    return named_settings({str(item.get("Name")): item.get("Value") for item in named})


def named_settings(settings: Any) -> dict[str, str]:
    """Return settings that people have made, by their names without dashes; those of Duplicati have no dashes."""
    pairs = settings.items() if isinstance(settings, Mapping) else ()
    return {
        str(name).lstrip("-").lower(): clean_text(str(value)).strip()
        for name, value in pairs
        if str(name).startswith("--") and isinstance(value, str | int)
    }


def read_versions(file_sets: Any, zone: ZoneInfo) -> tuple[str, ...] | None:
    """Return the times of the versions of a job, newest first; None when it is no such list."""
    if not isinstance(file_sets, list) or len(file_sets) > MOST_VERSIONS:
        return None
    try:
        found = {read_instant(item["Time"], zone).replace(microsecond=0) for item in file_sets}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return tuple(iso(at) for at in sorted(found, reverse=True))


def find_active_task(server_state: Any, job_id: str) -> int | None:
    """Return the number of the task that is running for a job; None where another one runs, or none."""
    active = server_state.get("ActiveTask") if isinstance(server_state, Mapping) else None
    if not isinstance(active, Mapping) or str(active.get("Item2")) != job_id:
        return None
    number = active.get("Item1")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def read_task_start(task: Any, zone: ZoneInfo) -> datetime | None:
    """Return when a task began; None for one that has not begun."""
    return read_instant_or_none(task.get("TaskStarted"), zone) if isinstance(task, Mapping) else None


def _read_time(value: Any) -> datetime | None:
    try:
        at = datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at - datetime(1970, 1, 1, tzinfo=UTC) > timedelta() else None
