"""Import servers and jobs: names, URLs, passwords, settings, statistics and schedules."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.backups import job_stats
from app.backups.models import Job, Run, Server
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.database import secrets
from app.legacy_import.runs import LONGEST_ID, LONGEST_NAME, Seen
from app.legacy_import.source import ImportReport, OldDatabase, OldRow, OldSecrets, read_mapping
from app.legacy_import.stored_forms import (
    LONGEST_TEXT,
    SERVER_ENTRY,
    OldJobSettings,
    read_additional,
    read_job_settings,
    read_time,
    split_key,
)
from app.plugin.http import host_of
from app.reports.decoding import clean_text
from app.schedules import next_run
from app.schedules.job_settings import CHOSEN

# Imported where ours are blank: a server may have reported here before the import.
DETAILS = ("alias", "note", "url")
LONGEST_SERVER_NAME = 255


def read_servers(old: OldDatabase, report: ImportReport, *, now: datetime) -> dict[str, dict[str, Any]]:
    """Return the columns of the old servers by id."""
    found = {}
    for row in old.servers():
        report.count("servers").found += 1
        server_id = row["id"]
        if not isinstance(server_id, str) or not 0 < len(clean_text(server_id)) <= LONGEST_ID:
            report.leave("servers", Refused("server_without_id"))
            continue
        found[clean_text(server_id)] = _columns(row, report, now)
    return found


def complete_servers(
    old: OldDatabase,
    servers: dict[str, dict[str, Any]],
    ids_with_runs: Collection[str],
    old_secrets: OldSecrets,
    report: ImportReport,
) -> None:
    """Create servers without runs, and fill in missing values of ours.

    A server whose runs all exist here, under one it was merged into, is not created again.
    """
    count = report.count("servers")
    passwords = {row["id"]: row.get("server_password") for row in old.servers()}
    for server_id, columns in servers.items():
        with writing() as session:
            server = session.get(Server, server_id, populate_existing=True)
            if server is None and server_id not in ids_with_runs:
                server = Server(**columns)
                session.add(server)
                count.taken += 1
            if server is None:
                continue
            for name in DETAILS:
                if columns[name] and not getattr(server, name):
                    setattr(server, name, columns[name])
                    report.remark(Refused("server_completed"))
            if passwords.get(server_id) and not server.encrypted_password:
                if server.url != columns["url"]:
                    # It would be sent to a server that it was not meant for.
                    report.remark(Refused("server_password_skipped", name=server.display_name[:60]))
                    continue
                what = Refused("password_of_server", name=server.display_name[:60])
                clear = old_secrets.open(passwords[server_id], what)
                server.encrypted_password = secrets.encrypt(clear)
    count.known += count.found - count.left - count.taken


def server_keys(old: OldDatabase, servers: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Return how job settings refer to servers.

    By id; in schema 2.0 and older by name, which several servers may share.
    """
    keys = {server_id: [server_id] for server_id in servers}
    if old.layout.version < (3, 0):
        for server_id, columns in servers.items():
            keys.setdefault(columns["name"], []).append(server_id)
    return keys


def _columns(row: OldRow, report: ImportReport, now: datetime) -> dict[str, Any]:
    name = _text(row["name"], LONGEST_NAME)[:LONGEST_SERVER_NAME]
    return {
        "id": clean_text(row["id"]),
        "name": name or clean_text(row["id"]),
        "alias": _text(row.get("alias"), LONGEST_SERVER_NAME),
        "note": _text(row.get("note"), 10 * LONGEST_TEXT),
        "url": _url(_text(row.get("server_url"), LONGEST_TEXT), report),
        "created_at": read_time(row.get("created_at")) or now,
    }


def _text(value: object, longest: int) -> str:
    return clean_text(value).strip()[:longest] if isinstance(value, str) else ""


def _url(text: str, report: ImportReport) -> str:
    """Return a URL that pages may link to; anything else that was stored is dropped."""
    try:
        if text:
            host_of(text)
    except ValueError:
        report.remark(Refused("server_url_skipped"))
        return ""
    return text


# Jobs, after their runs were imported: settings, statistics, schedules and open alerts. A value is imported if ours is
# still the default; changed ones are kept.

JobKey = tuple[str, str]
KIND = "job settings"


def complete_jobs(
    settings: Mapping[str, str], server_keys: Mapping[str, list[str]], seen: Seen, report: ImportReport
) -> None:
    """Set settings, statistics and schedules of jobs.

    `server_keys` maps names in keys to server ids.
    """
    entries = _entries(settings, server_keys, report)
    alerts = _alerts(settings, server_keys)
    count = report.count(KIND)
    count.found += len(entries)
    numbers = _numbers()
    for key, entry in entries.items():
        if key[1] == SERVER_ENTRY:
            _set_server_defaults(key[0], entry, report)
        elif key not in numbers:
            report.leave(KIND, Refused("job_settings_without_runs"))
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
        job_stats.recompute(session, job)
        job.needs_versions = True  # the original parses dates of versions one by one, and confuses month and day
    if entry is not None:
        is_new = _set_job(job, read_job_settings(entry), report)
        count = report.count(KIND)
        count.taken += is_new
        count.known += not is_new
        is_changed |= is_new
    if job.schedule_anchor_at is None and job.state_began_at is not None:
        # The newest run describes today's schedule better than the first one of years ago.
        job.schedule_anchor_at, is_changed = job.state_began_at, True
    if job.overdue_alerted_at is None and alerted_at is not None and job.is_overdue_check_enabled:
        job.overdue_alerted_at = alerted_at
        report.count("overdue alerts").taken += 1
    if is_changed:
        next_run.relearn(job, job.server)
        next_run.recalculate_next_run(job)


def _set_job(job: Job, old: OldJobSettings, report: ImportReport) -> bool:
    """Import values where ours are still the defaults.

    Returns whether anything changed.
    """
    is_changed = False
    for doubt in old.doubts:
        report.remark(doubt)
    for name, value in old.columns.items():
        if getattr(job, name) == value:
            continue
        if _is_default(job, name):
            setattr(job, name, value)
            if name in CHOSEN:
                job.interval_source = "imported"  # the original fills in intervals that no user chose
            is_changed = True
        else:
            report.remark(Refused("job_setting_kept"))
    new_switches = {kind: False for kind in old.switched_off if kind not in job.channel_switches}
    if new_switches:
        job.channel_switches = {**job.channel_switches, **new_switches}
        is_changed = True
    if old.expected_at not in (None, job.schedule_anchor_at) and job.schedule_source == next_run.INFERRED:
        job.schedule_anchor_at = old.expected_at  # computed by the original from an inferred schedule: not chosen
        is_changed = True
    return is_changed


def _set_server_defaults(server_id: str, entry: Mapping[str, Any], report: ImportReport) -> None:
    count, is_changed = report.count(KIND), False
    with writing() as session:
        server = session.get(Server, server_id, populate_existing=True)
        if server is None:
            report.leave(KIND, Refused("server_defaults_skipped"))
            return
        for name, value in read_additional(entry).items():
            if getattr(server, name) is None:
                setattr(server, name, value)
                is_changed = True
    count.taken += is_changed
    count.known += not is_changed


def _is_default(job: Job, name: str) -> bool:
    """Whether a column still has its default."""
    return bool(getattr(job, name) == getattr(Job.__table__.columns[name].default, "arg", None))


def _numbers() -> dict[JobKey, int]:
    rows = db.session.execute(select(Job.server_id, Job.name, Job.id)).all()
    db.session.commit()
    return {(server_id, name): job_id for server_id, name, job_id in rows}


def _entries(
    settings: Mapping[str, str], server_keys: Mapping[str, list[str]], report: ImportReport
) -> dict[JobKey, dict[str, Any]]:
    """Return the entries by job.

    Older storage locations are used for jobs missing in later ones.
    """
    later = read_mapping(settings.get("backup_settings"))
    earlier = read_mapping(settings.get("notifications")).get("backupSettings")
    found: dict[JobKey, dict[str, Any]] = {}
    for key, entry in {**(earlier if isinstance(earlier, dict) else {}), **later}.items():
        key_of_job = _job_key(key, server_keys) if isinstance(entry, dict) else None
        if key_of_job is None:
            report.count(KIND).found += 1
            report.leave(KIND, Refused("job_settings_without_server"))
        else:
            found[key_of_job] = entry
    return found


def _alerts(settings: Mapping[str, str], server_keys: Mapping[str, list[str]]) -> dict[JobKey, datetime]:
    """Return when each job's overdue notification was last sent."""
    stored = read_mapping(settings.get("overdue_backup_notifications"))
    stored |= read_mapping(settings.get("overdue_notifications"))
    found = {}
    for key, entry in stored.items():
        key_of_job = _job_key(key, server_keys)
        notified_at = read_time(entry.get("lastNotificationSent")) if isinstance(entry, dict) else None
        if key_of_job is not None and notified_at is not None:
            found[key_of_job] = notified_at
    return found


def _job_key(key: str, server_keys: Mapping[str, list[str]]) -> JobKey | None:
    parts = split_key(key, server_keys.keys())
    if parts is None or len(server_keys[parts[0]]) != 1:
        return None
    return server_keys[parts[0]][0], parts[1]
