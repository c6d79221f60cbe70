"""Import runs and logs in batches.

Read and pack without a lock, write in a short transaction.

A run keeps its id, so a second or resumed import detects and skips existing ones.
"""

import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from app.backups.models import Job, Run, RunLog, Server
from app.backups.run_logs import pack_log
from app.core.db.orm import db, insert_for, writing
from app.core.errors import Refused
from app.core.instants import MILLISECOND
from app.legacy_import.source import ImportReport, OldDatabase, OldRow, read_json
from app.legacy_import.stored_forms import read_time
from app.reports.decoding import LARGEST_INTEGER, LARGEST_LONG, clean_text
from app.reports.outcomes import UNSAVED, find_outcome, is_failure
from app.reports.parser import CLOCK_TOLERANCE, Figure
from app.reports.versions import find_version_log, read_versions

SERVERS, JOBS, RUNS, LOGS = Server.__table__, Job.__table__, Run.__table__, RunLog.__table__
Progress = Callable[[int, int], None]
Entry = tuple[dict[str, Any], bytes]

LONGEST_ID, LONGEST_NAME, LONGEST_WORD = 200, 400, 200
LONGEST_DURATION_S = 366 * 86_400.0
# Ids that are not UUIDs, which no release created, are replaced by derived ones, the same in every import.
NAMESPACE = uuid.UUID("6f0d9a3c-6d1b-5f0e-9c39-2f6f6f1f3b57")
LONGS = {
    "examined_files": "examined_files",
    "examined_bytes": "size",
    "opened_files": "opened_files",
    "opened_bytes": "size_of_opened_files",
    "added_files": "added_files",
    "added_bytes": "size_of_added_files",
    "modified_files": "modified_files",
    "modified_bytes": "size_of_modified_files",
    "deleted_files": "deleted_files",
    "not_processed_files": "not_processed_files",
    "too_large_files": "too_large_files",
    "files_with_error": "files_with_error",
    "added_folders": "added_folders",
    "modified_folders": "modified_folders",
    "deleted_folders": "deleted_folders",
    "added_symlinks": "added_symlinks",
    "modified_symlinks": "modified_symlinks",
    "deleted_symlinks": "deleted_symlinks",
    "uploaded_bytes": "uploaded_size",
    "downloaded_bytes": "bytes_downloaded",
    "storage_bytes": "known_file_size",
}
INTEGERS = {
    "version_count": "backup_list_count",
    "message_count": "messages_actual_length",
    "warning_count": "warnings",
    "error_count": "errors",
}
FLAGS = {
    "is_partial": "partial_backup",
    "is_dry_run": "dryrun",
    "was_interrupted": "interrupted",
    "reported_quota_error": "reported_quota_error",
    "reported_quota_warning": "reported_quota_warning",
}


class UnusableRow(Refused):
    """A row that cannot be imported; the message says why."""


class JobIds:
    """Cache of job ids by server and name.

    Creates the jobs and servers that new runs need.
    """

    def __init__(self, servers: Mapping[str, Mapping[str, Any]], report: ImportReport) -> None:
        self._servers = servers
        self._report = report
        self._numbers: dict[tuple[str, str], int] = {}
        self._made: set[tuple[str, str]] = set()

    def forget_deleted(self, connection: Connection) -> None:
        """Forget jobs that were deleted meanwhile, whose ids may have been reused."""
        query = select(JOBS.c.id, JOBS.c.server_id, JOBS.c.name).where(JOBS.c.id.in_(self._numbers.values()))
        present = {(server_id, name): number for number, server_id, name in connection.execute(query)}
        self._numbers = {key: number for key, number in self._numbers.items() if present.get(key) == number}

    def number(self, connection: Connection, server_id: str, name: str, seen_at: datetime) -> int:
        """Return the id of a job; `seen_at` is the creation time of a new one."""
        key = (server_id, name)
        if key not in self._numbers:
            self._numbers[key] = self._find(connection, key) or self._make(connection, key, seen_at)
        return self._numbers[key]

    def _make(self, connection: Connection, key: tuple[str, str], seen_at: datetime) -> int:
        server_id, name = key
        server = self._servers.get(server_id)
        if server is None:
            self._report.remark(Refused("run_of_unlisted_server"))
            server = {"id": server_id, "name": server_id, "created_at": seen_at}
        insert = insert_for(connection.dialect.name)
        made = connection.execute(insert(SERVERS).values(server).on_conflict_do_nothing().returning(SERVERS.c.id))
        self._report.count("servers").taken += len(made.all())  # PostgreSQL returns no row id here
        job = {"server_id": server_id, "name": name, "created_at": seen_at}
        connection.execute(insert(JOBS).values(job).on_conflict_do_nothing())
        self._report.count("jobs").taken += key not in self._made
        self._made.add(key)
        return self._find(connection, key)

    @staticmethod
    def _find(connection: Connection, key: tuple[str, str]) -> int:
        """Return the id of a job; 0 if there is none."""
        found = connection.scalar(select(JOBS.c.id).where(JOBS.c.server_id == key[0], JOBS.c.name == key[1]))
        return int(found or 0)


@dataclass(slots=True)
class Seen:
    """The jobs that the runs of a file belong to, and those of ours that got new runs."""

    keys: set[tuple[str, str]] = field(default_factory=set)
    grown: set[int] = field(default_factory=set)


def import_runs(
    old: OldDatabase,
    servers: Mapping[str, Mapping[str, Any]],
    report: ImportReport,
    *,
    zone: ZoneInfo,
    progress: Progress,
) -> Seen:
    """Import all missing runs. `servers` are the columns of new servers by id.

    `zone` applies to dates of versions in log lines without offset.
    """
    jobs, seen = JobIds(servers, report), Seen()
    count, total = report.count("runs"), old.count("backups")
    for rows in old.runs():
        count.found += len(rows)
        seen.keys.update(_key(row) for row in rows if _has_names(row))
        usable = list(_usable(rows, report))
        known = _known_ids(run_id for run_id, _row in usable)
        count.known += sum(run_id in known for run_id, _row in usable)
        entries = list(_entries(((run_id, row) for run_id, row in usable if run_id not in known), zone, report))
        if entries:
            seen.grown |= _write(entries, jobs, report)
        progress(count.found, max(total, count.found))
    return seen


def _key(row: OldRow) -> tuple[str, str]:
    return clean_text(row["server_id"]), clean_text(row["backup_name"])


def _has_names(row: OldRow) -> bool:
    return isinstance(row["server_id"], str) and isinstance(row["backup_name"], str)


def _usable(rows: Iterable[OldRow], report: ImportReport) -> Iterable[tuple[str, OldRow]]:
    for row in rows:
        text = row["id"]
        if not isinstance(text, str) or not text:
            report.leave("runs", Refused("run_without_id"))
            continue
        try:
            yield str(uuid.UUID(text)), row
        except ValueError:
            report.remark(Refused("run_got_an_id"))
            yield str(uuid.uuid5(NAMESPACE, text)), row


def _known_ids(ids: Iterable[str]) -> set[str]:
    known = set(db.session.scalars(select(Run.id).where(Run.id.in_(list(ids)))))
    db.session.commit()  # ends the snapshot, so that the next batch sees concurrent changes
    return known


def _entries(rows: Iterable[tuple[str, OldRow]], zone: ZoneInfo, report: ImportReport) -> Iterable[Entry]:
    """Return runs with packed logs; unreadable rows are skipped and reported."""
    for run_id, row in rows:
        try:
            yield _entry(run_id, row, zone)
        except UnusableRow as reason:
            report.leave("runs", reason)


def _entry(run_id: str, row: OldRow, zone: ZoneInfo) -> Entry:
    began_at = read_time(row["date"]) or read_time(row.get("begin_time"))
    if began_at is None:
        raise UnusableRow("run_without_time")
    duration_s = _duration(row.get("duration_seconds"))
    ended_at = read_time(row.get("end_time"))
    if ended_at is None or ended_at < began_at:
        ended_at = began_at + timedelta(seconds=duration_s)
    messages, warnings, errors = (_lines(row.get(f"{name}_array")) for name in ("messages", "warnings", "errors"))
    status = _text(row["status"], LONGEST_WORD) or "Unknown"
    received_at = read_time(row.get("created_at")) or ended_at
    reported_began_at = None
    if began_at - received_at > CLOCK_TOLERANCE:  # as `app.reports.parser.correct_clock`
        reported_began_at, ended_at = began_at, received_at
        began_at = received_at - timedelta(milliseconds=int(duration_s * 1000))
    values = {
        "id": run_id,
        "server_id": _name(row["server_id"], LONGEST_ID, "server"),
        "job_name": _name(row["backup_name"], LONGEST_NAME, "job"),
        "duplicati_id": _text(row.get("backup_id"), LONGEST_ID),
        "began_at": began_at,
        "ended_at": ended_at,
        "reported_began_at": reported_began_at,
        "received_at": received_at,
        "duration_s": duration_s,
        "status": status,
        "parsed_result": _text(row.get("parsed_result"), LONGEST_WORD) or status,
        "main_operation": _text(row.get("main_operation"), LONGEST_WORD) or "Backup",
        "duplicati_version": _text(row.get("version"), LONGEST_WORD) or None,
        "available_versions": _versions(row, messages, began_at, ended_at, zone),
    }
    values |= {ours: _number(row.get(theirs), LARGEST_LONG) for ours, theirs in LONGS.items()}
    values |= {ours: _number(row.get(theirs), LARGEST_INTEGER) for ours, theirs in INTEGERS.items()}
    values |= {ours: bool(_number(row.get(theirs), 1)) for ours, theirs in FLAGS.items()}
    values |= _find_outcome(values, messages)
    return values, pack_log(messages, warnings, errors, ())


def _write(entries: list[Entry], jobs: JobIds, report: ImportReport) -> set[int]:
    """Store a batch; return the ids of the jobs that got runs."""
    packed = {values["id"]: log for values, log in entries}
    with writing() as session:
        connection = session.connection()
        jobs.forget_deleted(connection)
        values = [_with_job(values, connection, jobs) for values, _log in entries]
        _correct_clocks(connection, values)
        stored = connection.execute(_insert_new(connection.dialect.name), values).all()
        if stored:
            connection.execute(
                LOGS.insert(), [{"run_row_id": row_id, "packed": packed[run_id]} for row_id, run_id, _job in stored]
            )
    report.count("runs").taken += len(stored)
    duplicates = len(values) - len(stored)
    if duplicates:
        report.count("runs").left += duplicates
        report.remark(Refused("run_with_same_start"), duplicates)
    return {job_id for _row_id, _run_id, job_id in stored}


def _with_job(values: dict[str, Any], connection: Connection, jobs: JobIds) -> dict[str, Any]:
    server_id, job_name = values.pop("server_id"), values.pop("job_name")
    values["job_id"] = jobs.number(connection, server_id, job_name, values["received_at"])
    return values


def _correct_clocks(connection: Connection, entries: Iterable[dict[str, Any]]) -> None:
    """Correct the times of runs by a clock that was ahead, keeping their order and distances.

    Runs stored at the same moment were collected together: the newest gets that time, the others the same distances
    before it.
    """
    groups: dict[tuple[int, datetime], list[dict[str, Any]]] = {}
    for values in entries:
        if values["reported_began_at"] is not None:
            groups.setdefault((values["job_id"], values["received_at"]), []).append(values)
    taken: set[tuple[int, datetime]] = set()
    for (job_id, received_at), group in groups.items():
        lengths = {values["id"]: timedelta(milliseconds=int(values["duration_s"] * 1000)) for values in group}
        ahead = max(values["reported_began_at"] + lengths[values["id"]] for values in group) - received_at
        for values in sorted(group, key=itemgetter("reported_began_at"), reverse=True):
            began_at = values["reported_began_at"] - ahead
            while (job_id, began_at) in taken or _has_run(connection, job_id, began_at):
                began_at -= MILLISECOND
            taken.add((job_id, began_at))
            values |= {"began_at": began_at, "ended_at": began_at + lengths[values["id"]]}
            if values["version_at"] is not None:
                values["version_at"] = began_at.replace(microsecond=0)


def _has_run(connection: Connection, job_id: int, began_at: datetime) -> bool:
    return (
        connection.scalar(select(RUNS.c.row_id).where(RUNS.c.job_id == job_id, RUNS.c.began_at == began_at)) is not None
    )


@cache
def _insert_new(dialect: str) -> Any:
    insert = insert_for(dialect)(RUNS).on_conflict_do_nothing()
    return insert.returning(RUNS.c.row_id, RUNS.c.id, RUNS.c.job_id)


def _name(value: object, longest: int, what: str) -> str:
    """Return a name that identifies runs, which cannot be truncated. Raises Unusable."""
    text = clean_text(value) if isinstance(value, str) else ""
    if not text:
        raise UnusableRow("run_without_name", what=what)
    if len(text) > longest:
        raise UnusableRow("run_name_too_long", what=what, most=longest)
    return text


def _text(value: object, longest: int) -> str:
    return clean_text(value)[:longest] if isinstance(value, str) else ""


def _number(value: object, largest: int) -> int:
    """Return a count; SQLite accepts any value in a column, and invalid ones become 0."""
    if type(value) is int:
        return min(max(value, 0), largest)
    try:
        return min(max(int(float(value)), 0), largest) if isinstance(value, str | float) else 0
    except (ValueError, OverflowError):
        return 0


def _duration(value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, str | float | int) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_DURATION_S) if math.isfinite(seconds) else 0.0


def _lines(text: object) -> list[str]:
    """Return the lines of a log; text that is not a JSON array is kept as one."""
    if not isinstance(text, str) or text in ("", "[]"):
        return []
    value = read_json(text)
    if not isinstance(value, list):
        return [] if value is None and text.strip() == "null" else clean_text(text).splitlines()
    return [clean_text(line if isinstance(line, str) else str(line)) for line in value]


def _find_outcome(values: Mapping[str, Any], messages: Sequence[str]) -> dict[str, Any]:
    """Return whether a run saved a version, and which metrics are missing.

    See `app.reports`.
    """
    outcome = find_outcome(
        is_dry_run=values["is_dry_run"],
        was_interrupted=values["was_interrupted"],
        is_partial=values["is_partial"],
        parsed_result=values["parsed_result"],
        uploaded_files=values["uploaded_bytes"],
        messages=messages,
        is_cut=len(messages) < values["message_count"],
    )
    is_incomplete = is_failure(values["parsed_result"]) or bool(outcome)
    not_told = Figure(0) if values["available_versions"] else Figure.VERSION_LIST
    for figure, column in (
        (Figure.STORAGE, "storage_bytes"),
        (Figure.VERSION_COUNT, "version_count"),
        (Figure.FILES, "examined_files"),
    ):
        if is_incomplete and not values[column]:
            not_told |= figure
    if not values["storage_bytes"] and not values["version_count"]:
        # A run without statistics of the backend; a real one has a version.
        not_told |= Figure.STORAGE | Figure.VERSION_COUNT
        if not values["uploaded_bytes"] and not is_incomplete:
            not_told |= Figure.UPLOADED
    has_saved = outcome not in UNSAVED and not is_failure(values["parsed_result"])
    version_at = values["began_at"].replace(microsecond=0) if has_saved else None
    return {"outcome": outcome.value, "not_told": int(not_told), "version_at": version_at}


def _versions(
    row: OldRow, messages: list[str], began_at: datetime, ended_at: datetime, zone: ZoneInfo
) -> tuple[str, ...]:
    """Return the restorable versions, newest first.

    They are taken from the log if they were not stored. Both are parsed again in the background when all runs of the
    job are imported.
    """
    text = row.get("available_backups")
    value = read_json(text) if isinstance(text, str) and text != "[]" else None
    times = {time for item in value if (time := read_time(item))} if isinstance(value, list) else set()
    if times:
        return tuple(time.isoformat() for time in sorted(times, reverse=True))
    return read_versions(find_version_log(messages), began_at=began_at, ended_at=ended_at, zone=zone).versions
