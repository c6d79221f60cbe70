"""Form of self-monitoring: limit of free disk space, and external monitor."""

from datetime import datetime
from typing import Any

from flask_babel import LazyString, lazy_gettext
from flask_babel import gettext as _
from wtforms import BooleanField, PasswordField, SelectField, StringField, URLField
from wtforms.fields.choices import SelectChoice
from wtforms.widgets import NumberInput

from app.audit.log import Actor
from app.core.errors import Refused
from app.database import external_monitor, health_alarms
from app.database.external_monitor import (
    GATUS,
    HEALTHCHECKS,
    LONGEST_PING_URL,
    LONGEST_TOKEN,
    OTHER,
    PING_MINUTES,
    UPTIME_KUMA,
)
from app.database.health_alarms import FREE_SPACE_LIMIT, FREE_SPACE_MIB
from app.scheduling import control
from app.web.setting_fields import GroupForm, with_settings

SERVICE_WORDS: dict[str, str | LazyString] = {
    "": lazy_gettext("Detect from URL"),
    HEALTHCHECKS: "Healthchecks",
    UPTIME_KUMA: "Uptime Kuma",
    GATUS: "Gatus",
    OTHER: lazy_gettext("Other service"),
}


@with_settings(FREE_SPACE_LIMIT)
class SelfMonitoringForm(GroupForm):
    """Limit of free disk space, and the external monitor to ping."""

    is_enabled = BooleanField(
        lazy_gettext("Ping an external monitor"),
        description=lazy_gettext("It notifies you when the pings stop, even if the host of duplistatus is down."),
    )
    url = URLField(
        lazy_gettext("Ping URL"),
        description=lazy_gettext("The ping, push or external endpoint URL shown by the service."),
        render_kw={"maxlength": LONGEST_PING_URL, "placeholder": "https://hc-ping.com/…", "autocomplete": "off"},
    )
    every_minutes = StringField(
        lazy_gettext("Ping interval, in minutes"),
        widget=NumberInput(),
        render_kw={"min": PING_MINUTES[0], "max": PING_MINUTES[1]},
    )
    service = SelectField(
        lazy_gettext("Service"), choices=[SelectChoice(name, label) for name, label in SERVICE_WORDS.items()]
    )
    token = PasswordField(lazy_gettext("Token"), render_kw={"maxlength": LONGEST_TOKEN, "autocomplete": "new-password"})

    def attempt(self, actor: Actor, now: datetime) -> bool | None:
        """Save; return None if the form has errors, else whether a stored token was dropped."""
        mib = self.read_setting(FREE_SPACE_MIB)
        minutes = self.read_number("every_minutes", *PING_MINUTES)
        if self.is_enabled.data and not (self.url.data or "").strip():
            self.add_error("url", _("Enter the URL shown by the service."))
        if mib is None or minutes is None or self.wrong_fields:
            return None
        changes: dict[str, Any] = {
            "is_enabled": bool(self.is_enabled.data),
            "url": self.url.data or "",
            "every_minutes": minutes,
            "service": self.service.data or "",
        }
        if self.token.data:
            changes["token"] = self.token.data
        try:
            is_dropped = external_monitor.save(changes, actor=actor, now=now)
        except Refused as refusal:
            self.add_refusal(refusal)
            return None
        if mib != health_alarms.free_space_limit():
            health_alarms.save_free_space_limit(mib, actor=actor, now=now)
        control.apply_settings()
        return is_dropped


def self_monitoring_form(*, is_sent: bool = False) -> SelfMonitoringForm:
    """Return the form, filled from the request or the stored values."""
    source, stored = {} if is_sent else {"formdata": None}, external_monitor.read()
    form = SelfMonitoringForm(
        **source,
        free_space_mib=str(health_alarms.free_space_limit()),
        is_enabled=stored.is_enabled,
        url=stored.url,
        every_minutes=str(stored.every_minutes),
        service=stored.service,
    )
    form.token.description = (
        _("For Gatus. Leave blank to keep the stored token.") if stored.has_token else _("For Gatus; stored encrypted.")
    )
    return form
