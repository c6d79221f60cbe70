"""An import that goes on while people do other things: started by one request, looked at by others.

How it goes stands in a file beside the database that was sent, so every process can tell, also after a restart. Whether
somebody is at it is told by a lock that the system takes back from a process that dies.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from flask import Flask, current_app

from app.contracts.errors import AppError, Conflict, NotFound
from app.domain.old_settings import as_utc_text, read_time
from app.services import clock, configuration
from app.services.audit import Actor, record_entry
from app.services.deployment import settings
from app.services.transaction import writing
from app.services.transfer import received_files
from app.services.transfer.importing import import_database
from app.services.transfer.reports import ImportReport, read_report
from app.services.transfer.source import HEADER, OLD_NAME, NotImportable

log = logging.getLogger(__name__)

UPLOAD, FOLDER = "upload", "folder"
NOTHING, RUNNING, INTERRUPTED, DONE, FAILED = "nothing", "running", "interrupted", "done", "failed"
DECLINED = "import_declined"
WRITE_EACH_S = 0.5
TIMES = ("started_at", "ended_at")


@dataclass(frozen=True, slots=True)
class ImportState:
    """How the newest import goes, or ended; `done_runs` of `total_runs` were looked at."""

    phase: str = NOTHING
    source: str = ""
    file_name: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    done_runs: int = 0
    total_runs: int = 0
    error: str = ""
    report: ImportReport | None = None

    @property
    def is_running(self) -> bool:
        """Whether somebody is at it."""
        return self.phase == RUNNING

    @property
    def can_go_on(self) -> bool:
        """Whether it ended before its end and can be started again where it stopped."""
        return self.phase == INTERRUPTED or (self.phase == FAILED and _source_is_there(self.source))


@dataclass(frozen=True, slots=True)
class OldInstallation:
    """A database of the original that lies in our data directory, or where the environment says."""

    path: Path
    size_bytes: int
    has_key: bool
    is_offered: bool = False


def state() -> ImportState:
    """How the newest import goes, or ended."""
    found = _read()
    if found.phase == RUNNING and not _is_held():
        return replace(found, phase=INTERRUPTED)
    return found


def find_old_installation() -> OldInstallation | None:
    """The old database that is offered for import, if one lies where we look."""
    for place in filter(None, (settings().import_from, settings().data_dir)):
        path = place / OLD_NAME if place.is_dir() else place
        try:
            with path.open("rb") as file:
                is_database = file.read(len(HEADER)) == HEADER
        except OSError:
            continue
        if is_database:
            has_key = path.with_name(received_files.KEY_NAME).exists()
            is_offered = not configuration.get(DECLINED) and _read().source != FOLDER
            return OldInstallation(path, path.stat().st_size, has_key, is_offered)
    return None


def offered_installation() -> OldInstallation | None:
    """The old database that an administrator should be told of: found, neither imported nor declined."""
    found = find_old_installation()
    return found if found is not None and found.is_offered else None


def decline(*, actor: Actor, now: datetime) -> None:
    """Offer the old installation no more; it can still be imported."""
    with writing():
        configuration.save(DECLINED, True, now=now)
        record_entry("import_declined", "system", now=now, actor=actor)


def start(source: str, *, actor: Actor, now: datetime, file_name: str = OLD_NAME) -> threading.Thread:
    """Begin to import what was received, or the old installation that was found; gives the thread that does it.

    Raises Conflict while another import runs, and NotFound when there is nothing to import.
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


def forget(*, actor: Actor, now: datetime) -> None:
    """Delete what was received and the account of the last import. Raises Conflict while one runs."""
    lock = _take_lock()
    try:
        received_files.discard()
        _state_path().unlink(missing_ok=True)
    finally:
        os.close(lock)
    record_entry("import_discarded", "system", now=now, actor=actor)


def require_rest() -> None:
    """Raise Conflict while an import runs, which reads the files that were received."""
    if _is_held():
        raise Conflict("An import is running")


def _work(app: Flask, lock: int, path: Path, actor: Actor, now: datetime) -> None:
    """Import, in a thread of its own; whatever happens is written down."""
    try:
        with app.app_context(), _told(now, actor) as show:
            report = import_database(path, now=now, actor=actor, progress=show)
            _end(DONE, report=report)
    finally:
        os.close(lock)


@contextmanager
def _told(now: datetime, actor: Actor) -> Iterator[Any]:
    """Give what tells the progress; write down how it ends, and let go of what was received."""
    written = 0.0

    def show(done: int, total: int) -> None:
        nonlocal written
        if time.monotonic() - written > WRITE_EACH_S or done == total:
            written = time.monotonic()
            _write(replace(_read(), done_runs=done, total_runs=total))

    try:
        yield show
    except NotImportable as error:
        _fail(error.message, actor)
        _let_go()
    except AppError as error:
        _fail(error.message, actor)
    except Exception as error:  # the outermost loop of this thread
        log.exception("the import failed")
        _fail(f"The import stopped unexpectedly ({type(error).__name__}); the application log tells more", actor)
    else:
        _let_go()


def _let_go() -> None:
    if _read().source == UPLOAD:
        received_files.discard()


def _fail(sentence: str, actor: Actor) -> None:
    _end(FAILED, error=sentence)
    told = {"status": "error", "error_message": sentence}
    details = {"filename": _read().file_name}
    record_entry("database_import", "system", now=clock.now(), actor=actor, details=details, **told)


def _end(phase: str, *, report: ImportReport | None = None, error: str = "") -> None:
    _write(replace(_read(), phase=phase, ended_at=clock.now(), report=report, error=error))


def _path_of(source: str) -> Path:
    if source == FOLDER:
        found = find_old_installation()
        if found is None:
            raise NotFound("There is no old installation to import")
        return found.path
    if not received_files.received().size_bytes:
        raise NotFound("No old database was received")
    return received_files.database_path()


def _source_is_there(source: str) -> bool:
    return received_files.received().size_bytes > 0 if source == UPLOAD else find_old_installation() is not None


def _take_lock() -> int:
    handle = os.open(received_files.folder() / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise Conflict("An import is running") from error
    return handle


def _is_held() -> bool:
    try:
        os.close(_take_lock())
    except Conflict:
        return True
    return False


def _state_path() -> Path:
    return received_files.folder() / "state.json"


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
