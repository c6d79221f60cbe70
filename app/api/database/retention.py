"""Wire forms of what is kept for how long, and of what a clean-up takes."""

from marshmallow import RAISE, Schema, fields, validate

from app.api.wire import Out
from app.services.retention import BOUNDS


class RulesIn(Schema):
    """How long things are kept; what is left out stays as it is. 0 stands for ever."""

    class Meta:
        unknown = RAISE

    run_days = fields.Integer(data_key="runDays", strict=True, validate=validate.Range(*BOUNDS["run_days"]))
    run_count = fields.Integer(data_key="runCount", strict=True, validate=validate.Range(*BOUNDS["run_count"]))
    delivery_days = fields.Integer(
        data_key="deliveryDays", strict=True, validate=validate.Range(*BOUNDS["delivery_days"])
    )
    log_days = fields.Integer(data_key="logDays", strict=True, validate=validate.Range(*BOUNDS["log_days"]))


class CleanUpIn(RulesIn):
    """The rules to clean up by, those in force where they are left out, and whether it is only to be told."""

    is_dry_run = fields.Boolean(data_key="dryRun", load_default=True)


class RulesOut(Out):
    """How long things are kept; 0 stands for ever."""

    run_days = fields.Integer(data_key="runDays")
    run_count = fields.Integer(data_key="runCount")
    delivery_days = fields.Integer(data_key="deliveryDays")
    log_days = fields.Integer(data_key="logDays")


class ShareOut(Out):
    """What a clean-up would take of one job."""

    server_id = fields.String(data_key="serverId")
    server_name = fields.String(data_key="serverName")
    job_name = fields.String(data_key="backupName")
    doomed_count = fields.Integer(data_key="wouldDelete")
    kept_count = fields.Integer(data_key="wouldKeep")


class ForecastOut(Out):
    """What a clean-up would delete now."""

    rules = fields.Nested(RulesOut)
    run_count = fields.Integer(data_key="runs")
    shares = fields.List(fields.Nested(ShareOut), data_key="jobs")
    delivery_count = fields.Integer(data_key="deliveries")
    log_names = fields.List(fields.String(), data_key="logFiles")


class CleanedOut(Out):
    """What a clean-up deleted."""

    run_count = fields.Integer(data_key="deletedRuns")
    job_count = fields.Integer(data_key="jobs")
    delivery_count = fields.Integer(data_key="deletedDeliveries")
    log_count = fields.Integer(data_key="deletedLogFiles")
