"""What Prometheus reads of jobs and messages, built from the state that the dashboard shows."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from sqlalchemy import func, select

from app import __version__
from app.domain.statuses import ERROR, FATAL, SUCCESS, UNKNOWN, WARNING
from app.extensions import db
from app.models import Delivery, DeliveryState, RejectedReport
from app.services import configuration, history
from app.services.audit import Actor, record_entry
from app.services.history import JobStatus
from app.services.transaction import writing
from app.services.visibility import ALL_SERVERS

STATUSES = (SUCCESS, WARNING, ERROR, FATAL, UNKNOWN)
LABELS = ("server_id", "server", "job")
# Figures of a job's newest run: name of the metric, what it tells, attribute of `JobStatus`.
FIGURES = (
    ("duration_seconds", "How long the newest run took", "last_duration_s"),
    ("examined_bytes", "Size of the files that the newest run looked at", "examined_bytes"),
    ("examined_files", "Number of files that the newest run looked at", "examined_files"),
    ("uploaded_bytes", "Bytes that the newest run sent to the storage", "uploaded_bytes"),
    ("storage_bytes", "Size of the storage after the newest run", "storage_bytes"),
    ("versions", "Versions that can be restored", "version_count"),
    ("warnings", "Warnings of the newest run", "warning_count"),
    ("errors", "Errors of the newest run", "error_count"),
    ("runs", "Runs that are stored", "run_count"),
    ("overdue", "1 while the job is overdue, else 0", "is_overdue"),
)


def are_enabled() -> bool:
    """Whether metrics are given out at all."""
    return bool(configuration.get("metrics_enabled"))


def need_key() -> bool:
    """Whether metrics are for programs with a key alone, also while others do without."""
    return bool(configuration.get("metrics_need_key"))


def configure(*, is_enabled: bool, needs_key: bool, actor: Actor, now: datetime) -> None:
    """Choose whether metrics are given out, and whether only for a key of scope `read`."""
    with writing():
        configuration.save("metrics_enabled", is_enabled, now=now)
        configuration.save("metrics_need_key", needs_key, now=now)
        details = {"enabled": is_enabled, "requiresKey": needs_key}
        place = {"target_type": "configuration", "target_id": "metrics"}
        record_entry("metrics_updated", "config", now=now, actor=actor, details=details, **place)


def collect(now: datetime) -> Iterator[Metric]:
    """All metrics of the stored state."""
    yield InfoMetricFamily("duplistatus", "The program", {"version": __version__})
    yield from _job_metrics(history.overview(now, ALL_SERVERS).jobs)
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
    rejected = GaugeMetricFamily("duplistatus_rejected_reports", "Refused uploads that are kept and not taken in since")
    rejected.add_metric((), db.session.scalar(is_waiting) or 0)
    yield rejected
