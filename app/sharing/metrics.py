"""Prometheus metrics of jobs, messages and HTTP requests.

Jobs and messages are read from the state that the dashboard shows.
"""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import (
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from sqlalchemy import func, select

from app import __version__
from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor, save_group
from app.backups import overview
from app.backups.overview import JobStatus
from app.core.db.orm import db
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, SettingGroup, declare
from app.notifications.models import Delivery, DeliveryState
from app.plugin.marking import N_
from app.reports.outcomes import ERROR, FATAL, SUCCESS, UNKNOWN, WARNING
from app.reports.rejected import RejectedReport

METRICS_ENABLED = declare(
    Setting(
        "metrics_enabled",
        bool,
        default=False,
        wire="enabled",
        attribute="is_enabled",
        label=N_("Enable metrics endpoint"),
        is_required=True,
    )
)
METRICS_NEED_KEY = declare(
    Setting(
        "metrics_need_key",
        bool,
        default=False,
        wire="requiresKey",
        attribute="needs_key",
        label=N_("Require an API key"),
        help=N_("The key needs read permission. Always required when API keys are required in general."),
    )
)
METRICS = SettingGroup("metrics_updated", "metrics", (METRICS_ENABLED, METRICS_NEED_KEY))


STATUSES = (SUCCESS, WARNING, ERROR, FATAL, UNKNOWN)
LABELS = ("server_id", "server", "job")
# Metrics of a job's newest run: name, description, attribute of `JobStatus`.
FIGURES = (
    ("duration_seconds", "How long the newest run took", "last_duration_s"),
    ("examined_bytes", "Size of the files examined by the newest run", "examined_bytes"),
    ("examined_files", "Number of files examined by the newest run", "examined_files"),
    ("uploaded_bytes", "Bytes that the newest run sent to the storage", "uploaded_bytes"),
    ("storage_bytes", "Size of the storage after the newest run", "storage_bytes"),
    ("versions", "Versions that can be restored", "version_count"),
    ("warnings", "Warnings of the newest run", "warning_count"),
    ("errors", "Errors of the newest run", "error_count"),
    ("runs", "Runs that are stored", "run_count"),
    ("overdue", "1 while the job is overdue, else 0", "is_overdue"),
)


def are_enabled() -> bool:
    """Whether the metrics endpoint is enabled."""
    return settings_store.read(METRICS_ENABLED)


def need_key() -> bool:
    """Whether metrics require a key, also if other endpoints do not."""
    return settings_store.read(METRICS_NEED_KEY)


def configure(*, is_enabled: bool, needs_key: bool, actor: Actor, now: datetime) -> None:
    """Set whether metrics are enabled, and whether they require a key of scope `read`."""
    chosen = {METRICS_ENABLED.key: is_enabled, METRICS_NEED_KEY.key: needs_key}
    save_group(METRICS, chosen, actor=actor, now=now)


def collect(now: datetime) -> Iterator[Metric]:
    """Yield all metrics of the stored state."""
    yield InfoMetricFamily("duplistatus", "The program", {"version": __version__})
    yield from _job_metrics(overview.overview(now, ALL_SERVERS).jobs)
    yield from _queue_metrics()


def _job_metrics(jobs: tuple[JobStatus, ...]) -> Iterator[Metric]:
    names = [(job.server_id, job.server_display_name, job.name) for job in jobs]
    began = GaugeMetricFamily("duplistatus_job_last_run_timestamp_seconds", "When the newest run began", labels=LABELS)
    expected = GaugeMetricFamily(
        "duplistatus_job_next_expected_timestamp_seconds", "When the next run is expected", labels=LABELS
    )
    status = GaugeMetricFamily(
        "duplistatus_job_status", "1 for the status of the newest run, 0 for the others", labels=(*LABELS, "status")
    )
    for labels, job in zip(names, jobs, strict=True):
        if job.last_began_at is not None:
            began.add_metric(labels, job.last_began_at.timestamp())
        if job.next_expected_at is not None and job.is_overdue_check_enabled:
            expected.add_metric(labels, job.next_expected_at.timestamp())
        shown = job.last_status if job.last_status in STATUSES else UNKNOWN
        for word in STATUSES:
            status.add_metric((*labels, word), float(word == shown))
    yield from (began, expected, status)
    for name, text, figure in FIGURES:
        family = GaugeMetricFamily(f"duplistatus_job_{name}", text, labels=LABELS)
        for labels, job in zip(names, jobs, strict=True):
            family.add_metric(labels, float(getattr(job, figure)))
        yield family


def _queue_metrics() -> Iterator[Metric]:
    rows = db.session.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
    found = {row[0]: row[1] for row in rows}
    deliveries = GaugeMetricFamily("duplistatus_deliveries", "Messages by their state", labels=("state",))
    for state in DeliveryState:
        deliveries.add_metric((state.value,), found.get(state.value, 0))
    yield deliveries
    is_waiting = select(func.count()).where(RejectedReport.replayed_at.is_(None))
    rejected = GaugeMetricFamily("duplistatus_rejected_reports", "Stored rejected reports that were not accepted later")
    rejected.add_metric((), db.session.scalar(is_waiting) or 0)
    yield rejected
