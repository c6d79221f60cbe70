"""Collecting: asks one Duplicati server for its jobs, schedules and logs, and stores what is new.

Nobody is told about collected runs: they are as old as their log. What fails is recorded in the audit log.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import orjson

from app.contracts.errors import AppError
from app.domain.collected import (
    CollectedJob,
    Machine,
    UnreadableAnswer,
    document_of,
    find_machine_id,
    read_jobs,
    read_log,
    read_machine,
)
from app.extensions import db
from app.models import Server
from app.services import deployment
from app.services.audit import SYSTEM, Actor, record_entry
from app.services.collect.client import LIMITS, Duplicati, Limits
from app.services.collect.failures import CollectFailure, Reason
from app.services.collect.storing import (
    apply_schedules,
    check_visible,
    note_outcome,
    record_of,
    remember_server,
    store_reports,
)
from app.services.collect.targets import Order, Target, find_target
from app.services.transaction import writing

Found = TypeVar("Found")

PROBLEMS_TOLD = 50
# A server that does not answer any more is not asked for the logs of fifty jobs, one time limit after the other.
SILENCES_ALLOWED = 2
SILENT = frozenset({Reason.TIMEOUT, Reason.UNREACHABLE, Reason.REFUSED})


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a server is asked: what they may see, and whether they may change records."""

    actor: Actor = SYSTEM
    visible_server_ids: frozenset[str] | None = None
    may_change: bool = True


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of asking one server.

    `error_count` things could not be used, and `problems` says of the first why. `document` is all that came, as
    JSON, if somebody wanted it.
    """

    server_id: str
    server_name: str
    server_alias: str
    stored: int = 0
    skipped: int = 0
    error_count: int = 0
    problems: tuple[str, ...] = ()
    has_jobs: bool = True
    document: str | None = None


@dataclass(frozen=True, slots=True)
class Synchronised:
    """What came of asking one server for its schedules alone."""

    server_name: str
    planned: int = 0
    problems: tuple[str, ...] = ()
    has_jobs: bool = True


@dataclass(slots=True)
class _Gathered:
    """What the logs of the jobs have come to so far."""

    stored: int = 0
    skipped: int = 0
    silences: int = 0


def collect(order: Order, *, caller: Caller, now: datetime, limits: Limits = LIMITS) -> Collected:
    """Ask one server for everything and store what is new.

    Raises AppError for an order that cannot be carried out, and CollectFailure or UnreadableAnswer when the server
    gives nothing that can be used; then the audit log says so.
    """
    target = find_target(order, caller.visible_server_ids)
    return _recorded(
        "backup_collected", order, target, caller, now, lambda: _collect(order, target, caller, now, limits)
    )


def synchronise(order: Order, *, caller: Caller, now: datetime, limits: Limits = LIMITS) -> Synchronised:
    """Ask one server for its schedules and plan its jobs by them; nothing else is stored. Raises as `collect`."""
    target = find_target(order, caller.visible_server_ids)
    return _recorded(
        "backup_schedule_synced", order, target, caller, now, lambda: _synchronise(order, target, caller, now, limits)
    )


def _collect(order: Order, target: Target, caller: Caller, now: datetime, limits: Limits) -> Collected:
    zone = deployment.settings().zone
    gathered, logs = _Gathered(), {}
    with Duplicati(target.endpoint, limits) as duplicati:
        system_info, machine = _introduce(duplicati)
        server_id = record_of(target, machine)
        check_visible(server_id, caller.visible_server_ids)
        backups = duplicati.backups()
        jobs, problems = read_jobs(backups, zone)
        server = remember_server(target, machine, may_change=caller.may_change, actor=caller.actor, now=now)
        for job in jobs:
            try:
                log = _log_of(duplicati, job, gathered)
                _take_log(log, Machine(server_id, machine.name), job, problems, gathered, now)
            except (CollectFailure, UnreadableAnswer) as error:
                problems.append(f"{job.name}: {error.message}")
            else:
                if order.keeps_document:
                    logs[job.duplicati_id, job.name] = log
        apply_schedules(server_id, jobs, now)
    note_outcome(server_id, now)
    collected = Collected(
        server_id,
        machine.name,
        server.alias,
        stored=gathered.stored,
        skipped=gathered.skipped,
        error_count=len(problems),
        problems=tuple(problems[:PROBLEMS_TOLD]),
        has_jobs=bool(jobs or problems),
        document=_written(document_of(system_info, backups, logs)) if order.keeps_document else None,
    )
    # Every quarter of an hour nothing new from each server would fill the audit log; what a person asked for is in it.
    is_worth_telling = caller.actor != SYSTEM or gathered.stored or problems
    if collected.has_jobs and is_worth_telling:
        details = {
            "serverName": collected.server_name,
            "serverAlias": collected.server_alias,
            "processed": collected.stored,
            "skipped": collected.skipped,
            "errors": collected.error_count,
        }
        _record("backup_collected", order.server_id or server_id, details, problems, caller.actor, now)
    return collected


def _synchronise(order: Order, target: Target, caller: Caller, now: datetime, limits: Limits) -> Synchronised:
    with Duplicati(target.endpoint, limits) as duplicati:
        _system_info, machine = _introduce(duplicati)
        server_id = record_of(target, machine)
        check_visible(server_id, caller.visible_server_ids)
        jobs, problems = read_jobs(duplicati.backups(), deployment.settings().zone)
    if not jobs and not problems:
        return Synchronised(machine.name, has_jobs=False)
    planned = 0
    if db.session.get(Server, server_id) is not None:
        planned = apply_schedules(server_id, jobs, now)
    else:
        problems += [f"{job.name}: this machine is not known yet; collect its logs first" for job in jobs]
    details = {"serverName": machine.name, "processed": planned, "errors": len(problems)}
    _record("backup_schedule_synced", order.server_id or server_id, details, problems, caller.actor, now)
    return Synchronised(machine.name, planned, tuple(problems[:PROBLEMS_TOLD]))


def _introduce(duplicati: Duplicati) -> tuple[Any, Machine]:
    """What a server says of itself, and who it is by that; only a newer one is asked for its settings too."""
    system_info = duplicati.system_info()
    settings = None if find_machine_id(system_info) else duplicati.settings()
    return system_info, read_machine(system_info, settings)


def _log_of(duplicati: Duplicati, job: CollectedJob, gathered: _Gathered) -> Any:
    if gathered.silences >= SILENCES_ALLOWED:
        raise CollectFailure(Reason.TIMEOUT, "not asked for, since the server has fallen silent")
    if not job.duplicati_id:
        raise UnreadableAnswer("the list of jobs holds no id for it")
    try:
        log = duplicati.log(job.duplicati_id)
    except CollectFailure as failure:
        gathered.silences = gathered.silences + 1 if failure.reason in SILENT else 0
        raise
    gathered.silences = 0
    return log


def _take_log(
    log: Any, machine: Machine, job: CollectedJob, problems: list[str], gathered: _Gathered, now: datetime
) -> None:
    found = read_log(log, machine, job, received_at=now, zone=deployment.settings().zone)
    stored = store_reports(machine.id, found.reports, now)
    gathered.stored += stored
    gathered.skipped += len(found.reports) - stored
    problems += [f"{job.name}: {problem}" for problem in found.problems]


def _written(document: Mapping[str, Any]) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()


def _recorded(
    action: str, order: Order, target: Target, caller: Caller, now: datetime, work: Callable[[], Found]
) -> Found:
    """Do the work; when it fails, the audit log and the record of the server say why."""
    try:
        return work()
    except AppError as error:
        with writing():
            server = db.session.get(Server, target.server_id) if target.server_id else None
            details = {"serverName": server.name if server else "unknown", "error": error.message}
            if server is not None and action == "backup_collected":
                note_outcome(server.id, now, error.message)
            _record(action, order.server_id or "unknown", details, [error.message], caller.actor, now)
        raise


def _record(
    action: str, target_id: str, details: Mapping[str, Any], problems: Sequence[str], actor: Actor, now: datetime
) -> None:
    record_entry(
        action,
        "backup",
        now=now,
        actor=actor,
        status="error" if problems else "success",
        target_type="backup",
        target_id=target_id,
        details=details,
        error_message="\n".join(problems[:PROBLEMS_TOLD]) or None,
    )
