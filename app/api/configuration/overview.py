"""The one answer that holds every setting, as the settings page of the reference asks for it."""

from typing import Any

from marshmallow import fields

from app.api.configuration.schemas import (
    AdditionalOut,
    EmailOut,
    NtfyOut,
    TemplateOut,
    TemplatesOut,
    dump_defaults,
    dump_entry,
    dump_mail,
    dump_ntfy,
)
from app.api.cron.schemas import IntervalOut, dump_interval
from app.api.servers.schemas import FullServerOut
from app.api.wire import NOT_AVAILABLE, SOMETIMES, IsoInstant, Out
from app.services import configuration, history, job_settings, mail_settings, ntfy_settings, task_schedule
from app.services.history import JobStatus, ServerStatus
from app.services.messages import language
from app.services.notification_settings import read_templates


class EntryOrDefaultsOut(AdditionalOut):
    """The settings of a job, or what the jobs of a server inherit beside what a new job begins with."""

    notification_event = fields.String(data_key="notificationEvent")
    is_overdue_check_enabled = fields.Boolean(data_key="overdueBackupCheckEnabled")
    expected_interval = fields.String(data_key="expectedInterval")
    allowed_weekdays = fields.List(fields.Integer(), data_key="allowedWeekDays")
    overdue_tolerance = fields.String(data_key="overdueTolerance", allow_none=True)
    next_expected_at = IsoInstant(data_key="time", missing="")
    last_began_at = IsoInstant(data_key="lastBackupDate", metadata=SOMETIMES)
    ntfy_enabled = fields.Boolean(data_key="ntfyEnabled")
    email_enabled = fields.Boolean(data_key="emailEnabled")


class ServerAddressOut(Out):
    """How a server is reached."""

    id = fields.String()
    name = fields.String()
    url = fields.String(data_key="server_url")
    alias = fields.String()
    note = fields.String()
    has_password = fields.Boolean(data_key="hasPassword")


class JobTimesOut(Out):
    """A job with its newest and its next run."""

    name = fields.String(data_key="backupName")
    next_expected_at = IsoInstant(data_key="expectedBackupDate", missing=NOT_AVAILABLE)
    last_began_at = IsoInstant(data_key="lastBackupDate")


class ServerJobOut(FullServerOut):
    """A job with its server."""

    job_name = fields.String(data_key="backupName")
    next_expected_at = IsoInstant(data_key="expectedBackupDate", missing=NOT_AVAILABLE)
    last_began_at = IsoInstant(data_key="lastBackupDate")


class MailSwitchOut(EmailOut):
    """The mail account, and whether mail is sent at all."""

    is_enabled = fields.Boolean(data_key="enabled")


class SettingsOut(Out):
    """Every setting; `email` is missing where no account is stored, a server's defaults stand among its jobs."""

    ntfy = fields.Nested(NtfyOut)
    templates = fields.Nested(TemplatesOut)
    email = fields.Nested(MailSwitchOut, metadata=SOMETIMES)
    overdue_tolerance = fields.String()
    job_settings = fields.Dict(values=fields.Nested(EntryOrDefaultsOut), data_key="backup_settings")
    addresses = fields.List(fields.Nested(ServerAddressOut), data_key="serverAddresses")
    check_interval = fields.Nested(IntervalOut, data_key="cronConfig")
    frequency = fields.String(data_key="notificationFrequency")
    jobs = fields.List(fields.Nested(ServerJobOut), data_key="serversWithBackups")


_address_out, _job_times_out, _server_out, _template_out = (
    ServerAddressOut(),
    JobTimesOut(),
    FullServerOut(),
    TemplateOut(),
)


def dump_all(overview: history.Overview, visible_server_ids: frozenset[str] | None) -> dict[str, Any]:
    """Every setting; those of servers that may not be seen are left out, and then where messages go, too."""
    mail, is_blank = mail_settings.find(), visible_server_ids is not None
    return {
        "ntfy": dump_ntfy(ntfy_settings.read(), is_blank=is_blank),
        "templates": dump_templates(),
        **({} if mail is None else {"email": dump_mail(mail, is_blank=is_blank) | {"enabled": mail.is_enabled}}),
        "overdue_tolerance": configuration.get("overdue_tolerance"),
        "backup_settings": dump_job_settings(visible_server_ids),
        "serverAddresses": _address_out.dump(overview.servers, many=True),
        "cronConfig": dump_interval(task_schedule.check_interval()),
        "notificationFrequency": configuration.get("notification_frequency"),
        "serversWithBackups": [_dump_job(server, job) for server, job in overview.named_jobs],
    }


def dump_templates() -> dict[str, Any]:
    """The templates in use and their language."""
    templates = {kind: _template_out.dump(template) for kind, template in read_templates().items()}
    return {"language": language(), **templates}


def dump_job_settings(visible_server_ids: frozenset[str] | None) -> dict[str, Any]:
    """The settings of every job and server by their keys."""
    stored = job_settings.read_all(visible_server_ids)
    is_blank = visible_server_ids is not None
    entries = {key: dump_entry(job, is_blank=is_blank) for key, job in stored.jobs.items()}
    return entries | {key: dump_defaults(server, is_blank=is_blank) for key, server in stored.servers.items()}


def _dump_job(server: ServerStatus, job: JobStatus) -> dict[str, Any]:
    return _server_out.dump(server) | _job_times_out.dump(job)
