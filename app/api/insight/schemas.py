"""Wire forms of what is unusual, and of how destinations fill."""

from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from app.api.wire import TEXTS, IsoInstant, Out
from app.domain.anomalies import Limits, describe
from app.domain.run_outcomes import Outcome
from app.domain.schedules import weekdays_from_mask
from app.services import planning
from app.services.declarations import DEVIATIONS, LEAST_RUNS, PERCENT, TIMES
from app.services.history import JobStatus, ServerStatus

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
