"""API of the settings.

Jobs, email, ntfy, templates, grace period, reminders, free disk space, external monitor.
"""

from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from marshmallow import fields

from app import runtime
from app.accounts import sessions
from app.accounts.models import is_limited
from app.audit.log import save_group
from app.backups import overview
from app.backups import overview as backups_overview
from app.backups.overview import JobStatus, ServerStatus
from app.backups.servers_api import FullServerOut
from app.core.settings import store as settings_store
from app.database import external_monitor, health_alarms
from app.database.health_alarms import FREE_SPACE_LIMIT
from app.notifications import channel_settings, template_settings
from app.notifications.configuration_schemas import (
    AdditionalOut,
    BackupSettingsIn,
    DefaultsQuery,
    EmailIn,
    EmailOut,
    EmailPasswordIn,
    EmailStateOut,
    ExternalMonitorIn,
    ExternalMonitorStateOut,
    FreeSpaceIn,
    FrequencyIn,
    FrequencyOut,
    MailFields,
    NtfyIn,
    NtfyOut,
    NtfySavedOut,
    NtfySettingsIn,
    TemplateOut,
    TemplateSetOut,
    TemplatesIn,
    TemplatesOut,
    ToleranceIn,
    dump_defaults,
    dump_entry,
    dump_mail,
    dump_monitor,
    dump_ntfy,
    named_as_in,
)
from app.notifications.default_templates import default_templates
from app.notifications.messages import language
from app.notifications.template_settings import read_templates
from app.plugin import Access, AnyOf, ApiGroup, described, guarded
from app.schedules import job_settings, overdue_check
from app.schedules import job_settings as schedules_job_settings
from app.schedules.api import IntervalOut, dump_interval
from app.scheduling import control
from app.web.http import (
    CACHE_SET_A,
    DONE,
    MESSAGE,
    NOT_AVAILABLE,
    SOMETIMES,
    IsoInstant,
    Out,
    actor,
    cached_json,
    json_body,
    visible_server_ids,
)

# Everything in one response, for the settings page of the original.


class EntryOrDefaultsOut(AdditionalOut):
    """The settings of a job, or the defaults of a server and of new jobs."""

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
    """URL of a server."""

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
    """The email settings, and whether email is enabled."""

    is_enabled = fields.Boolean(data_key="enabled")


class SettingsOut(Out):
    """All settings; `email` is omitted if not configured, and the defaults of a server are listed with its jobs."""

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


def dump_all(overview: backups_overview.Overview, visible_server_ids: frozenset[str] | None) -> dict[str, Any]:
    """Return all settings of visible servers.

    Destinations are omitted if any server is hidden.
    """
    mail, is_blank = channel_settings.find_email_account(), visible_server_ids is not None
    return {
        "ntfy": dump_ntfy(channel_settings.read_ntfy(), is_blank=is_blank),
        "templates": dump_templates(),
        **({} if mail is None else {"email": dump_mail(mail, is_blank=is_blank) | {"enabled": mail.is_enabled}}),
        "overdue_tolerance": settings_store.get("overdue_tolerance"),
        "backup_settings": dump_job_settings(visible_server_ids),
        "serverAddresses": _address_out.dump(overview.servers, many=True),
        "cronConfig": dump_interval(control.check_interval()),
        "notificationFrequency": settings_store.get("notification_frequency"),
        "serversWithBackups": [_dump_job(server, job) for server, job in overview.named_jobs],
    }


def dump_templates() -> dict[str, Any]:
    """Return the templates in use and their language."""
    templates = {kind: _template_out.dump(template) for kind, template in read_templates().items()}
    return {"language": language(), **templates}


def dump_job_settings(visible_server_ids: frozenset[str] | None) -> dict[str, Any]:
    """Return the settings of every job and server by their keys."""
    stored = schedules_job_settings.read_all(visible_server_ids)
    is_blank = visible_server_ids is not None
    entries = {key: dump_entry(job, is_blank=is_blank) for key, job in stored.jobs.items()}
    return entries | {key: dump_defaults(server, is_blank=is_blank) for key, server in stored.servers.items()}


def _dump_job(server: ServerStatus, job: JobStatus) -> dict[str, Any]:
    return _server_out.dump(server) | _job_times_out.dump(job)


# Views

bp = Blueprint("configuration", __name__, url_prefix="/configuration")


@bp.get("/unified")
@described({200: SettingsOut, 304: None})
def unified() -> ResponseReturnValue:
    """Get all settings.

    Accounts that can see selected servers only get blank channel settings and no additional destinations.
    """
    now, visible = runtime.now(), visible_server_ids()
    return cached_json(
        ("settings", visible), lambda: dump_all(overview.overview(now, visible), visible), headers=CACHE_SET_A
    )


@bp.post("/backup-settings")
@guarded(Access.ADMIN)
@described({200: {**MESSAGE, "unknownKeys": fields.List(fields.String())}}, body=BackupSettingsIn)
def save_backup_settings() -> ResponseReturnValue:
    """Save settings of jobs; omitted fields are kept. Unknown keys are returned."""
    changes = BackupSettingsIn().load(json_body())["settings"]
    # wire: the original replaces the whole map, so jobs that are not sent restart their schedule
    unknown = job_settings.save(changes, resets_inferred_anchors=True, actor=actor(), now=runtime.now())
    return {"message": "Backup settings updated successfully", "unknownKeys": unknown}


@bp.get("/email")
@described({200: EmailStateOut})
def show_email() -> ResponseReturnValue:
    """Get the email settings without the password; `config` is null if not configured.

    Values are blank for accounts that can see selected servers only.
    """
    mail = channel_settings.find_email_account()
    message = "Email can be sent." if mail else "Email is not configured."
    config = dump_mail(mail, is_blank=is_limited(current_user)) if mail else None
    return {"configured": mail is not None, "config": config, "message": message}


@bp.post("/email")
@guarded(Access.ADMIN)
@described({200: DONE}, body=EmailIn)
@named_as_in(EmailIn)
def save_email() -> ResponseReturnValue:
    """Save the email settings; an omitted password is kept."""
    channel_settings.save_email_account(EmailIn().load(json_body()), actor=actor(), now=runtime.now())
    return {"success": True, "message": "SMTP configuration saved successfully"}


@bp.delete("/email")
@guarded(Access.ADMIN)
@described({200: DONE}, errors=(404,))
def delete_email() -> ResponseReturnValue:
    """Delete the email settings. 404 if there are none."""
    channel_settings.remove_email_account(actor=actor(), now=runtime.now())
    return {"success": True, "message": "SMTP configuration deleted successfully"}


@bp.get("/email/password")
@described({200: {"csrfToken": fields.String()}})
def show_email_token() -> ResponseReturnValue:
    """Get a CSRF token for changing the email password; never the password."""
    return {"csrfToken": sessions.current().csrf_token()}


@bp.patch("/email/password")
@guarded(Access.ADMIN)
@described({200: MESSAGE}, body=EmailPasswordIn)
@named_as_in(MailFields)
def save_email_password() -> ResponseReturnValue:
    """Save the email password; "" for none."""
    change = EmailPasswordIn().load(json_body())
    account = change["config"]
    extras = {name: account[name] for name in ("sender_name", "from_address", "requires_login") if name in account}
    channel_settings.store_email_password(change["password"], account, extras, actor=actor(), now=runtime.now())
    return {"message": "Email password updated successfully"}


@bp.get("/notifications")
@described({200: FrequencyOut})
def show_frequency() -> ResponseReturnValue:
    """Get how often an overdue alert is repeated."""
    return {"value": settings_store.get("notification_frequency")}


@bp.post("/notifications")
@guarded(Access.ADMIN)
@described({200: AnyOf(FrequencyOut, NtfySavedOut)}, body=AnyOf(FrequencyIn, NtfySettingsIn))
def save_notifications() -> ResponseReturnValue:
    """Save the repeat interval (body with `value`) or the ntfy destination (body with `ntfy`)."""
    body = json_body()
    return save_frequency(body) if "value" in body else save_ntfy(body)


def save_frequency(body: dict[str, object]) -> ResponseReturnValue:
    """Save how often an overdue notification is repeated."""
    value = FrequencyIn().load(body)["frequency"]
    overdue_check.save_frequency(value, actor=actor(), now=runtime.now())
    return {"value": value}


@named_as_in(NtfyIn)
def save_ntfy(body: dict[str, object]) -> ResponseReturnValue:
    """Save the ntfy destination."""
    stored = channel_settings.save_ntfy(NtfySettingsIn().load(body)["ntfy"], actor=actor(), now=runtime.now())
    return {"message": "NTFY config updated successfully", "ntfy": dump_ntfy(stored)}


@bp.get("/ntfy")
@described({200: {"ntfy": fields.Nested(NtfyOut)}})
def show_ntfy() -> ResponseReturnValue:
    """Get the ntfy destination with a masked token; blank for accounts that can see selected servers only."""
    return {"ntfy": dump_ntfy(channel_settings.read_ntfy(), is_blank=is_limited(current_user))}


@bp.get("/overdue-tolerance")
@described({200: {"overdue_tolerance": fields.String()}})
def show_tolerance() -> ResponseReturnValue:
    """Get the grace period."""
    return {"overdue_tolerance": settings_store.get("overdue_tolerance")}


@bp.post("/overdue-tolerance")
@guarded(Access.ADMIN)
@described({200: MESSAGE}, body=ToleranceIn)
def save_tolerance() -> ResponseReturnValue:
    """Save the grace period and update the schedule of every job."""
    tolerance = ToleranceIn().load(json_body())["tolerance"]
    overdue_check.save_tolerance(tolerance, actor=actor(), now=runtime.now())
    return {"message": "Overdue tolerance updated successfully"}


@bp.post("/templates")
@guarded(Access.ADMIN)
@described({200: MESSAGE}, body=TemplatesIn)
def save_templates() -> ResponseReturnValue:
    """Save templates, and the language if given."""
    templates = TemplatesIn().load(json_body())["templates"]
    language = templates.pop("language", None)
    template_settings.save_templates(templates, language, actor=actor(), now=runtime.now())
    return {"message": "Notification templates updated successfully"}


@bp.get("/templates/defaults")
@guarded(Access.PUBLIC)
@described({200: TemplateSetOut}, query=DefaultsQuery)
def show_default_templates() -> ResponseReturnValue:
    """Get the default templates in a language."""
    language = DefaultsQuery().load(request.args)["language"]
    return {kind: TemplateOut().dump(template) for kind, template in default_templates(language).items()}


@bp.get("/free-space")
@guarded(Access.ADMIN)
@described({200: FreeSpaceIn})
def show_free_space() -> ResponseReturnValue:
    """Get the minimum free disk space before an alert is sent."""
    return {"freeSpaceMiB": health_alarms.free_space_limit()}


@bp.put("/free-space")
@guarded(Access.ADMIN)
@described({200: FreeSpaceIn}, body=FreeSpaceIn)
def save_free_space() -> ResponseReturnValue:
    """Set the minimum free disk space before an alert is sent; 0 means never."""
    save_group(FREE_SPACE_LIMIT, FreeSpaceIn().load(json_body()), actor=actor(), now=runtime.now())
    return show_free_space()


@bp.get("/external-monitor")
@guarded(Access.ADMIN)
@described({200: ExternalMonitorStateOut})
def show_monitor() -> ResponseReturnValue:
    """Get the external monitor, without its token, and the result of the last ping."""
    return dump_monitor(external_monitor.read(), external_monitor.last_ping())


@bp.put("/external-monitor")
@guarded(Access.ADMIN)
@described({200: ExternalMonitorStateOut}, body=ExternalMonitorIn)
def save_monitor() -> ResponseReturnValue:
    """Change settings of the external monitor; omitted fields are kept."""
    external_monitor.save(ExternalMonitorIn().load(json_body()), actor=actor(), now=runtime.now())
    control.apply_settings()
    return show_monitor()


@bp.post("/external-monitor/ping")
@guarded(Access.ADMIN)
@described({200: ExternalMonitorStateOut}, errors=(400,))
def ping_monitor() -> ResponseReturnValue:
    """Send a ping now, even if pings are disabled; `lastPing` has the result. 400 without a URL."""
    external_monitor.ping_now(runtime.now())
    return show_monitor()


group = ApiGroup(name="configuration", blueprint=bp, summary="Settings of jobs, channels, templates and grace period")
