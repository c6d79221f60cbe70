"""Weekly and monthly digests: success rate, missed runs, growth and a chart."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import func, select

from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor, record_entry
from app.backups import overview as backups_overview
from app.backups.models import Job, Run
from app.charts import series as charts_series
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.core.languages import catalog
from app.notifications import channels, messages, outbox, summaries, summary_settings
from app.notifications.digest_content import DigestDay, draw_digest, largest_growth, missed_slots, sparkline
from app.notifications.messages import RenderedMessage, count_text, day_text, own_address, percent_text, size_text
from app.notifications.outbox import Destination
from app.notifications.summary_settings import SummaryPlan
from app.plugin import Attachment, Severity
from app.reports.decoding import SCHEDULED
from app.reports.outcomes import SUCCESS, UNSAVED, is_failure
from app.schedules import next_run

STORAGE = "storageSize"
GROWTH_LISTED = 5
# An older digest that could not be sent, since duplistatus was not running, is dropped.
LATEST = timedelta(days=3)
# Runs from before the period show from when on a job has a schedule.
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DigestFigures:
    """Totals of the days from `start_at` until before `end_at`.

    `growth` by job: additional bytes, bytes at the end.
    """

    start_at: datetime
    end_at: datetime
    days: tuple[DigestDay, ...]
    uploaded_bytes: int
    storage_before: float | None
    growth: tuple[tuple[int, float, float], ...]
    missed_by_job: Mapping[int, int] = field(default_factory=dict)

    @property
    def fine_count(self) -> int:
        """Return the number of successful runs."""
        return sum(day.fine_count for day in self.days)

    @property
    def warning_count(self) -> int:
        """Return the number of runs with warnings or unknown status."""
        return sum(day.warning_count for day in self.days)

    @property
    def failed_count(self) -> int:
        """Return the number of failed runs."""
        return sum(day.failed_count for day in self.days)

    @property
    def run_count(self) -> int:
        """Return the number of all runs."""
        return self.fine_count + self.warning_count + self.failed_count

    @property
    def missed_count(self) -> int:
        """Return the number of scheduled runs that are missing."""
        return sum(day.missed_count for day in self.days)

    @property
    def success_share(self) -> float:
        """Return the share of successful runs among all runs and missed runs."""
        wanted = self.run_count + self.missed_count
        return self.fine_count / wanted if wanted else 1.0

    @property
    def storage_bytes(self) -> float:
        """Return the storage in use at the end."""
        return next((day.storage_bytes for day in reversed(self.days) if day.storage_bytes is not None), 0.0)


def send_due(now: datetime) -> int | None:
    """Queue the digest if it is due.

    Returns the number of messages, or None if not due.
    """
    plan = summary_settings.digest()
    occurrence = summaries.due_occurrence(plan, now, LATEST)
    if occurrence is None:
        return None
    return _queue(plan, occurrence, f"digest:{plan.period}:{occurrence.isoformat()}", now)


def send_now(*, actor: Actor, now: datetime) -> int:
    """Queue a digest of the latest period now.

    Raises Refused if no channel can send it.
    """
    plan = summary_settings.digest()
    count = _queue(plan, now, f"digest:now:{now.isoformat()}", now)
    if not count:
        raise Refused("digest_without_channels")
    record_entry("digest_sent", "system", now=now, actor=actor, details={"messages": count})
    return count


def render(plan: SummaryPlan, occurrence: datetime, now: datetime) -> RenderedMessage:
    """Return the digest of the period before an occurrence, with its chart."""
    figures = collect_figures(*plan.rhythm.span(occurrence), now)
    language = messages.language()
    is_calm = not figures.failed_count and not figures.missed_count
    values = digest_values(figures, now, language)
    picture = Attachment("digest.png", "image/png", draw_digest(figures.days), description=values["verdict"])
    severity = Severity.INFO if is_calm else Severity.WARNING
    return messages.render_kind("digest", severity, values, pictures=(picture,))


def digest_values(figures: DigestFigures, now: datetime, language: str) -> dict[str, str]:
    """Return the values of the template `digest`."""
    overview, missed = backups_overview.overview(now, ALL_SERVERS), catalog(language).gettext("Missed runs")
    names = {job.job_id: f"{job.server_display_name} / {job.name}" for job in overview.jobs}
    attention = summaries.attention_lines(overview.jobs, language)
    attention += [
        f"🕳️ {names[job_id]}: {missed}: {count_text(count, language)}"
        for job_id, count in sorted(figures.missed_by_job.items(), key=lambda row: -row[1])
        if job_id in names
    ][: summaries.ATTENTION_LISTED]
    grown = [
        f"{names[job_id]}: +{size_text(round(more), language)} ({size_text(round(total), language)})"
        for job_id, more, total in figures.growth
        if job_id in names
    ]
    return {
        "period_start": day_text(figures.start_at.date(), language),
        "period_end": day_text((figures.end_at - DAY).date(), language),
        "verdict": summaries.overall_state(overview.jobs, language),
        "attention": "\n".join(attention) or summaries.nothing_text(language),
        "server_count": count_text(len(overview.servers), language),
        "job_count": count_text(len(overview.jobs), language),
        "run_count": count_text(figures.run_count, language),
        "fine_count": count_text(figures.fine_count, language),
        "warning_count": count_text(figures.warning_count, language),
        "failed_count": count_text(figures.failed_count, language),
        "missed_count": count_text(figures.missed_count, language),
        "success_rate": percent_text(figures.success_share, language),
        "uploaded_size": size_text(figures.uploaded_bytes, language),
        "storage_size": size_text(round(figures.storage_bytes), language),
        "storage_growth": _growth_text(figures, language),
        "storage_line": sparkline([day.storage_bytes for day in figures.days]),
        "growth": "\n".join(grown) or summaries.nothing_text(language),
        "duplistatus_link": own_address() or "",
    }


def collect_figures(start_at: datetime, end_at: datetime, now: datetime) -> DigestFigures:
    """Count the runs and missed runs of whole UTC days, and the storage at the end of each day."""
    counts: dict[date, list[int]] = defaultdict(lambda: [0, 0, 0])  # OK, with warnings, failed
    began: dict[int, list[datetime]] = defaultdict(list)
    uploaded_bytes = 0
    # A run that starts a little late belongs to a slot before the end.
    margin = timedelta(days=8)
    columns = (Run.job_id, Run.began_at, Run.status, Run.uploaded_bytes, Run.outcome)
    near = select(*columns).where(Run.began_at >= start_at - margin, Run.began_at < end_at + margin)
    for job_id, began_at, status, uploaded, outcome in db.session.execute(near.order_by(Run.began_at)):
        is_within = start_at <= began_at < end_at
        if is_within:
            uploaded_bytes += uploaded
        if outcome in UNSAVED:
            continue  # it fills no slot, and is no successful run either
        began[job_id].append(began_at)
        if is_within:
            counts[began_at.astimezone(UTC).date()][0 if status == SUCCESS else 2 if is_failure(status) else 1] += 1
    missed = _missed(began, start_at, end_at, now)
    missed_by_day: dict[date, int] = defaultdict(int)
    for slots in missed.values():
        for slot in slots:
            missed_by_day[slot.astimezone(UTC).date()] += 1
    storage, growth, storage_before = _storage(start_at, end_at)
    days = []
    for number in range((end_at - start_at).days):
        day = (start_at + timedelta(days=number)).date()
        fine, warned, failed = counts[day]
        days.append(DigestDay(day, fine, warned, failed, missed_by_day[day], storage.get(day)))
    return DigestFigures(
        start_at,
        end_at,
        tuple(days),
        uploaded_bytes,
        storage_before,
        growth,
        {job_id: len(slots) for job_id, slots in missed.items() if slots},
    )


def _missed(
    began: Mapping[int, list[datetime]], start_at: datetime, end_at: datetime, now: datetime
) -> dict[int, list[datetime]]:
    """Return the missed slots of monitored jobs, since their first run."""
    first_runs = select(Run.job_id, func.min(Run.began_at)).group_by(Run.job_id)
    first_at: dict[int, datetime] = {row[0]: row[1] for row in db.session.execute(first_runs)}
    missed = {}
    for job in db.session.execute(select(*Job.__table__.c).where(Job.is_overdue_check_enabled)):
        schedule = next_run.schedule_of(job)
        if schedule is None or job.id not in first_at:
            continue
        due_at = now - next_run.grace_period(job) - schedule.late
        span = max(start_at, first_at[job.id]), min(end_at, due_at)
        missed[job.id] = missed_slots(began.get(job.id, ()), *span, schedule)
    return missed


def _storage(
    start_at: datetime, end_at: datetime
) -> tuple[dict[date, float], tuple[tuple[int, float, float], ...], float | None]:
    """Return the storage at the end of each day, the largest growths, and the storage before."""
    job_ids = db.session.scalars(select(Job.id).where(Job.operation.in_(SCHEDULED)))
    first_on, last_on = (start_at - DAY).date(), (end_at - DAY).date()
    groups = {job_id: str(job_id) for job_id in job_ids}
    found = charts_series.grouped_series(
        [STORAGE], groups, start_on=first_on, end_on=last_on, visible_server_ids=ALL_SERVERS
    )
    series = found[STORAGE]
    totals: dict[date, float] = {}
    for values in series.values():
        for number, value in enumerate(values):
            if value is not None:
                day = first_on + timedelta(days=number)
                totals[day] = totals.get(day, 0.0) + value
    before = {int(group): values[0] for group, values in series.items() if values and values[0] is not None}
    after = {int(group): values[-1] for group, values in series.items() if values and values[-1] is not None}
    growth = largest_growth(before, after, limit=GROWTH_LISTED)
    return totals, tuple(growth), totals.get(first_on)


def _growth_text(figures: DigestFigures, language: str) -> str:
    if figures.storage_before is None:
        return f"+{size_text(round(figures.storage_bytes), language)}"
    change = round(figures.storage_bytes - figures.storage_before)
    if not change:
        return catalog(language).pgettext("summary", "unchanged")
    sign = "+" if change > 0 else "\N{MINUS SIGN}"
    return f"{sign}{size_text(abs(change), language)}"


def _queue(plan: SummaryPlan, occurrence: datetime, event_key: str, now: datetime) -> int:
    destinations = []
    for row in channels.usable():
        if row.id in plan.channel_ids:
            is_mail = row.kind == channels.EMAIL
            addresses = plan.recipients if is_mail else ()
            destinations += [Destination(row.id, address) for address in addresses] or [Destination(row.id)]
    if not destinations:
        return 0
    message = render(plan, occurrence, now)
    with writing() as session:
        count = outbox.queue_message(session, message, destinations, event_key, now)
    if count:
        outbox.queued.send()
    return count
