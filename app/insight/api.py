"""API group `insight`: anomalies, forecasts, learned schedules, limits."""

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import RAISE, Schema, fields, validate

from app import runtime
from app.backups import overview
from app.backups.overview import JobStatus, ServerStatus
from app.insight import insight
from app.insight.anomalies import ANOMALY_LIMITS, Limits, describe
from app.plugin import Access, ApiGroup, described, guarded
from app.reports.outcomes import Outcome
from app.schedules import job_settings, next_run
from app.schedules.intervals import weekdays_from_mask
from app.web.forms import fields_in, fields_out
from app.web.http import TEXTS, IsoInstant, Out, actor, json_body, visible_server_ids

# Schemas

NUMBERS = {"type": "array", "items": {"type": "integer"}}
# The largest integer that JavaScript represents exactly; more than any destination holds.
LARGEST_SIZE = 2**53 - 1
OUTCOME_WORDS = {outcome.value: outcome.value.replace("_", " ") for outcome in Outcome}
OUTCOMES = list(OUTCOME_WORDS.values())


class AnomalyOut(Out):
    """A metric of the newest run far from its usual value, in bytes, seconds or files; `text` is in English.

    `figure` is `modified` or `deleted` (files), `upload`, `duration`, `size` or `files`.
    """

    figure = fields.String()
    value = fields.Float()
    usual = fields.Float()
    text = fields.Function(describe, metadata={"type": "string"})


class LearnedScheduleOut(Out):
    """The schedule learned from the newest `runs`: interval, weekdays (0 = Sunday), one expected time, spread.

    `weekdays` and the time of day of `slot` are those of `zone`: an IANA name, or an offset such as `+05:30`.
    """

    interval = fields.String()
    weekdays = fields.Function(lambda learned: list(weekdays_from_mask(learned.weekdays)), metadata=NUMBERS)
    anchor_at = IsoInstant(data_key="slot")
    zone = fields.String()
    spread_s = fields.Integer(data_key="spreadSeconds")
    run_count = fields.Integer(data_key="runs")


class ScheduleOut(Out):
    """The source of the schedule of a job, and the learned schedule.

    `source` is `duplicati` (it announces each run, or its settings were collected), `person`, `kept` (learned, and
    kept by a person), `learned` or `default`. `offeredInterval` is offered for irregular jobs: at least one run in it.
    """

    source = fields.Function(next_run.source_of, metadata={"type": "string", "enum": list(next_run.SOURCES)})
    learned = fields.Function(
        lambda job: (learned := next_run.learned_of(job)) and LearnedScheduleOut().dump(learned),
        metadata={"type": ["object", "null"]},
    )
    offered = fields.Function(
        next_run.offered_interval, data_key="offeredInterval", metadata={"type": ["string", "null"]}
    )


class ScheduleIn(Schema):
    """`keep` the learned schedule of a job, or `learn` it again and drop the kept one."""

    class Meta:
        unknown = RAISE

    job_name = fields.String(data_key="backupName", required=True)
    choice = fields.String(required=True, validate=validate.OneOf(("keep", "learn")))


class JobInsightOut(Out):
    """Insights of a job: `growthBytes` per day, free space at its destination, and when it will be full.

    `lastOutcome` qualifies the status of the newest run: `dry run`, `aborted` (nothing saved), `stopped` or
    `partial`; empty for a complete run.
    """

    name = fields.String(data_key="backupName")
    anomalies = fields.List(fields.Nested(AnomalyOut))
    growth_bytes = fields.Float(data_key="growthBytesPerDay", allow_none=True)
    quota_bytes = fields.Integer(data_key="quotaBytes", allow_none=True)
    reported_quota_bytes = fields.Integer(data_key="reportedQuotaBytes", allow_none=True)
    free_bytes = fields.Integer(data_key="freeBytes", allow_none=True)
    full_at = IsoInstant(data_key="fullAt", allow_none=True)
    versions = fields.Raw(metadata={**TEXTS, "description": "Times of all versions that can be restored, newest first"})
    unread_versions = fields.Integer(data_key="unreadVersions")
    last_outcome = fields.String(data_key="lastOutcome", attribute="newest.outcome", metadata={"enum": OUTCOMES})
    broken_off_at = IsoInstant(data_key="previousRunBrokenOffAt", attribute="newest.broken_off_at", allow_none=True)
    has_mixed_ids = fields.Boolean(data_key="hasMixedBackupIds")
    schedule = fields.Nested(ScheduleOut)


class ServerInsightOut(Out):
    """The jobs of a server."""

    server_id = fields.String(data_key="serverId")
    server_name = fields.String(data_key="serverName")
    clock_ahead_s = fields.Integer(data_key="clockAheadSeconds", allow_none=True)
    jobs = fields.List(fields.Nested(JobInsightOut), data_key="backups")


class InsightOut(Out):
    """All servers."""

    servers = fields.List(fields.Nested(ServerInsightOut))


class LimitsIn(Schema):
    """Changes to the limits; omitted fields are kept."""

    class Meta:
        unknown = RAISE
        include = fields_in(ANOMALY_LIMITS.parts)


class LimitsOut(Out):
    """Limits above which a metric is unusual, if there are at least `minRuns` to compare with.

    More than `deviations` from the median, and `times` it (modified and deleted files, upload, duration) or `percent`
    away from it (size and files). With `notify` a notification is sent when a metric of a new run becomes unusual.
    """

    class Meta:
        include = fields_out(ANOMALY_LIMITS.parts)


class QuotaIn(Schema):
    """Capacity of the destination of a job; null uses the reported size."""

    class Meta:
        unknown = RAISE

    job_name = fields.String(data_key="backupName", required=True)
    quota_bytes = fields.Integer(
        data_key="quotaBytes", required=True, allow_none=True, strict=True, validate=validate.Range(1, LARGEST_SIZE)
    )


_job_out = JobInsightOut(exclude=("anomalies", "schedule"))


def dump_server(server: ServerStatus) -> dict[str, Any]:
    """Return one server with the insights of its jobs."""
    jobs = [dump_job(job) for job in server.jobs if job.is_backup]
    named = {"serverId": server.id, "serverName": server.name, "clockAheadSeconds": server.clock_ahead_s}
    return named | {"backups": jobs}


def dump_job(job: JobStatus) -> dict[str, Any]:
    """Return the insights of one job."""
    dumped: dict[str, Any] = _job_out.dump(job)
    outcome = OUTCOME_WORDS[job.newest.outcome]
    return dumped | {
        "schedule": ScheduleOut().dump(job),
        "anomalies": AnomalyOut().dump(job.anomalies, many=True),
        "lastOutcome": outcome,
    }


def dump_limits(limits: Limits) -> dict[str, Any]:
    """Return the current limits."""
    dumped: dict[str, Any] = LimitsOut().dump(limits)
    return dumped


# Insight group

bp = Blueprint("insight", __name__)


@bp.get("/insight")
@described({200: InsightOut})
def index() -> ResponseReturnValue:
    """Get anomalies of the newest run of each job, and the growth and free space forecast of its destination."""
    return {
        "servers": [dump_server(server) for server in overview.overview(runtime.now(), visible_server_ids()).servers]
    }


@bp.get("/insight/<server_id>")
@described({200: ServerInsightOut})
def show(server_id: str) -> ResponseReturnValue:
    """Get anomalies and forecasts of one server."""
    return dump_server(overview.find_server(server_id, runtime.now(), visible_server_ids()))


@bp.patch("/insight/<server_id>/quota")
@guarded(Access.ADMIN)
@described({200: ServerInsightOut}, body=QuotaIn)
def update_quota(server_id: str) -> ResponseReturnValue:
    """Set the capacity of the destination of a job; overrides the reported size."""
    insight.change_quota(server_id, **QuotaIn().load(json_body()), actor=actor(), now=runtime.now())
    return show(server_id)


@bp.post("/insight/<server_id>/schedule")
@guarded(Access.ADMIN)
@described({200: ServerInsightOut}, body=ScheduleIn, errors=(409,))
def update_schedule(server_id: str) -> ResponseReturnValue:
    """Keep the learned or offered schedule of a job, or learn it again."""
    body = ScheduleIn().load(json_body())
    change = job_settings.keep_schedule if body["choice"] == "keep" else job_settings.learn_schedule
    change(server_id, body["job_name"], actor=actor(), now=runtime.now())
    return show(server_id)


@bp.get("/insight-limits")
@described({200: LimitsOut})
def show_limits() -> ResponseReturnValue:
    """Get the limits for unusual runs, and whether they trigger a notification."""
    return dump_limits(insight.limits())


@bp.patch("/insight-limits")
@guarded(Access.ADMIN)
@described({200: LimitsOut}, body=LimitsIn)
def update_limits() -> ResponseReturnValue:
    """Change the limits; the newest run of every job is evaluated again."""
    return dump_limits(insight.change_limits(LimitsIn().load(json_body()), actor=actor(), now=runtime.now()))


group = ApiGroup(name="insight", blueprint=bp, access=Access.USER, summary="Unusual runs and forecasts of free space")
