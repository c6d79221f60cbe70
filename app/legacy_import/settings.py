"""Import settings: grace period, repeat interval, retention, templates and channels.

An old value replaces our default, but never a value that was changed here.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.accounts.models import ALL_SERVERS
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.store import StoredSetting
from app.database import secrets
from app.database.retention import AUDIT_RETENTION
from app.legacy_import.source import ImportReport, OldSecrets, read_mapping
from app.legacy_import.stored_forms import as_utc_text, changed_template, is_crontab, read_time
from app.notifications import channels
from app.notifications.channels import EMAIL, NTFY
from app.notifications.default_templates import default_templates
from app.notifications.messages import language_or_default
from app.notifications.templates import PLACEHOLDERS
from app.schedules import overdue_check
from app.schedules.overdue import FREQUENCIES, TOLERANCES

KIND = "settings"
TASKS = ("overdue-backup-check", "audit-log-cleanup")
CONNECTION_TYPES = ("plain", "starttls", "ssl")


def import_settings(settings: Mapping[str, str], report: ImportReport, *, now: datetime) -> None:
    """Import grace period, repeat interval, check times, retention, templates, last check."""
    with writing() as session:
        chosen_here = set(session.scalars(select(StoredSetting.key)))
        tolerance = settings_store.get("overdue_tolerance")
        for name, value in _readable(settings, report).items():
            count = report.count(KIND)
            count.found += 1
            if settings_store.get(name) == value:
                count.known += 1
            elif name in chosen_here:
                report.leave(KIND, Refused("setting_kept", name=name))
            else:
                try:
                    settings_store.save(name, value, now=now)
                except Refused as error:
                    report.leave(KIND, Refused("setting_skipped", name=name, reason=error))
                    continue
                session.flush()
                count.taken += 1
        if settings_store.get("overdue_tolerance") != tolerance:
            overdue_check.recalculate_all(ALL_SERVERS)


def import_channels(
    settings: Mapping[str, str], old_secrets: OldSecrets, report: ImportReport, *, now: datetime
) -> None:
    """Import the ntfy topic and the email account, with secrets encrypted by our key."""
    _import_ntfy(settings, report, now)
    _import_mail(read_mapping(settings.get("smtp_config")), old_secrets, report, now)


def _readable(settings: Mapping[str, str], report: ImportReport) -> dict[str, Any]:
    """Return the valid old settings by our names; invalid ones keep the default."""
    found: dict[str, Any] = {}
    candidates = {
        "overdue_tolerance": _one_of(settings.get("overdue_tolerance"), TOLERANCES),
        "notification_frequency": _one_of(settings.get("notification_frequency"), FREQUENCIES),
        "audit_retention_days": _retention(settings.get("audit_retention_days")),
    }
    for name, value in candidates.items():
        if value is not None:
            found[name] = value
        elif settings.get(name):
            report.remark(Refused("setting_value_unknown", name=name))
    checked_at = read_time(settings.get("last_overdue_check"))
    if checked_at is not None:
        found["last_overdue_check_at"] = as_utc_text(checked_at)
    tasks = _tasks(read_mapping(settings.get("cron_service")).get("tasks"), report)
    if tasks:
        found["cron_tasks"] = tasks
    templates = _templates(settings)
    if templates:
        found["notification_templates"] = templates
    return found


def _one_of(text: str | None, known: Mapping[str, object]) -> str | None:
    return text.strip() if text is not None and text.strip() in known else None


def _retention(text: str | None) -> int | None:
    digits = (text or "").strip()
    days = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 0
    return days if AUDIT_RETENTION.accepts(days) else None


def _tasks(stored: object, report: ImportReport) -> dict[str, Any]:
    """Import when scheduled tasks ran; the ports of the old service are ignored."""
    found = {}
    for name in TASKS:
        task = stored.get(name) if isinstance(stored, dict) else None
        if not isinstance(task, dict):
            continue
        if is_crontab(task.get("cronExpression")):
            found[name] = {"cronExpression": task["cronExpression"], "enabled": task.get("enabled") is not False}
        else:
            report.remark(Refused("task_schedule_skipped", name=name))
    return found


def _templates(settings: Mapping[str, str]) -> dict[str, Any]:
    """Import the language and customized templates.

    Built-in ones are replaced by ours.
    """
    stored = read_mapping(settings.get("notification_templates"))
    stored = stored or _legacy(settings, "templates")
    language = language_or_default(stored.get("language"))
    defaults = default_templates(language)
    found: dict[str, Any] = {}
    for kind in PLACEHOLDERS:
        template = changed_template(kind, stored.get(kind), defaults[kind])
        if template is not None:
            found[kind] = template
    if stored.get("language") == language:
        found["language"] = language
    return found


def _legacy(settings: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return a part of the single setting in which schema 3.0 and older stored everything."""
    part = read_mapping(settings.get("notifications")).get(name)
    return part if isinstance(part, dict) else {}


def _import_ntfy(settings: Mapping[str, str], report: ImportReport, now: datetime) -> None:
    stored = read_mapping(settings.get("ntfy_config")) or _legacy(settings, "ntfy")
    values = {"url": stored.get("url"), "topic": stored.get("topic"), "token": stored.get("accessToken") or ""}
    if not values["topic"] or not isinstance(values["topic"], str):
        return
    values["url"] = values["url"] or channels.DEFAULT_NTFY_URL
    row = channels.standard(NTFY)
    is_untouched = row is None or row.updated_at == row.created_at
    _save_channel(NTFY, values, is_untouched, report, now)


def _import_mail(stored: Mapping[str, Any], old_secrets: OldSecrets, report: ImportReport, now: datetime) -> None:
    if not stored.get("host"):
        return
    values = {
        "host": stored["host"],
        "port": stored.get("port"),
        "connection_type": _connection_type(stored),
        "requires_login": stored.get("requireAuth") is not False,
        "mailto": stored.get("mailto"),
        "sender_name": stored.get("senderName") or "",
        "from_address": stored.get("fromAddress") or "",
        "username": old_secrets.open(stored.get("username"), Refused("username_of_email")),
        "password": old_secrets.open(stored.get("password"), Refused("password_of_email")),
    }
    _save_channel(EMAIL, values, channels.standard(EMAIL) is None, report, now)


def _connection_type(stored: Mapping[str, Any]) -> str:
    if stored.get("connectionType") in CONNECTION_TYPES:
        return str(stored["connectionType"])
    return "ssl" if stored.get("secure") is True else "starttls"


def _save_channel(kind: str, values: Mapping[str, Any], is_ours: bool, report: ImportReport, now: datetime) -> None:
    """Store a destination, unless one is configured here."""
    count = report.count("channels")
    count.found += 1
    if _holds(kind, values):
        count.known += 1
    elif not is_ours:
        report.leave("channels", Refused("channel_kept", kind=kind))
    else:
        try:
            channels.save_settings(kind, kind, values, now=now)
            count.taken += 1
        except Refused as error:
            db.session.rollback()
            report.leave("channels", Refused("channel_skipped", kind=kind, reason=error))


def _holds(kind: str, values: Mapping[str, Any]) -> bool:
    row = channels.standard(kind)
    try:
        stored = {} if row is None else channels.decrypt_settings(kind, row.settings)
    except (*channels.UNREADABLE, secrets.KeyUnusable):
        return False
    return all(str(stored.get(name) or "") == str(value or "") for name, value in values.items())
