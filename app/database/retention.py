"""Retention: delete old runs, audit entries, deliveries and log files.

`preview` shows what a clean-up would delete, with the stored rules or others.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, delete, func, select

from app.audit import application_logs
from app.audit.log import SYSTEM, Actor, AuditEntry, read_group, record_entry
from app.backups.models import Job, Run, Server
from app.backups.run_deletion import delete_oldest_runs
from app.core.db.orm import db, run_in_batches, writing
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, SettingGroup, check_values, declare
from app.notifications import outbox
from app.plugin.marking import N_

# 0 days and 0 runs: without end.
AUDIT_RETENTION = declare(
    Setting(
        "audit_retention_days",
        int,
        default=90,
        minimum=30,
        maximum=365,
        wire="retentionDays",
        attribute="days",
        label=N_("Audit log retention"),
    )
)
RUN_DAYS = declare(
    Setting(
        "run_retention_days",
        int,
        default=0,
        minimum=0,
        maximum=36_500,
        wire="runDays",
        attribute="run_days",
        label=N_("Keep runs (days)"),
        help=N_("Older runs are deleted. 0 = keep all."),
    )
)
RUN_COUNT = declare(
    Setting(
        "run_retention_count",
        int,
        default=0,
        minimum=0,
        maximum=1_000_000,
        wire="runCount",
        attribute="run_count",
        label=N_("Keep runs per job"),
        help=N_("Number of newest runs to keep for each job. 0 = keep all."),
    )
)
DELIVERY_DAYS = declare(
    Setting(
        "delivery_retention_days",
        int,
        default=90,
        minimum=1,
        maximum=3_650,
        wire="deliveryDays",
        attribute="delivery_days",
        label=N_("Keep deliveries (days)"),
        help=N_("Notifications that were delivered or have failed."),
    )
)
LOG_DAYS = declare(
    Setting(
        "log_retention_days",
        int,
        default=0,
        minimum=0,
        maximum=3_650,
        wire="logDays",
        attribute="log_days",
        label=N_("Keep application logs (days)"),
        help=N_("At most five files of 5 MB are kept. 0 = no age limit."),
    )
)
RETENTION = SettingGroup("retention_updated", "retention", (RUN_DAYS, RUN_COUNT, DELIVERY_DAYS, LOG_DAYS))


ENTRIES_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Rules:
    """Retention rules: runs of each job by age and number, the rest by age.

    0 means forever; the newest run of a job is always kept, so that it is still known to be overdue.
    """

    run_days: int = RUN_DAYS.default
    run_count: int = RUN_COUNT.default
    delivery_days: int = DELIVERY_DAYS.default
    log_days: int = LOG_DAYS.default


@dataclass(frozen=True, slots=True)
class Share:
    """What a clean-up deletes of one job."""

    job_id: int
    server_id: str
    server_name: str
    job_name: str
    doomed_count: int
    kept_count: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a clean-up would delete now.

    `shares` are jobs that lose runs, the largest first.
    """

    rules: Rules
    shares: tuple[Share, ...]
    delivery_count: int
    log_names: tuple[str, ...]

    @property
    def run_count(self) -> int:
        """Return the number of runs of all jobs that would be deleted."""
        return sum(share.doomed_count for share in self.shares)

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be deleted."""
        return not (self.shares or self.delivery_count or self.log_names)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a clean-up deleted."""

    run_count: int
    job_count: int
    delivery_count: int
    log_count: int


def rules() -> Rules:
    """Return the stored rules.

    An invalid one, which only another program can have stored, keeps everything.
    """
    stored = read_group(RETENTION)
    return Rules(**{setting.key: stored[setting.key] for setting in RETENTION if setting.accepts(stored[setting.key])})


def save_rules(wanted: Rules, *, actor: Actor, now: datetime) -> None:
    """Save the rules for the next clean-up.

    Raises Refused for a number out of range.
    """
    check_values(RETENTION, asdict(wanted))
    with writing():
        before = rules()
        for setting in RETENTION:
            settings_store.save(setting.name, getattr(wanted, setting.key), now=now)
        if wanted != before:
            record_entry(
                RETENTION.action,
                "config",
                now=now,
                actor=actor,
                target_type="configuration",
                target_id=RETENTION.target_id,
                details={"oldValue": asdict(before), "newValue": asdict(wanted)},
            )


def preview(wanted: Rules, now: datetime) -> Forecast:
    """Return what a clean-up by some rules would delete now; changes nothing."""
    old: dict[int, int] = {}
    if wanted.run_days:
        counted = select(Run.job_id, func.count()).where(_is_old(wanted, now)).group_by(Run.job_id)
        old = dict(db.session.execute(counted).all())
    shares = [
        Share(row.id, row.server_id, row.alias or row.server_name, row.name, expired, row.run_count - expired)
        for row in db.session.execute(
            select(Job.id, Job.server_id, Server.alias, Server.name.label("server_name"), Job.name, Job.run_count)
            .join(Server)
            .where(Job.run_count > 1)
        )
        if (expired := _count_expired(wanted, row.run_count, old.get(row.id, 0)))
    ]
    shares.sort(key=lambda share: (-share.doomed_count, share.server_name, share.job_name))
    log_names = tuple(path.name for path in _old_logs(wanted, now))
    return Forecast(wanted, tuple(shares), outbox.count_old(wanted.delivery_days, now), log_names)


def clean_up(wanted: Rules, *, now: datetime, actor: Actor = SYSTEM) -> Cleaned:
    """Delete what the rules do not keep, in batches.

    The newest run of each job is kept.
    """
    forecast = preview(wanted, now)
    db.session.commit()  # ends the snapshot before writing begins
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
    """Return the retention of the audit log in days."""
    return settings_store.read(AUDIT_RETENTION)


def count_old_audit_entries(days: int, now: datetime) -> int:
    """Return the number of audit entries that a clean-up would delete."""
    return db.session.scalar(select(func.count()).where(AuditEntry.at < now - timedelta(days=days))) or 0


def count_audit_entries() -> int:
    """Return the number of audit entries."""
    return db.session.scalar(select(func.count()).select_from(AuditEntry)) or 0


def oldest_audit_entry_at() -> datetime | None:
    """Return the time of the oldest audit entry; None if there is none."""
    return db.session.scalar(select(func.min(AuditEntry.at)))


def save_audit_retention(days: int, *, actor: Actor, now: datetime) -> None:
    """Save the retention of the audit log in days, for the next clean-up."""
    with writing():
        details = {"oldValue": str(audit_retention_days()), "newValue": str(days)}
        settings_store.save(AUDIT_RETENTION.name, days, now=now)
        record_entry(
            "audit_retention_updated",
            "config",
            now=now,
            actor=actor,
            target_type="configuration",
            target_id=AUDIT_RETENTION.name,
            details=details,
        )


def purge_audit_log(days: int, *, now: datetime, actor: Actor = SYSTEM) -> int:
    """Delete audit entries older than a number of days, and audit that.

    Returns their number.
    """
    entries = AuditEntry.__table__
    oldest = select(entries.c.id).where(entries.c.at < now - timedelta(days=days)).limit(ENTRIES_AT_ONCE)

    def delete_some() -> int:
        with writing() as session:
            return session.connection().execute(delete(entries).where(entries.c.id.in_(oldest))).rowcount

    count = run_in_batches(delete_some)
    details = {"retentionDays": days, "deletedCount": count}
    record_entry("audit_cleanup", "system", now=now, actor=actor, details=details)
    return count


def _is_old(wanted: Rules, now: datetime) -> ColumnElement[bool]:
    return Run.began_at < now - timedelta(days=wanted.run_days)


def _count_expired(wanted: Rules, run_count: int, old_count: int) -> int:
    """Return how many runs of a job to delete.

    Both rules delete the oldest, so the one that deletes more decides.
    """
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
    """Return rotated log files not written to for long; never the current one."""
    if not wanted.log_days:
        return []
    ends = (now - timedelta(days=wanted.log_days)).timestamp()
    return [path for path in application_logs.rotated_files() if path.stat().st_mtime < ends]


def _delete_logs(paths: list[Path]) -> int:
    for path in paths:
        path.unlink(missing_ok=True)
    return len(paths)
