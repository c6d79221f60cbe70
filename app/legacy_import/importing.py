"""Import of an older installation: all steps, upload in chunks, and the background import.

Each step commits on its own and detects existing data. So an import that was killed is resumed when it is started
again, and one that is done changes nothing.
"""

import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from flask import Flask, current_app

from app import runtime
from app.audit.log import SYSTEM, Actor, record_entry
from app.core.db.orm import writing
from app.core.errors import Refused, dump_refusal
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, declare
from app.database import secrets
from app.database.backup import temporary_folder
from app.legacy_import.accounts import import_accounts, import_audit_entries
from app.legacy_import.backups import complete_jobs, complete_servers, read_servers, server_keys
from app.legacy_import.runs import Progress, import_runs
from app.legacy_import.settings import import_channels, import_settings
from app.legacy_import.source import (
    HEADER,
    OLD_NAME,
    ImportReport,
    NotImportable,
    OldDatabase,
    OldSecrets,
    find_file,
    find_key,
    open_database,
    read_report,
)
from app.legacy_import.stored_forms import as_utc_text, read_time
from app.runtime import settings

IMPORT_DECLINED = declare(Setting("import_declined", bool, default=False))


log = logging.getLogger(__name__)


def import_database(
    path: Path,
    *,
    key_path: Path | None = None,
    now: datetime,
    progress: Progress = lambda done, total: None,
    actor: Actor = SYSTEM,
) -> ImportReport:
    """Import an older installation: a database file of any schema version, or its data folder.

    The old key file is `key_path`, else one beside the file. `progress` is called after each batch with the number of
    runs done. The old file is not modified. Raises NotImportable for an unacceptable file, before anything has changed.
    """
    file = find_file(path)
    key = find_key(file, key_path)
    with open_database(file, temporary_folder()) as old:
        report = _import(old, key, now, progress)
        if report.imported_count:
            details = {
                "filename": file.name,
                "schema_version": old.version_text,
                "taken": {kind: count.taken for kind, count in report.counts.items() if count.taken},
            }
            record_entry("database_import", "system", now=now, actor=actor, details=details)
    log.info("imported %s of schema version %s: %d rows", file.name, old.version_text, report.imported_count)
    return report


def _import(old: OldDatabase, key: bytes | None, now: datetime, progress: Progress) -> ImportReport:
    report = ImportReport(old.version_text)
    stored = old.settings()
    old_secrets = OldSecrets(key, stored.get("master_key_fingerprint"), report)
    servers = read_servers(old, report, now=now)
    import_settings(stored, report, now=now)
    import_channels(stored, old_secrets, report, now=now)
    user_ids = import_accounts(old, report, now=now)
    seen = import_runs(old, servers, report, zone=settings().zone, progress=progress)
    complete_servers(old, servers, {server_id for server_id, _name in seen.keys}, old_secrets, report)
    complete_jobs(stored, server_keys(old, servers), seen, report)
    import_audit_entries(old, user_ids, report)
    for table in old.ignored_tables():
        report.remark(Refused("table_skipped", name=table[:60]))
    return report


# Upload in chunks, so that files may be large and a lost connection costs little.
#
# Stored in a private directory below the data directory until it is imported.

MOST_BYTES = 4 * 1024**3
MOST_PIECE_BYTES = 200 * 1024**2
MOST_KEY_BYTES = 1024
CHUNK_BYTES = 1024**2
KEY_NAME = secrets.KEY_FILE


@dataclass(frozen=True, slots=True)
class Received:
    """What was uploaded so far."""

    size_bytes: int
    has_key: bool


def receive_piece(stream: BinaryIO, *, offset: int, total: int) -> Received:
    """Store a chunk of a file of `total` bytes that begins at `offset`.

    An offset of 0 starts over. Raises Conflict, with the uploaded size as `receivedBytes`, for a chunk out of order,
    and Refused for a file that is not a SQLite database, too large, or does not fit on the disk.
    """
    path = database_path()
    present = path.stat().st_size if path.exists() else 0
    if offset == 0:
        _prepare(total)
        present = 0
    elif offset != present:
        raise Refused("import_offset_unexpected", body={"receivedBytes": present})
    with path.open("r+b" if offset else "wb") as file:
        path.chmod(0o600)
        file.seek(offset)
        for chunk in _chunks(stream):
            if offset == 0 and file.tell() == 0 and not chunk.startswith(HEADER):
                discard_received()
                raise Refused("import_not_sqlite")
            if file.tell() + len(chunk) > total:
                file.truncate(offset)
                raise Refused("import_chunk_too_long")
            file.write(chunk)
    return received()


def receive_key(content: bytes) -> Received:
    """Store the key file of the database. Raises Refused for an invalid one."""
    if len(content) != secrets.KEY_BYTES:
        raise Refused("import_key_length", expected=secrets.KEY_BYTES, length=len(content))
    path = folder() / KEY_NAME
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
    return received()


def received() -> Received:
    """Return what was uploaded so far."""
    path = database_path()
    return Received(path.stat().st_size if path.exists() else 0, (folder() / KEY_NAME).exists())


def discard_received() -> None:
    """Delete the uploaded files."""
    for name in (OLD_NAME, KEY_NAME):
        (folder() / name).unlink(missing_ok=True)


def database_path() -> Path:
    """Return the path of the uploaded database."""
    return folder() / OLD_NAME


def folder() -> Path:
    """Return the directory of uploaded files."""
    directory = settings().data_dir / "import"
    directory.mkdir(exist_ok=True, mode=0o700)
    return directory


def _prepare(total: int) -> None:
    if total > MOST_BYTES:
        raise Refused("import_file_too_large", gibibytes=MOST_BYTES // 1024**3)
    if total < len(HEADER):
        raise Refused("import_not_sqlite")
    if shutil.disk_usage(folder()).free < total * 1.1:
        raise Refused("no_room_for_import")
    database_path().unlink(missing_ok=True)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


# Background import: started by one request, observed by others.
#
# Its state is a file beside the upload, so that every process can read it, also after a restart. A lock, which the
# system releases when a process dies, says whether an import is running.

UPLOAD, FOLDER = "upload", "folder"
NOTHING, RUNNING, INTERRUPTED, DONE, FAILED = "nothing", "running", "interrupted", "done", "failed"
DECLINED = "import_declined"
WRITE_EACH_S = 0.5
TIMES = ("started_at", "ended_at")


@dataclass(frozen=True, slots=True)
class ImportState:
    """State of the latest import; `done_runs` of `total_runs` were processed."""

    phase: str = NOTHING
    source: str = ""
    file_name: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    done_runs: int = 0
    total_runs: int = 0
    error: str = ""
    report: ImportReport | None = None
    # The error as `dump_refusal` writes it; None for one of an earlier version.
    error_details: dict[str, Any] | None = None

    @property
    def is_running(self) -> bool:
        """Whether an import is running."""
        return self.phase == RUNNING

    @property
    def can_resume(self) -> bool:
        """Whether it was interrupted and can be resumed."""
        return self.phase == INTERRUPTED or (self.phase == FAILED and _source_is_there(self.source))


@dataclass(frozen=True, slots=True)
class OldInstallation:
    """A database of the original in the data directory, or where the environment points."""

    path: Path
    size_bytes: int
    has_key: bool
    is_offered: bool = False


def import_state() -> ImportState:
    """Return the state of the latest import."""
    found = _read()
    if found.phase == RUNNING and not _is_held():
        return replace(found, phase=INTERRUPTED)
    return found


def find_old_installation() -> OldInstallation | None:
    """Return the detected database that can be imported; None if there is none."""
    for directory in filter(None, (settings().import_from, settings().data_dir)):
        path = directory / OLD_NAME if directory.is_dir() else directory
        try:
            with path.open("rb") as file:
                is_database = file.read(len(HEADER)) == HEADER
        except OSError:
            continue
        if is_database:
            has_key = path.with_name(KEY_NAME).exists()
            is_offered = not settings_store.get(DECLINED) and _read().source != FOLDER
            return OldInstallation(path, path.stat().st_size, has_key, is_offered)
    return None


def offered_installation() -> OldInstallation | None:
    """Return the database to offer to administrators: detected, neither imported nor declined."""
    found = find_old_installation()
    return found if found is not None and found.is_offered else None


def decline_import(*, actor: Actor, now: datetime) -> None:
    """Dismiss the offer; the installation can still be imported."""
    with writing():
        settings_store.save(DECLINED, True, now=now)
        record_entry("import_declined", "system", now=now, actor=actor)


def start_import(source: str, *, actor: Actor, now: datetime, file_name: str = OLD_NAME) -> threading.Thread:
    """Start importing the upload or the detected installation.

    Returns the background thread. Raises Conflict while another import runs, and NotFound if there is nothing to
    import.
    """
    path = _path_of(source)
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    lock = _take_lock()
    try:
        _write(ImportState(RUNNING, source, file_name, started_at=now))
        worker = threading.Thread(target=_work, args=(app, lock, path, actor, now), name="import", daemon=True)
        worker.start()
    except BaseException:
        os.close(lock)
        raise
    return worker


def forget_import(*, actor: Actor, now: datetime) -> None:
    """Delete the upload and the report of the latest import.

    Raises Refused (409) while one runs.
    """
    lock = _take_lock()
    try:
        discard_received()
        _state_path().unlink(missing_ok=True)
    finally:
        os.close(lock)
    record_entry("import_discarded", "system", now=now, actor=actor)


def require_rest() -> None:
    """Raise Conflict while an import runs, which reads the uploaded files."""
    if _is_held():
        raise Refused("import_running")


def _work(app: Flask, lock: int, path: Path, actor: Actor, now: datetime) -> None:
    """Import, in a thread of its own; every result is recorded."""
    try:
        with app.app_context(), _report_progress(now, actor) as show:
            report = import_database(path, now=now, actor=actor, progress=show)
            _end(DONE, report=report)
    finally:
        os.close(lock)


@contextmanager
def _report_progress(now: datetime, actor: Actor) -> Iterator[Any]:
    """Yield a progress callback.

    On exit record the outcome and delete uploaded files.
    """
    written = 0.0

    def show(done: int, total: int) -> None:
        nonlocal written
        if time.monotonic() - written > WRITE_EACH_S or done == total:
            written = time.monotonic()
            _write(replace(_read(), done_runs=done, total_runs=total))

    try:
        yield show
    except NotImportable as error:
        _fail(error, actor)
        _let_go()
    except Refused as error:
        _fail(error, actor)
    except Exception as error:  # the outermost loop of this thread
        log.exception("the import failed")
        _fail(Refused("import_stopped", kind=type(error).__name__), actor)
    else:
        _let_go()


def _let_go() -> None:
    if _read().source == UPLOAD:
        discard_received()


def _fail(problem: Refused, actor: Actor) -> None:
    _end(FAILED, problem=problem)
    failure = {"status": "error", "error_message": problem.message}
    details = {"filename": _read().file_name}
    record_entry("database_import", "system", now=runtime.now(), actor=actor, details=details, **failure)


def _end(phase: str, *, report: ImportReport | None = None, problem: Refused | None = None) -> None:
    error, details = (problem.message, dump_refusal(problem)) if problem else ("", None)
    _write(replace(_read(), phase=phase, ended_at=runtime.now(), report=report, error=error, error_details=details))


def _path_of(source: str) -> Path:
    if source == FOLDER:
        found = find_old_installation()
        if found is None:
            raise Refused("no_older_installation")
        return found.path
    if not received().size_bytes:
        raise Refused("import_nothing_uploaded")
    return database_path()


def _source_is_there(source: str) -> bool:
    return received().size_bytes > 0 if source == UPLOAD else find_old_installation() is not None


def _take_lock() -> int:
    handle = os.open(folder() / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise Refused("import_running") from error
    return handle


def _is_held() -> bool:
    try:
        os.close(_take_lock())
    except Refused:
        return True
    return False


def _state_path() -> Path:
    return folder() / "state.json"


def _write(new: ImportState) -> None:
    values = {each.name: getattr(new, each.name) for each in fields(new)}
    values |= {name: _time(values[name]) for name in TIMES}
    values["report"] = new.report.as_mapping() if new.report else None
    draft = _state_path().with_suffix(".draft")
    draft.write_bytes(orjson.dumps(values))
    draft.replace(_state_path())


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else as_utc_text(instant)


def _read() -> ImportState:
    try:
        values: dict[str, Any] = orjson.loads(_state_path().read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return ImportState()
    values |= {name: read_time(values[name]) for name in TIMES}
    values["report"] = read_report(values["report"]) if values["report"] else None
    return ImportState(**values)
