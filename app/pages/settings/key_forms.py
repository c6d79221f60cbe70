"""Forms of the tab of API keys."""

from datetime import datetime
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import DateField, RadioField, StringField
from wtforms.fields.choices import SelectChoice

from app.contracts import AppError
from app.pages.settings.forms import SettingsForm
from app.services import keys
from app.services.audit import Actor
from app.services.keys import LONGEST_NAME, NewKey

SCOPES = {
    "upload": lazy_gettext("Send reports"),
    "read": lazy_gettext("Read summaries and metrics"),
    "admin": lazy_gettext("Do all that an administrator may"),
}


class KeyForm(SettingsForm):
    """A key to make."""

    name = StringField(
        lazy_gettext("Name"),
        description=lazy_gettext("Tells who uses it: a machine, a script, a dashboard."),
        render_kw={"required": True, "maxlength": LONGEST_NAME, "autocomplete": "off"},
    )
    scope = RadioField(
        lazy_gettext("What it is good for"),
        choices=[SelectChoice(name, label) for name, label in SCOPES.items()],
        default="upload",
    )
    last_valid_day = DateField(
        lazy_gettext("Last day"), description=lazy_gettext("It ends with this day. Without one it is good until ended.")
    )

    def attempt(self, actor: Actor, zone: ZoneInfo, now: datetime) -> NewKey | None:
        """Make the key; None when the form tells why not."""
        name, day = (self.name.data or "").strip(), self.last_valid_day
        if not name:
            self.refuse("name", _("Give the key a name that tells who uses it."))
        if day.data is None and any(day.raw_data or ()):
            self.refuse("last_valid_day", _("This is no day of the calendar."))
        if self.wrong_fields:
            return None
        try:
            expires_at = None if day.data is None else keys.end_of(day.data, zone, now)
            return keys.create_key(name, self.scope.data or "", expires_at=expires_at, now=now, actor=actor)
        except AppError as refusal:
            has_passed = refusal.message.endswith("this day has passed")
            if has_passed:
                self.refuse("last_valid_day", _("This day has passed."))
            else:
                self.take(refusal)
            return None
