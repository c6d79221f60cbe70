"""Jobs after their runs came: what people chose for them, their figures, their plan, and when they were told of.

A value is taken where ours is still the default; what somebody chose here stays.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.old_settings import (
    SERVER_ENTRY,
    OldJobSettings,
    read_additional,
    read_job_settings,
    read_time,
    split_key,
)
from app.extensions import db
from app.models import Job, Run, Server
from app.services import figures, planning
from app.services.job_settings import CHOSEN
from app.services.transaction import writing
from app.services.transfer.reports import ImportReport
from app.services.transfer.runs import Seen
from app.services.transfer.source import read_mapping

JobKey = tuple[str, str]
KIND = "job settings"


def complete_jobs(
    settings: Mapping[str, str], server_keys: Mapping[str, list[str]], seen: Seen, report: ImportReport
) -> None:
    """Give the jobs their settings, figures and plans. `server_keys` are the ids that a name in a key may mean."""
    entries = _entries(settings, server_keys, report)
    alerts = _alerts(settings, server_keys)
    count = report.count(KIND)
    count.found += len(entries)
    numbers = _numbers()
    for key, entry in entries.items():
        if key[1] == SERVER_ENTRY:
            _set_server_defaults(key[0], entry, report)
        elif key not in numbers:
            report.leave(KIND, "Settings of a job that has no runs were left")
    jobs = report.count("jobs")
    jobs.found += len(seen.keys)
    jobs.known += len(seen.keys & numbers.keys()) - jobs.taken
    jobs.left += len(seen.keys - numbers.keys())
    for key in sorted(seen.keys & numbers.keys()):
        with writing() as session:
            job = session.get(Job, numbers[key], populate_existing=True)
            if job is None or (job.server_id, job.name) != key:
                continue  # deleted meanwhile
            _complete(session, job, entries.get(key), alerts.get(key), job.id in seen.grown, report)
        db.session.expunge(job)


def _complete(
    session: Session,
    job: Job,
    entry: Mapping[str, Any] | None,
    alerted_at: datetime | None,
    has_grown: bool,
    report: ImportReport,
) -> None:
    is_changed = has_grown or job.run_count != session.scalar(select(func.count()).where(Run.job_id == job.id))
    if is_changed:
        figures.recompute(session, job)
        job.needs_versions = True  # the original reads dates of versions one by one, and takes month for day
    if entry is not None:
        is_new = _set_job(job, read_job_settings(entry), report)
        count = report.count(KIND)
        count.taken += is_new
        count.known += not is_new
        is_changed |= is_new
    if job.schedule_anchor_at is None and job.state_began_at is not None:
        # The newest run tells more of today's schedule than the first one of years ago.
        job.schedule_anchor_at, is_changed = job.state_began_at, True
    if job.overdue_alerted_at is None and alerted_at is not None and job.is_overdue_check_enabled:
        job.overdue_alerted_at = alerted_at
        report.count("overdue alerts").taken += 1
    if is_changed:
        planning.relearn(job, job.server)
        planning.replan(job)


def _set_job(job: Job, old: OldJobSettings, report: ImportReport) -> bool:
    """Take what is still ours by default; says whether anything changed."""
    is_changed = False
    for doubt in old.doubts:
        report.remark(doubt)
    for name, value in old.columns.items():
        if getattr(job, name) == value:
            continue
        if _is_default(job, name):
            setattr(job, name, value)
            if name in CHOSEN:
                job.interval_source = "imported"  # the original fills in intervals that nobody chose
            is_changed = True
        else:
            report.remark("A setting of a job stayed as it is here, where somebody had chosen another value")
    new_switches = {kind: False for kind in old.switched_off if kind not in job.channel_switches}
    if new_switches:
        job.channel_switches = {**job.channel_switches, **new_switches}
        is_changed = True
    if old.planned_at not in (None, job.schedule_anchor_at) and job.schedule_source == planning.GUESS:
        job.schedule_anchor_at = old.planned_at  # computed by the original from its own guess: no choice either
        is_changed = True
    return is_changed


def _set_server_defaults(server_id: str, entry: Mapping[str, Any], report: ImportReport) -> None:
    count, is_changed = report.count(KIND), False
    with writing() as session:
        server = session.get(Server, server_id, populate_existing=True)
        if server is None:
            report.leave(KIND, "The defaults of a server that is not here any more were left")
            return
        for name, value in read_additional(entry).items():
            if getattr(server, name) is None:
                setattr(server, name, value)
                is_changed = True
    count.taken += is_changed
    count.known += not is_changed


def _is_default(job: Job, name: str) -> bool:
    """Whether nobody has chosen a value for a column yet."""
    return bool(getattr(job, name) == getattr(Job.__table__.columns[name].default, "arg", None))


def _numbers() -> dict[JobKey, int]:
    rows = db.session.execute(select(Job.server_id, Job.name, Job.id)).all()
    db.session.commit()
    return {(server_id, name): job_id for server_id, name, job_id in rows}


def _entries(
    settings: Mapping[str, str], server_keys: Mapping[str, list[str]], report: ImportReport
) -> dict[JobKey, dict[str, Any]]:
    """The entries by job; those of the oldest place for them count where the later one has none."""
    later = read_mapping(settings.get("backup_settings"))
    earlier = read_mapping(settings.get("notifications")).get("backupSettings")
    found: dict[JobKey, dict[str, Any]] = {}
    for key, entry in {**(earlier if isinstance(earlier, dict) else {}), **later}.items():
        place = _place(key, server_keys) if isinstance(entry, dict) else None
        if place is None:
            report.count(KIND).found += 1
            report.leave(KIND, "Settings whose server is not in the file, or shares its name, were left")
        else:
            found[place] = entry
    return found


def _alerts(settings: Mapping[str, str], server_keys: Mapping[str, list[str]]) -> dict[JobKey, datetime]:
    """When people were last told that a job is late."""
    stored = read_mapping(settings.get("overdue_backup_notifications"))
    stored |= read_mapping(settings.get("overdue_notifications"))
    found = {}
    for key, entry in stored.items():
        place = _place(key, server_keys)
        told_at = read_time(entry.get("lastNotificationSent")) if isinstance(entry, dict) else None
        if place is not None and told_at is not None:
            found[place] = told_at
    return found


def _place(key: str, server_keys: Mapping[str, list[str]]) -> JobKey | None:
    parts = split_key(key, server_keys.keys())
    if parts is None or len(server_keys[parts[0]]) != 1:
        return None
    return server_keys[parts[0]][0], parts[1]
