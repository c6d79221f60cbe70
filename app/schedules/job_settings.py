"""Settings of jobs: notifications and schedule. A save changes only given fields."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import selectinload

from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor, record_entry
from app.backups.models import Job, Server
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.notifications.outbox import EVENTS, is_channel_on
from app.schedules import next_run
from app.schedules.intervals import BadInterval, is_strict, parse_interval, weekdays_from_mask
from app.schedules.overdue import TOLERANCES

# The name of a server's own entry among its jobs.
DEFAULTS_NAME = "__default__"
# Maximum number of changes of one save in an audit entry.
AUDITED = 20
ADDITIONAL = ("additional_event", "additional_emails", "additional_ntfy_topic")
CHOSEN = ("expected_interval", "allowed_weekdays")
SCHEDULE_COLUMNS = (*CHOSEN, "overdue_tolerance")
AUDIT_NAMES = {
    "notification_event": "notificationEvent",
    "ntfy": "ntfyEnabled",
    "email": "emailEnabled",
    "is_overdue_check_enabled": "overdueBackupCheckEnabled",
    "expected_interval": "expectedInterval",
    "allowed_weekdays": "allowedWeekDays",
    "overdue_tolerance": "overdueTolerance",
    "additional_event": "additionalNotificationEvent",
    "additional_emails": "additionalEmails",
    "additional_ntfy_topic": "additionalNtfyTopic",
}

Differences = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class JobChange:
    """The changes for one job: columns of `Job`, channel switches, next expected run.

    For a server's own entry only the additional destinations are used; None means "not set". With `is_explicit`
    interval and weekdays are stored as a person's choice even if they equal the default.
    """

    columns: Mapping[str, Any] = field(default_factory=dict)
    switches: Mapping[str, bool] = field(default_factory=dict)
    expected_at: datetime | None = None
    is_explicit: bool = False

    def __post_init__(self) -> None:
        """Raise Refused for a value that no job can have."""
        for name, value in self.columns.items():
            if value is not None and name in CHECKS:
                CHECKS[name](name, value)


def repair_interval(text: str) -> str:
    """Return an interval without the characters that its reader would skip. Raise Refused if it cannot be read."""
    try:
        interval = parse_interval(text)
    except BadInterval as error:
        raise Refused("interval_invalid", "expected_interval", reason=str(error)) from error
    return text.strip() if is_strict(text) else "".join(f"{token.value}{token.unit}" for token in interval.tokens)


def _check_interval(name: str, text: str) -> None:
    if repair_interval(text) != text:
        wrong = next((char for char in text if char not in INTERVAL_CHARS), " ")
        raise Refused("interval_character", name, sign=wrong)


def _check_event(name: str, event: str) -> None:
    if event not in EVENTS:
        raise Refused("notification_event_unknown", name, event=event)


def _check_tolerance(name: str, tolerance: str) -> None:
    if tolerance not in TOLERANCES:
        raise Refused("tolerance_unknown", name, tolerance=tolerance)


# What a column may hold, where not everything will do.
INTERVAL_CHARS = frozenset("0123456789smhDWMY")
CHECKS: Mapping[str, Callable[[str, str], None]] = {
    "expected_interval": _check_interval,
    "notification_event": _check_event,
    "additional_event": _check_event,
    "overdue_tolerance": _check_tolerance,
}


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """The jobs by key, and the servers with defaults for their jobs by key."""

    jobs: Mapping[str, Job]
    servers: Mapping[str, Server]


@dataclass(frozen=True, slots=True)
class AdditionalSaved:
    """Result of a bulk change: jobs, changed server defaults, inheriting jobs."""

    job_count: int
    server_count: int
    inheriting_count: int


def key_of(server_id: str, name: str) -> str:
    """Return the key of a job's settings in the API."""
    return f"{server_id}:{name}"


def read_all(visible_server_ids: frozenset[str] | None) -> StoredSettings:
    """Return the settings of all jobs on the visible servers; None means all."""
    jobs = db.session.scalars(select(Job).order_by(Job.server_id, Job.name))
    servers = db.session.scalars(select(Server).order_by(Server.id))
    return StoredSettings(
        {key_of(job.server_id, job.name): job for job in jobs if _is_visible(job.server_id, visible_server_ids)},
        {
            key_of(server.id, DEFAULTS_NAME): server
            for server in servers
            if _is_visible(server.id, visible_server_ids) and any(getattr(server, name) for name in ADDITIONAL)
        },
    )


def count_defaults(visible_server_ids: frozenset[str] | None) -> int:
    """Return the number of visible servers with defaults for their jobs.

    None means all.
    """
    is_set = or_(*(func.coalesce(getattr(Server, name), "") != "" for name in ADDITIONAL))
    statement = select(func.count()).select_from(Server).where(is_set)
    if visible_server_ids is not None:
        statement = statement.where(Server.id.in_(visible_server_ids))
    return db.session.scalar(statement) or 0


def list_servers(visible_server_ids: frozenset[str] | None) -> list[Server]:
    """Return the visible servers with their jobs, by display name."""
    statement = select(Server).options(selectinload(Server.jobs))
    if visible_server_ids is not None:
        statement = statement.where(Server.id.in_(visible_server_ids))
    return sorted(db.session.scalars(statement), key=lambda server: (server.display_name.casefold(), server.id))


def set_additional(
    job_ids: Collection[int], values: Mapping[str, str | None], *, actor: Actor, now: datetime
) -> AdditionalSaved:
    """Set the additional destinations of several jobs.

    `values` has some of ADDITIONAL, None is "not set". If all jobs of a server are given, its defaults are set and the
    jobs inherit them.
    """
    changes: dict[str, JobChange] = {}
    server_count = inheriting_count = 0
    for server in list_servers(ALL_SERVERS):
        chosen = [job for job in server.jobs if job.id in job_ids]
        is_whole = bool(chosen) and len(chosen) == len(server.jobs)
        if is_whole:
            changes[key_of(server.id, DEFAULTS_NAME)] = JobChange(values)
            server_count, inheriting_count = server_count + 1, inheriting_count + len(chosen)
        own = dict.fromkeys(values) if is_whole else values
        changes |= {key_of(server.id, job.name): JobChange(own) for job in chosen}
    save(changes, actor=actor, now=now)
    return AdditionalSaved(len(changes) - server_count, server_count, inheriting_count)


def clear_additional(job_ids: Collection[int], *, actor: Actor, now: datetime) -> AdditionalSaved:
    """Clear the additional destinations of several jobs, and their servers' defaults."""
    changes: dict[str, JobChange] = {}
    servers = [server for server in list_servers(ALL_SERVERS) if any(job.id in job_ids for job in server.jobs)]
    nothing = JobChange(dict.fromkeys(ADDITIONAL))
    for server in servers:
        changes[key_of(server.id, DEFAULTS_NAME)] = nothing
        changes |= {key_of(server.id, job.name): nothing for job in server.jobs if job.id in job_ids}
    save(changes, actor=actor, now=now)
    return AdditionalSaved(len(changes) - len(servers), len(servers), 0)


def inherit_all(server_id: str, *, clears_defaults: bool = False, actor: Actor, now: datetime) -> None:
    """Let every job of a server inherit its defaults, optionally cleared.

    Raise Refused (404).
    """
    server = next((server for server in list_servers(ALL_SERVERS) if server.id == server_id), None)
    if server is None:
        raise Refused("server_not_found")
    nothing = JobChange(dict.fromkeys(ADDITIONAL))
    names = [job.name for job in server.jobs] + ([DEFAULTS_NAME] if clears_defaults else [])
    save({key_of(server_id, name): nothing for name in names}, actor=actor, now=now)


def save(
    changes: Mapping[str, JobChange], *, resets_inferred_anchors: bool = False, actor: Actor, now: datetime
) -> list[str]:
    """Store the settings of some jobs and servers, all or none; return unknown keys.

    With `resets_inferred_anchors` the other jobs keep all chosen values, but an inferred anchor is inferred again.
    """
    with writing() as session:
        fresh = {"populate_existing": True}
        jobs = {key_of(job.server_id, job.name): job for job in session.scalars(select(Job), execution_options=fresh)}
        servers = {
            key_of(server.id, DEFAULTS_NAME): server
            for server in session.scalars(select(Server), execution_options=fresh)
        }
        differences: dict[str, Differences] = {}
        unknown = []
        for key, change in changes.items():
            if key in servers:
                differences[key] = _change_defaults(servers[key], change)
            elif key in jobs:
                differences[key] = _change_job(jobs[key], change)
            else:
                unknown.append(key)
        if resets_inferred_anchors:
            for key in jobs.keys() - changes.keys():
                next_run.reset_inferred_anchor(jobs[key], jobs[key].server)
        names = {server.id: server.name for server in servers.values()}
        record_entry(
            "backup_notification_updated",
            "config",
            now=now,
            actor=actor,
            target_type="configuration",
            target_id="backup_settings",
            details=_account(differences, names),
        )
    return unknown


def keep_schedule(server_id: str, job_name: str, *, actor: Actor, now: datetime) -> None:
    """Store the learned or suggested schedule of a job as chosen.

    Raises Refused (404), and Refused (409) if nothing is learned or suggested.
    """
    _change_schedule(server_id, job_name, "kept", actor, now)


def learn_schedule(server_id: str, job_name: str, *, actor: Actor, now: datetime) -> None:
    """Delete the chosen schedule of a job, so that it is learned. Raise Refused (404)."""
    _change_schedule(server_id, job_name, "learned", actor, now)


def _change_schedule(server_id: str, job_name: str, choice: str, actor: Actor, now: datetime) -> None:
    with writing() as session:
        wanted = select(Job).where(Job.server_id == server_id, Job.name == job_name).with_for_update()
        job = session.scalars(wanted.execution_options(populate_existing=True)).first()
        if job is None:
            raise Refused("job_not_found")
        before = {name: getattr(job, name) for name in CHOSEN}
        if choice == "learned":
            next_run.learn_again(job, job.server)
        elif not next_run.accept_learned(job):
            raise Refused("no_learned_schedule")
        job.overdue_alerted_at = None
        changed = {name: {"old": before[name], "new": getattr(job, name)} for name in CHOSEN}
        details = {
            "serverName": job.server.name,
            "backupName": job_name,
            "schedule": choice,
            "changes": _named(changed),
        }
        target = {"target_type": "backup", "target_id": key_of(server_id, job_name)}
        record_entry("schedule_updated", "config", now=now, actor=actor, details=details, **target)


def _is_visible(server_id: str, visible_server_ids: frozenset[str] | None) -> bool:
    return visible_server_ids is None or server_id in visible_server_ids


def _change_defaults(server: Server, change: JobChange) -> Differences:
    return _set(server, {name: value for name, value in change.columns.items() if name in ADDITIONAL})


def _change_job(job: Job, change: JobChange) -> Differences:
    # Before the interval changes: the sent time refers to the previous grid.
    moves = change.expected_at is not None and not _is_known_slot(job, change.expected_at)
    differences = _set(job, change.columns) | _switch(job, change.switches)
    is_chosen = any(name in (change.columns if change.is_explicit else differences) for name in CHOSEN)
    if is_chosen:
        next_run.choose_interval(job, is_explicit=change.is_explicit)
    if moves:
        job.schedule_anchor_at, job.schedule_source = change.expected_at, next_run.PERSON
        job.announced_next_at = job.learned_schedule = None
    elif is_chosen:
        next_run.relearn(job, job.server)
    changes_schedule = is_chosen or any(name in differences for name in SCHEDULE_COLUMNS)
    if moves or changes_schedule:
        next_run.recalculate_next_run(job)
    if not job.is_overdue_check_enabled or changes_schedule:
        job.overdue_alerted_at = None
    return differences


def _is_known_slot(job: Job, expected_at: datetime) -> bool:
    """Return whether a sent time is unchanged, not a choice.

    Programs send the whole map back, with times of some reports ago.
    """
    return expected_at == job.next_expected_at or next_run.is_on_grid(job, expected_at)


def _set(row: Job | Server, values: Mapping[str, Any]) -> Differences:
    differences = {}
    for name, new in values.items():
        old = getattr(row, name)
        if old != new:
            setattr(row, name, new)
            differences[name] = {"old": old, "new": new}
    return differences


def _switch(job: Job, switches: Mapping[str, bool]) -> Differences:
    differences: Differences = {
        kind: {"old": is_channel_on(job, kind), "new": new}
        for kind, new in switches.items()
        if is_channel_on(job, kind) != new
    }
    if differences:
        job.channel_switches = {**job.channel_switches, **switches}
    return differences


def _account(differences: Mapping[str, Differences], server_names: Mapping[str, str]) -> dict[str, Any]:
    """Return the details of a save for the audit log: the first changes, old and new."""
    changed = {key: found for key, found in list(differences.items())[:AUDITED] if found}
    if not changed:
        return {"message": "No changes"}
    return {
        "backupCount": len(differences),
        "modifiedCount": len(changed),
        "modifiedBackupKeys": [f"{server_names.get(key.partition(':')[0], '')}:{key}" for key in changed],
        "changes": {key: _named(found) for key, found in changed.items()},
        "hasMoreBackups": len(differences) > AUDITED,
    }


def _named(differences: Differences) -> Differences:
    # Plugins name the switches of their own kinds.
    named = {AUDIT_NAMES.get(name, f"{name}Enabled"): values for name, values in differences.items()}
    if "allowedWeekDays" in named:
        weekdays = named["allowedWeekDays"]
        named["allowedWeekDays"] = {when: list(weekdays_from_mask(mask)) for when, mask in weekdays.items()}
    return named
