"""What the figures of the jobs tell beyond their status."""

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import RAISE, Schema, fields, validate

from app import runtime
from app.backups import overview
from app.backups.overview import JobStatus, ServerStatus
from app.core.settings.declarations import DEVIATIONS, LEAST_RUNS, PERCENT, TIMES
from app.insight import insight
from app.insight.anomalies import Limits, describe
from app.plugin import ApiGroup, Guard, described, guarded
from app.reports.outcomes import Outcome
from app.schedules import job_settings, planning
from app.schedules.grid import weekdays_from_mask
from app.web.request import actor, json_body, visible_server_ids
from app.web.responses import TEXTS, IsoInstant, Out

# Wire forms of what is unusual, and of how destinations fill.

NUMBERS = {"type": "array", "items": {"type": "integer"}}
# JavaScript counts exactly up to here, and it is more than any destination holds.
LARGEST_SIZE = 2**53 - 1
OUTCOME_WORDS = {outcome.value: outcome.value.replace("_", " ") for outcome in Outcome}
OUTCOMES = list(OUTCOME_WORDS.values())


class AnomalyOut(Out):
    """One figure of the newest run that is far from usual: bytes, seconds or files; `text` says it in English.

    `figure` is `modified` or `deleted` (files), `upload`, `duration`, `size` or `files`.
    """

    figure = fields.String()
    value = fields.Float()
    usual = fields.Float()
    text = fields.Function(describe, metadata={"type": "string"})


class LearnedScheduleOut(Out):
    """What the newest `runs` of a job show: its interval, weekdays (0 = Sunday), one of its slots, its spread.

    `weekdays` and the time of day of `slot` are those of `zone`: an IANA name, or an offset such as `+05:30`.
    """

    interval = fields.String()
    weekdays = fields.Function(lambda learned: list(weekdays_from_mask(learned.weekdays)), metadata=NUMBERS)
    anchor_at = IsoInstant(data_key="slot")
    zone = fields.String()
    spread_s = fields.Integer(data_key="spreadSeconds")
    run_count = fields.Integer(data_key="runs")


class ScheduleOut(Out):
    """Where the schedule of a job comes from, and what its runs show.

    `source` is `duplicati` (it announces each run, or its settings were collected), `person`, `kept` (learned, and
    kept by a person), `learned` or `default`. `offeredInterval` is offered for irregular jobs: at least one run in it.
    """

    source = fields.Function(planning.source_of, metadata={"type": "string", "enum": list(planning.SOURCES)})
    learned = fields.Function(
        lambda job: (learned := planning.learned_of(job)) and LearnedScheduleOut().dump(learned),
        metadata={"type": ["object", "null"]},
    )
    offered = fields.Function(
        planning.offered_interval, data_key="offeredInterval", metadata={"type": ["string", "null"]}
    )


class ScheduleIn(Schema):
    """What to do with the learned schedule of a job: `keep` it as chosen, or `learn` again and drop what was chosen."""

    class Meta:
        unknown = RAISE

    job_name = fields.String(data_key="backupName", required=True)
    choice = fields.String(required=True, validate=validate.OneOf(("keep", "learn")))


class JobInsightOut(Out):
    """What there is to know of a job: `growthBytes` a day, the room left at its destination, when that is used up.

    `lastOutcome` is what the newest run did besides its status: `dry run`, `aborted` (it saved nothing), `stopped` or
    `partial`; empty for a usual run.
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
    """The limits to change; what is left out stays as it is."""

    class Meta:
        unknown = RAISE

    is_enabled = fields.Boolean(data_key="enabled")
    tells = fields.Boolean(data_key="notify")
    least_runs = fields.Integer(data_key="minRuns", strict=True, validate=validate.Range(*LEAST_RUNS))
    deviations = fields.Float(data_key="deviations", allow_nan=False, validate=validate.Range(*DEVIATIONS))
    times = fields.Float(data_key="times", allow_nan=False, validate=validate.Range(*TIMES))
    percent = fields.Float(data_key="percent", allow_nan=False, validate=validate.Range(*PERCENT))


class LimitsOut(Out):
    """From when on a figure counts as unusual, once there are `minRuns` to compare with.

    More than `deviations` from the median, and `times` it (modified and deleted files, upload, duration) or `percent`
    away from it (size and files). With `notify` a message is sent when a figure of a new run becomes unusual.
    """

    is_enabled = fields.Boolean(data_key="enabled")
    tells = fields.Boolean(data_key="notify")
    least_runs = fields.Integer(data_key="minRuns")
    deviations = fields.Float()
    times = fields.Float()
    percent = fields.Float()


class QuotaIn(Schema):
    """How much a job's destination holds; null believes what it reports."""

    class Meta:
        unknown = RAISE

    job_name = fields.String(data_key="backupName", required=True)
    quota_bytes = fields.Integer(
        data_key="quotaBytes", required=True, allow_none=True, strict=True, validate=validate.Range(1, LARGEST_SIZE)
    )


_job_out = JobInsightOut(exclude=("anomalies", "schedule"))


def dump_server(server: ServerStatus) -> dict[str, Any]:
    """One server with what there is to know of its jobs."""
    jobs = [dump_job(job) for job in server.jobs if job.is_backup]
    named = {"serverId": server.id, "serverName": server.name, "clockAheadSeconds": server.clock_ahead_s}
    return named | {"backups": jobs}


def dump_job(job: JobStatus) -> dict[str, Any]:
    """What there is to know of one job."""
    dumped: dict[str, Any] = _job_out.dump(job)
    outcome = OUTCOME_WORDS[job.newest.outcome]
    return dumped | {
        "schedule": ScheduleOut().dump(job),
        "anomalies": AnomalyOut().dump(job.anomalies, many=True),
        "lastOutcome": outcome,
    }


def dump_limits(limits: Limits) -> dict[str, Any]:
    """The limits in use."""
    dumped: dict[str, Any] = LimitsOut().dump(limits)
    return dumped


# Views of the insight group.

bp = Blueprint("insight", __name__)


@bp.get("/insight")
@described({200: InsightOut})
def index() -> ResponseReturnValue:
    """What is unusual about the newest run of each job, how its destination grows, and when that will be full."""
    return {
        "servers": [dump_server(server) for server in overview.overview(runtime.now(), visible_server_ids()).servers]
    }


@bp.get("/insight/<server_id>")
@described({200: ServerInsightOut})
def show(server_id: str) -> ResponseReturnValue:
    """The same of one server."""
    return dump_server(overview.find_server(server_id, runtime.now(), visible_server_ids()))


@bp.patch("/insight/<server_id>/quota")
@guarded(Guard.ADMIN)
@described({200: ServerInsightOut}, body=QuotaIn)
def update_quota(server_id: str) -> ResponseReturnValue:
    """Enter how much the destination of a job holds; it wins over what the destination reports."""
    insight.change_quota(server_id, **QuotaIn().load(json_body()), actor=actor(), now=runtime.now())
    return show(server_id)


@bp.post("/insight/<server_id>/schedule")
@guarded(Guard.ADMIN)
@described({200: ServerInsightOut}, body=ScheduleIn, errors=(409,))
def update_schedule(server_id: str) -> ResponseReturnValue:
    """Keep the schedule that is learned or offered for a job, or have it learned again."""
    body = ScheduleIn().load(json_body())
    change = job_settings.keep_schedule if body["choice"] == "keep" else job_settings.learn_schedule
    change(server_id, body["job_name"], actor=actor(), now=runtime.now())
    return show(server_id)


@bp.get("/insight-limits")
@described({200: LimitsOut})
def show_limits() -> ResponseReturnValue:
    """From when on something counts as unusual, and whether people are told of it."""
    return dump_limits(insight.limits())


@bp.patch("/insight-limits")
@guarded(Guard.ADMIN)
@described({200: LimitsOut}, body=LimitsIn)
def update_limits() -> ResponseReturnValue:
    """Change the limits; the newest run of every job is looked at again."""
    return dump_limits(insight.change_limits(LimitsIn().load(json_body()), actor=actor(), now=runtime.now()))


group = ApiGroup(
    name="insight", blueprint=bp, guard=Guard.LOGIN, summary="What is unusual, and when destinations will be full"
)
