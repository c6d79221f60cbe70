"""Form of self-monitoring: limit of free disk space, and external monitor."""

from dataclasses import asdict
from datetime import datetime

from flask_babel import LazyString, lazy_gettext
from flask_babel import gettext as _
from wtforms import PasswordField, URLField

from app.audit.log import Actor
from app.core.errors import Refused
from app.database import external_monitor, health_alarms
from app.database.external_monitor import (
    EVERY_MINUTES,
    GATUS,
    HEALTHCHECKS,
    IS_ENABLED,
    LONGEST_TOKEN,
    OTHER,
    PING_URL,
    SERVICE,
    TOKEN,
    UPTIME_KUMA,
)
from app.database.health_alarms import FREE_SPACE_MIB
from app.scheduling import control
from app.web.forms import GroupForm, form_field, form_values, with_settings

SERVICE_WORDS: dict[str, str | LazyString] = {
    "": lazy_gettext("Detect from URL"),
    HEALTHCHECKS: "Healthchecks",
    UPTIME_KUMA: "Uptime Kuma",
    GATUS: "Gatus",
    OTHER: lazy_gettext("Other service"),
}


@with_settings((FREE_SPACE_MIB, IS_ENABLED, PING_URL, EVERY_MINUTES, SERVICE))
class SelfMonitoringForm(GroupForm):
    """Limit of free disk space, and the external monitor to ping."""

    url = form_field(PING_URL, kind=URLField, render_kw={"placeholder": "https://hc-ping.com/…", "autocomplete": "off"})
    service = form_field(SERVICE, words=SERVICE_WORDS)
    token = form_field(
        TOKEN, kind=PasswordField, render_kw={"maxlength": LONGEST_TOKEN, "autocomplete": "new-password"}
    )

    def attempt(self, actor: Actor, now: datetime) -> bool | None:
        """Save; return None if the form has errors, else whether a stored token was dropped."""
        changes = self.read_settings()
        mib = changes.pop(FREE_SPACE_MIB.key)
        if changes["is_enabled"] and changes["url"] == "":
            self.add_error("url", _("Enter the URL shown by the service."))
        if self.wrong_fields:
            return None
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
    values = asdict(stored) | {FREE_SPACE_MIB.key: health_alarms.free_space_limit()}
    form = SelfMonitoringForm(**source, **form_values(SelfMonitoringForm.settings, values))
    form.token.description = (
        _("For Gatus. Leave blank to keep the stored token.") if stored.has_token else _("For Gatus; stored encrypted.")
    )
    return form
