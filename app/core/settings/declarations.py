"""Valid values of each stored setting, used for changes and for restored backups.

`store.save` rejects any other value, so a form or an endpoint cannot store what a restore would reject.
"""

import ipaddress
import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from app.core.errors import Refused
from app.core.instants import MONTHLY, WEEKLY, read_time
from app.core.languages import LANGUAGES
from app.database.monitor_pings import SERVICES
from app.database.schedule import BackupSchedule
from app.legacy_import.stored_forms import is_crontab
from app.schedules.overdue import FREQUENCIES, TOLERANCES
from app.sharing.badge import LONGEST_LABEL

# 0 hours: never. 0 days and 0 runs: unlimited.
LONGEST_HOURS = 24 * 366
AUDIT_DAYS = (30, 365)
RUN_DAYS, RUN_COUNT, DELIVERY_DAYS, LOG_DAYS = (0, 36_500), (0, 1_000_000), (1, 3_650), (0, 3_650)
LEAST_MIB, MOST_MIB = 1, 1024
VERSION_HOURS = (6, 12, 24)
LONGEST_URL, LONGEST_TITLE = 500, 80
# MiB of free disk space.
FREE_SPACE_MIB = (0, 100_000_000)
# Interval of the pings to an external monitor.
PING_MINUTES, LONGEST_PING_URL = (1, 1440), 2000
MOST_BADGES, MOST_NETWORKS = 200, 500
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,63}")
DIGEST_PERIODS = ("off", WEEKLY, MONTHLY)
# Limits of unusual values.
LEAST_RUNS, DEVIATIONS, TIMES, PERCENT = (3, 30), (1, 100), (1.1, 1000), (1, 1000)
# With time zones and waits added, instants of these years are still valid dates.
YEARS = range(1970, 9990)


class Exact(Schema):
    """An object without unknown keys; missing ones have their default."""

    class Meta:
        unknown = RAISE


class Flag(fields.Boolean):
    """A boolean; the words for it in forms are rejected."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) is not bool:
            raise ValidationError("expected true or false")
        return value


class Number(fields.Float):
    """A number; text is rejected."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) not in (int, float):
            raise ValidationError("expected a number")
        return super()._deserialize(value, attr, data, **kwargs)


class Whole(fields.Integer):
    """A whole number; text is rejected."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) is not int:
            raise ValidationError("expected a whole number")
        return value


def whole(least: int, most: int | None = None) -> Whole:
    """Declare a whole number within bounds, both included."""
    return Whole(validate=validate.Range(least, most))


def check_instant(text: str) -> None:
    """Reject anything but an instant with an offset.

    It must be in a range that allows arithmetic. Raise ValidationError.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValidationError("expected a time in ISO 8601") from error
    if instant.tzinfo is None or instant.year not in YEARS:
        raise ValidationError("expected a time with an offset to UTC and a valid year")


def check_network(text: str) -> None:
    """Reject anything but an address or a network. Raise ValidationError."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValidationError("expected an address or a network such as 192.0.2.0/24") from error


def check_time(text: str) -> None:
    """Reject anything but a time of day. Raise ValidationError."""
    try:
        read_time(text)
    except ValueError as error:
        raise ValidationError("Enter a time of day such as 07:30") from error


def check_public_url(url: str) -> None:
    """Reject an invalid URL and one with credentials; blank is valid.

    Raise ValidationError.
    """
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise ValidationError("expected a URL that starts with http:// or https://") from error
    if url and (parts.scheme not in ("http", "https") or not has_host or parts.query or parts.fragment):
        raise ValidationError("expected a URL that starts with http:// or https://, without ? and #")
    if parts.username or parts.password or len(url) > LONGEST_URL:
        raise ValidationError(f"expected a URL without a username, at most {LONGEST_URL} characters")


def _check_crontab(text: str) -> None:
    if not is_crontab(text):
        raise ValidationError("expected the five fields of a crontab expression")


def _check_backup_schedule(stored: dict[str, Any]) -> None:
    try:
        wrong = BackupSchedule(**stored).wrong_fields()
    except TypeError as error:
        raise ValidationError("it contains an unknown field") from error
    if wrong:
        raise ValidationError(f"Invalid value for {wrong[0]}")


class TemplateValue(Exact):
    """One template; missing parts are the default."""

    title = fields.String()
    message = fields.String()
    priority = fields.String()
    tags = fields.String()


class TemplatesValue(Exact):
    """Templates by kind, and the language of dates and numbers.

    Each template is replaced as a whole.
    """

    language = fields.String(validate=validate.OneOf(tuple(LANGUAGES)))
    success = fields.Nested(TemplateValue)
    warning = fields.Nested(TemplateValue)
    overdueBackup = fields.Nested(TemplateValue)
    recovered = fields.Nested(TemplateValue)
    dailySummary = fields.Nested(TemplateValue)
    digest = fields.Nested(TemplateValue)


class SilenceValue(Exact):
    """When users were notified that no reports arrive, and since when."""

    at = fields.String(required=True, validate=check_instant)
    since = fields.String(required=True, validate=check_instant)


class TaskValue(Exact):
    """When a task runs, and whether it is enabled."""

    cronExpression = fields.String(validate=_check_crontab)
    enabled = Flag()


class SummaryValue(Exact):
    """The schedule of the daily summary."""

    enabled = Flag()
    time = fields.String(validate=check_time)
    recipients = fields.List(fields.String())
    since = fields.String(validate=check_instant)


class DigestValue(Exact):
    """The schedule of the digest."""

    period = fields.String(validate=validate.OneOf(DIGEST_PERIODS))
    time = fields.String(validate=check_time)
    weekday = whole(0, 6)
    recipients = fields.List(fields.String())
    channels = fields.List(whole(0))
    since = fields.String(validate=check_instant)


class BadgeValue(Exact):
    """A badge."""

    slug = fields.String(required=True, validate=validate.Regexp(rf"{SLUG.pattern}\Z"))
    label = fields.String(required=True, validate=validate.Length(max=LONGEST_LABEL))
    server_id = fields.String(allow_none=True)
    job_name = fields.String(allow_none=True)


class StatusPageValue(Exact):
    """Content of the public status page."""

    slug = fields.String(validate=validate.Regexp(r"[A-Za-z0-9_-]{0,128}\Z"))
    is_enabled = Flag()
    title = fields.String(validate=validate.Length(max=LONGEST_TITLE))
    shows_names = Flag()
    shows_all = Flag()
    server_ids = fields.List(fields.String())
    jobs = fields.List(fields.Tuple((fields.String(), fields.String())))


class LimitsValue(Exact):
    """Thresholds of unusual values."""

    is_enabled = Flag()
    tells = Flag()
    least_runs = whole(*LEAST_RUNS)
    deviations = Number(allow_nan=False, validate=validate.Range(*DEVIATIONS))
    times = Number(allow_nan=False, validate=validate.Range(*TIMES))
    percent = Number(allow_nan=False, validate=validate.Range(*PERCENT))


class VersionCheckValue(Exact):
    """How newer versions of Duplicati are looked up."""

    is_enabled = Flag()
    every_hours = Whole(validate=validate.OneOf(VERSION_HOURS))
    url = fields.String()


class NewestVersionsValue(Exact):
    """The newest versions of Duplicati."""

    versions = fields.Dict(keys=fields.String(), values=fields.String())
    checked_at = fields.String(validate=check_instant)
    error = fields.String()


class TaskChangeValue(Exact):
    """A task that was stopped or started manually, with its settings at that time."""

    isOn = Flag(required=True)
    planned = fields.Tuple((fields.String(), Flag()), required=True)


class IntegrityFailureValue(Exact):
    """Result of the latest check of the database file."""

    at = fields.String(required=True, validate=check_instant)
    damage = fields.String(required=True)


class ExternalMonitorValue(Exact):
    """External monitor that is pinged while everything works; the token is encrypted."""

    is_enabled = Flag()
    url = fields.String(validate=validate.Length(max=LONGEST_PING_URL))
    every_minutes = whole(*PING_MINUTES)
    service = fields.String(validate=validate.OneOf(("", *SERVICES)))
    token = fields.String()


class PingValue(Exact):
    """Result of the latest ping."""

    sent_at = fields.String(validate=check_instant)
    good_at = fields.String(allow_none=True, validate=check_instant)
    error = fields.String()
    reason = fields.String()


def _networks() -> fields.List[Any]:
    return fields.List(fields.String(validate=check_network), validate=validate.Length(max=MOST_NETWORKS))


DECLARED: dict[str, fields.Field[Any]] = {
    "overdue_tolerance": fields.String(validate=validate.OneOf(tuple(TOLERANCES))),
    "notification_frequency": fields.String(validate=validate.OneOf(tuple(FREQUENCIES))),
    "notification_templates": fields.Nested(TemplatesValue),
    "last_overdue_check_at": fields.String(validate=check_instant),
    "silence_hours": whole(0, LONGEST_HOURS),
    "channel_failure_hours": whole(0, LONGEST_HOURS),
    "destination_full_alarm": Flag(),
    "silence_told": fields.Nested(SilenceValue),
    "audit_retention_days": whole(*AUDIT_DAYS),
    "run_retention_days": whole(*RUN_DAYS),
    "run_retention_count": whole(*RUN_COUNT),
    "delivery_retention_days": whole(*DELIVERY_DAYS),
    "log_retention_days": whole(*LOG_DAYS),
    "local_backup_schedule": fields.Dict(validate=_check_backup_schedule),
    "local_backup_failed_at": fields.String(validate=check_instant),
    "import_declined": Flag(),
    "keeps_other_operations": Flag(),
    "requires_api_keys": Flag(),
    "public_url": fields.String(validate=check_public_url),
    "upload_max_mib": whole(LEAST_MIB, MOST_MIB),
    "cron_tasks": fields.Dict(keys=fields.String(), values=fields.Nested(TaskValue)),
    "master_key_fingerprint": fields.String(validate=validate.Regexp(r"[0-9a-f]{64}\Z")),
    "has_default_channels": Flag(),
    "admin_allowlist_enabled": Flag(),
    "admin_allowlist": _networks(),
    "external_allowlist_enabled": Flag(),
    "external_allowlist": _networks(),
    "daily_summary": fields.Nested(SummaryValue),
    "digest": fields.Nested(DigestValue),
    "demo_data": Flag(),
    "metrics_enabled": Flag(),
    "metrics_need_key": Flag(),
    "badges": fields.List(fields.Nested(BadgeValue), validate=validate.Length(max=MOST_BADGES)),
    "status_page": fields.Nested(StatusPageValue),
    "version_lists_total": whole(0),
    "anomaly_limits": fields.Nested(LimitsValue),
    "version_check": fields.Nested(VersionCheckValue),
    "newest_duplicati": fields.Nested(NewestVersionsValue),
    "logs_repacked_to": whole(0),
    "cron_changes_by_hand": fields.Dict(keys=fields.String(), values=fields.Nested(TaskChangeValue)),
    "anonymous_session_key": fields.String(validate=validate.Regexp(r"(?:[0-9a-f]{64})?\Z")),
    "untrusted_proxy_seen_at": fields.String(validate=check_instant),
    "jobs_started_at": fields.String(validate=check_instant),
    "integrity_failure": fields.Nested(IntegrityFailureValue),
    "free_space_mib": whole(*FREE_SPACE_MIB),
    "health_notified": fields.Dict(keys=fields.String(), values=fields.String(validate=check_instant)),
    "external_monitor": fields.Nested(ExternalMonitorValue),
    "external_monitor_ping": fields.Nested(PingValue),
}


def check(name: str, value: object) -> None:
    """Reject a value that a setting cannot have.

    Raise AppError with `field`, and KeyError for an unknown name.
    """
    try:
        DECLARED[name].deserialize(value)
    except ValidationError as error:
        raise Refused("setting_impossible", name, name=name, reason=first_sentence(error)) from error


def first_sentence(error: ValidationError) -> str:
    """Return the first error with the path of its field."""
    path, messages = [], error.normalized_messages()  # type: ignore[no-untyped-call]
    while isinstance(messages, dict):
        key, messages = next(iter(messages.items()))
        if key not in ("_schema", "value"):
            path.append(str(key))
    sentence = " ".join(map(str, messages)) if isinstance(messages, list) else str(messages)
    return f"{'.'.join(path)}: {sentence}" if path else sentence
