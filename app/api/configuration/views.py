"""Views of the configuration group."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from marshmallow import fields

from app.api.answers import CACHE_SET_A, cached_json
from app.api.client import actor, json_body, visible_server_ids
from app.api.configuration.overview import (
    SettingsOut,
    dump_all,
)
from app.api.configuration.schemas import (
    BackupSettingsIn,
    DefaultsQuery,
    EmailIn,
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
    ToleranceIn,
    dump_mail,
    dump_monitor,
    dump_ntfy,
    named_as_in,
)
from app.api.wire import (
    DONE,
    MESSAGE,
)
from app.contracts import (
    AnyOf,
    Guard,
    described,
    guarded,
)
from app.domain.default_templates import default_templates
from app.services import (
    clock,
    configuration,
    external_monitor,
    health_alarms,
    history,
    job_settings,
    mail_settings,
    notification_settings,
    ntfy_settings,
    sessions,
    task_schedule,
)
from app.services.visibility import is_limited

bp = Blueprint("configuration", __name__, url_prefix="/configuration")


@bp.get("/unified")
@described({200: SettingsOut, 304: None})
def unified() -> ResponseReturnValue:
    """Every setting at once.

    Accounts that may see chosen servers only get blank values for the channels, and no additional destinations.
    """
    now, visible = clock.now(), visible_server_ids()
    return cached_json(
        ("settings", visible), lambda: dump_all(history.overview(now, visible), visible), headers=CACHE_SET_A
    )


@bp.post("/backup-settings")
@guarded(Guard.ADMIN)
@described({200: {**MESSAGE, "unknownKeys": fields.List(fields.String())}}, body=BackupSettingsIn)
def save_backup_settings() -> ResponseReturnValue:
    """Save the settings of some jobs; what is not named stays. Keys that no job or server has are told back."""
    changes = BackupSettingsIn().load(json_body())["settings"]
    # wire: the reference replaces the whole map, so that jobs which are not sent begin their plan anew
    unknown = job_settings.save(changes, guesses_others_again=True, actor=actor(), now=clock.now())
    return {"message": "Backup settings updated successfully", "unknownKeys": unknown}


@bp.get("/email")
@described({200: EmailStateOut})
def show_email() -> ResponseReturnValue:
    """The mail account without its password; `config` is null where none can be used.

    Its values are blank for accounts that may see chosen servers only.
    """
    mail = mail_settings.find()
    message = "Mail can be sent." if mail else "No mail server is set up yet."
    config = dump_mail(mail, is_blank=is_limited(current_user)) if mail else None
    return {"configured": mail is not None, "config": config, "message": message}


@bp.post("/email")
@guarded(Guard.ADMIN)
@described({200: DONE}, body=EmailIn)
@named_as_in(EmailIn)
def save_email() -> ResponseReturnValue:
    """Save the mail account; an absent password is kept."""
    mail_settings.save(EmailIn().load(json_body()), actor=actor(), now=clock.now())
    return {"success": True, "message": "SMTP configuration saved successfully"}


@bp.delete("/email")
@guarded(Guard.ADMIN)
@described({200: DONE}, errors=(404,))
def delete_email() -> ResponseReturnValue:
    """Forget the mail account. 404 when there is none."""
    mail_settings.remove(actor=actor(), now=clock.now())
    return {"success": True, "message": "SMTP configuration deleted successfully"}


@bp.get("/email/password")
@described({200: {"csrfToken": fields.String()}})
def show_email_token() -> ResponseReturnValue:
    """A CSRF token for changing the mail password; never the password."""
    return {"csrfToken": sessions.current().csrf_token()}


@bp.patch("/email/password")
@guarded(Guard.ADMIN)
@described({200: MESSAGE}, body=EmailPasswordIn)
@named_as_in(MailFields)
def save_email_password() -> ResponseReturnValue:
    """Save another mail password, "" for none."""
    change = EmailPasswordIn().load(json_body())
    account = change["config"]
    extras = {name: account[name] for name in ("sender_name", "from_address", "requires_login") if name in account}
    mail_settings.save_password(change["password"], account, extras, actor=actor(), now=clock.now())
    return {"message": "Email password updated successfully"}


@bp.get("/notifications")
@described({200: FrequencyOut})
def show_frequency() -> ResponseReturnValue:
    """How often the same lateness is told."""
    return {"value": configuration.get("notification_frequency")}


@bp.post("/notifications")
@guarded(Guard.ADMIN)
@described({200: AnyOf(FrequencyOut, NtfySavedOut)}, body=AnyOf(FrequencyIn, NtfySettingsIn))
def save_notifications() -> ResponseReturnValue:
    """Save the frequency (body with `value`) or the ntfy destination (body with `ntfy`)."""
    body = json_body()
    return save_frequency(body) if "value" in body else save_ntfy(body)


def save_frequency(body: dict[str, object]) -> ResponseReturnValue:
    """Save how often the same lateness is told."""
    value = FrequencyIn().load(body)["value"]
    notification_settings.save_frequency(value, actor=actor(), now=clock.now())
    return {"value": value}


@named_as_in(NtfyIn)
def save_ntfy(body: dict[str, object]) -> ResponseReturnValue:
    """Save the ntfy destination."""
    stored = ntfy_settings.save(NtfySettingsIn().load(body)["ntfy"], actor=actor(), now=clock.now())
    return {"message": "NTFY config updated successfully", "ntfy": dump_ntfy(stored)}


@bp.get("/ntfy")
@described({200: {"ntfy": fields.Nested(NtfyOut)}})
def show_ntfy() -> ResponseReturnValue:
    """The ntfy destination with a masked token; blank for accounts that may see chosen servers only."""
    return {"ntfy": dump_ntfy(ntfy_settings.read(), is_blank=is_limited(current_user))}


@bp.get("/overdue-tolerance")
@described({200: {"overdue_tolerance": fields.String()}})
def show_tolerance() -> ResponseReturnValue:
    """How late a run may be."""
    return {"overdue_tolerance": configuration.get("overdue_tolerance")}


@bp.post("/overdue-tolerance")
@guarded(Guard.ADMIN)
@described({200: MESSAGE}, body=ToleranceIn)
def save_tolerance() -> ResponseReturnValue:
    """Save how late a run may be, and plan every job by it."""
    tolerance = ToleranceIn().load(json_body())["tolerance"]
    notification_settings.save_tolerance(tolerance, actor=actor(), now=clock.now())
    return {"message": "Overdue tolerance updated successfully"}


@bp.post("/templates")
@guarded(Guard.ADMIN)
@described({200: MESSAGE}, body=TemplatesIn)
def save_templates() -> ResponseReturnValue:
    """Save some templates, and the language if it is given."""
    templates = TemplatesIn().load(json_body())["templates"]
    language = templates.pop("language", None)
    notification_settings.save_templates(templates, language, actor=actor(), now=clock.now())
    return {"message": "Notification templates updated successfully"}


@bp.get("/templates/defaults")
@guarded(Guard.OPEN)
@described({200: TemplateSetOut}, query=DefaultsQuery)
def show_default_templates() -> ResponseReturnValue:
    """The built-in templates in one language."""
    language = DefaultsQuery().load(request.args)["language"]
    return {kind: TemplateOut().dump(template) for kind, template in default_templates(language).items()}


@bp.get("/free-space")
@guarded(Guard.ADMIN)
@described({200: FreeSpaceIn})
def show_free_space() -> ResponseReturnValue:
    """The free disk space below which people are notified."""
    return {"freeSpaceMiB": health_alarms.free_space_limit()}


@bp.put("/free-space")
@guarded(Guard.ADMIN)
@described({200: FreeSpaceIn}, body=FreeSpaceIn)
def save_free_space() -> ResponseReturnValue:
    """Choose the free disk space below which people are notified; 0 is never."""
    health_alarms.save_free_space_limit(**FreeSpaceIn().load(json_body()), actor=actor(), now=clock.now())
    return show_free_space()


@bp.get("/external-monitor")
@guarded(Guard.ADMIN)
@described({200: ExternalMonitorStateOut})
def show_monitor() -> ResponseReturnValue:
    """The service that is pinged while everything works, without its token, and how the newest ping went."""
    return dump_monitor(external_monitor.read(), external_monitor.last_ping())


@bp.put("/external-monitor")
@guarded(Guard.ADMIN)
@described({200: ExternalMonitorStateOut}, body=ExternalMonitorIn)
def save_monitor() -> ResponseReturnValue:
    """Change what is named of the external monitor."""
    external_monitor.save(ExternalMonitorIn().load(json_body()), actor=actor(), now=clock.now())
    task_schedule.take_over()
    return show_monitor()


@bp.post("/external-monitor/ping")
@guarded(Guard.ADMIN)
@described({200: ExternalMonitorStateOut}, errors=(400,))
def ping_monitor() -> ResponseReturnValue:
    """Send a ping now, also while pings are off; `lastPing` says how it went. 400 without an address."""
    external_monitor.ping_now(clock.now())
    return show_monitor()
