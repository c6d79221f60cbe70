"""What is thrown away when it is old enough: runs, audit entries, past deliveries, old log files.

What a clean-up would do can be asked before (`foresee`), with the rules in force or with others.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, delete, func, select

from app.audit import application_logs
from app.audit.log import SYSTEM, Actor, AuditEntry, record_entry
from app.backups.models import Job, Run, Server
from app.backups.run_deletion import delete_oldest_runs
from app.core.db.extensions import db
from app.core.db.transaction import run_in_batches, writing
from app.core.settings import store as settings_store
from app.core.settings.declarations import DELIVERY_DAYS, LOG_DAYS, RUN_COUNT, RUN_DAYS
from app.notifications import outbox
from app.plugin import AppError

ENTRIES_AT_ONCE = 2_000
# 0 stands for ever; the newest run of a job stays in any case, so that it is still known to be late.
BOUNDS = {
    "run_days": RUN_DAYS,
    "run_count": RUN_COUNT,
    "delivery_days": DELIVERY_DAYS,
    "log_days": LOG_DAYS,
}
NAMES = {
    "run_days": "run_retention_days",
    "run_count": "run_retention_count",
    "delivery_days": "delivery_retention_days",
    "log_days": "log_retention_days",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """How long things are kept: runs of each job by age and by number, and the rest by age; 0 means without end."""

    run_days: int = 0
    run_count: int = 0
    delivery_days: int = 90
    log_days: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """What a clean-up takes of one job."""

    job_id: int
    server_id: str
    server_name: str
    job_name: str
    doomed_count: int
    kept_count: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a clean-up would delete now. `shares` are the jobs that lose runs, those that lose most first."""

    rules: Rules
    shares: tuple[Share, ...]
    delivery_count: int
    log_names: tuple[str, ...]

    @property
    def run_count(self) -> int:
        """How many runs of all jobs would go."""
        return sum(share.doomed_count for share in self.shares)

    @property
    def is_empty(self) -> bool:
        """Whether nothing would go."""
        return not (self.shares or self.delivery_count or self.log_names)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a clean-up deleted."""

    run_count: int
    job_count: int
    delivery_count: int
    log_count: int


def rules() -> Rules:
    """The rules in force. What makes no sense, which only another program can have stored, keeps everything."""
    found = {name: settings_store.get(setting) for name, setting in NAMES.items()}
    return Rules(**{name: value for name, value in found.items() if _is_within(name, value)})


def check_rules(wanted: Rules) -> None:
    """Raise AppError for a number that is out of bounds; `field` names it."""
    for name, value in asdict(wanted).items():
        if not _is_within(name, value):
            least, most = BOUNDS[name]
            raise AppError(f"{name} must be a whole number from {least} to {most}", field=name)


def save_rules(wanted: Rules, *, actor: Actor, now: datetime) -> None:
    """Store the rules; the next clean-up goes by them. Raises AppError for a number that is out of bounds."""
    check_rules(wanted)
    with writing():
        before = rules()
        for name, setting in NAMES.items():
            settings_store.save(setting, getattr(wanted, name), now=now)
        if wanted != before:
            record_entry(
                "retention_updated",
                "config",
                now=now,
                actor=actor,
                target_type="configuration",
                target_id="retention",
                details={"oldValue": asdict(before), "newValue": asdict(wanted)},
            )


def foresee(wanted: Rules, now: datetime) -> Forecast:
    """Tell what a clean-up by some rules would delete now; changes nothing."""
    old: dict[int, int] = {}
    if wanted.run_days:
        counted = select(Run.job_id, func.count()).where(_is_old(wanted, now)).group_by(Run.job_id)
        old = dict(db.session.execute(counted).all())
    shares = [
        Share(row.id, row.server_id, row.alias or row.server_name, row.name, doomed, row.run_count - doomed)
        for row in db.session.execute(
            select(Job.id, Job.server_id, Server.alias, Server.name.label("server_name"), Job.name, Job.run_count)
            .join(Server)
            .where(Job.run_count > 1)
        )
        if (doomed := _doomed(wanted, row.run_count, old.get(row.id, 0)))
    ]
    shares.sort(key=lambda share: (-share.doomed_count, share.server_name, share.job_name))
    log_names = tuple(path.name for path in _old_logs(wanted, now))
    return Forecast(wanted, tuple(shares), outbox.count_old(wanted.delivery_days, now), log_names)


def clean_up(wanted: Rules, *, now: datetime, actor: Actor = SYSTEM) -> Cleaned:
    """Delete what the rules do not keep, a little at a time. Of each job the newest run stays."""
    forecast = foresee(wanted, now)
    db.session.commit()  # lets go of the snapshot before the writing begins
    by_job = [_clean_job(share.job_id, wanted, now) for share in forecast.shares]
    done = Cleaned(
        run_count=sum(by_job),
        job_count=sum(count > 0 for count in by_job),
        delivery_count=outbox.purge_history(now, wanted.delivery_days),
        log_count=_delete_logs(_old_logs(wanted, now)),
    )
    if any(asdict(done).values()):
        details = {"retention": asdict(wanted), "deletedCount": done.run_count, "jobs": done.job_count}
        details |= {"deliveries": done.delivery_count, "logFiles": done.log_count}
        record_entry("cleanup_executed", "system", now=now, actor=actor, details=details)
    return done


def audit_retention_days() -> int:
    """How many days the audit log reaches back."""
    return int(settings_store.get("audit_retention_days"))


def count_old_audit_entries(days: int, now: datetime) -> int:
    """How many entries a clean-up would delete."""
    return db.session.scalar(select(func.count()).where(AuditEntry.at < now - timedelta(days=days))) or 0


def count_audit_entries() -> int:
    """How many entries there are."""
    return db.session.scalar(select(func.count()).select_from(AuditEntry)) or 0


def oldest_audit_entry_at() -> datetime | None:
    """When the audit log begins; None when it is empty."""
    return db.session.scalar(select(func.min(AuditEntry.at)))


def save_audit_retention(days: int, *, actor: Actor, now: datetime) -> None:
    """Store how many days the audit log reaches back; the next clean-up goes by it."""
    with writing():
        details = {"oldValue": str(audit_retention_days()), "newValue": str(days)}
        settings_store.save("audit_retention_days", days, now=now)
        record_entry(
            "audit_retention_updated",
            "config",
            now=now,
            actor=actor,
            target_type="configuration",
            target_id="audit_retention_days",
            details=details,
        )


def purge_audit_log(days: int, *, now: datetime, actor: Actor = SYSTEM) -> int:
    """Delete audit entries older than a number of days, and record that; returns how many."""
    entries = AuditEntry.__table__
    oldest = select(entries.c.id).where(entries.c.at < now - timedelta(days=days)).limit(ENTRIES_AT_ONCE)

    def delete_some() -> int:
        with writing() as session:
            return session.connection().execute(delete(entries).where(entries.c.id.in_(oldest))).rowcount

    count = run_in_batches(delete_some)
    details = {"retentionDays": days, "deletedCount": count}
    record_entry("audit_cleanup", "system", now=now, actor=actor, details=details)
    return count


def _is_within(name: str, value: object) -> bool:
    least, most = BOUNDS[name]
    return type(value) is int and least <= value <= most


def _is_old(wanted: Rules, now: datetime) -> ColumnElement[bool]:
    return Run.began_at < now - timedelta(days=wanted.run_days)


def _doomed(wanted: Rules, run_count: int, old_count: int) -> int:
    """How many of a job's runs go: both rules take from the old end, so the one that takes more decides."""
    surplus = run_count - wanted.run_count if wanted.run_count else 0
    return max(0, min(max(old_count, surplus), run_count - 1))


def _clean_job(job_id: int, wanted: Rules, now: datetime) -> int:
    count = 0
    if wanted.run_days:
        count += delete_oldest_runs(job_id, _is_old(wanted, now), excess=lambda job: job.run_count - 1)
    if wanted.run_count:
        count += delete_oldest_runs(job_id, excess=lambda job: job.run_count - wanted.run_count)
    return count


def _old_logs(wanted: Rules, now: datetime) -> list[Path]:
    """Log files that were put away and not written to for long; the present one is never among them."""
    if not wanted.log_days:
        return []
    ends = (now - timedelta(days=wanted.log_days)).timestamp()
    return [path for path in application_logs.put_away() if path.stat().st_mtime < ends]


def _delete_logs(paths: list[Path]) -> int:
    for path in paths:
        path.unlink(missing_ok=True)
    return len(paths)
