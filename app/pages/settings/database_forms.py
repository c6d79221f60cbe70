"""Forms of database maintenance: when copies are made, and how long things are kept."""

from datetime import datetime
from typing import Any, Self

from flask_babel import gettext as _
from flask_babel import lazy_gettext, lazy_pgettext
from wtforms import IntegerField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.widgets import NumberInput, TimeInput

from app.contracts import AppError
from app.domain.backup_times import DAILY, MOST_KEPT, OFF, WEEKLY, BackupSchedule
from app.pages.settings.forms import SettingsForm
from app.services import local_backups, retention
from app.services.audit import Actor
from app.services.retention import BOUNDS, NAMES, Rules

WEEKDAYS = (
    lazy_gettext("Monday"),
    lazy_gettext("Tuesday"),
    lazy_gettext("Wednesday"),
    lazy_gettext("Thursday"),
    lazy_gettext("Friday"),
    lazy_gettext("Saturday"),
    lazy_gettext("Sunday"),
)


def _bounded(label: Any, description: Any, least: int, most: int) -> IntegerField:
    attributes = {"required": True, "min": least, "max": most, "inputmode": "numeric"}
    return IntegerField(label, description=description, widget=NumberInput(), render_kw=attributes)


class ScheduleForm(SettingsForm):
    """When copies of the database are made."""

    every = SelectField(
        lazy_gettext("Make a backup"),
        choices=[
            SelectChoice(OFF, lazy_gettext("Never by itself")),
            SelectChoice(DAILY, lazy_gettext("Every day")),
            SelectChoice(WEEKLY, lazy_gettext("Every week")),
        ],
    )
    weekday = SelectField(
        lazy_pgettext("weekday", "On"),
        choices=[SelectChoice(number, day) for number, day in enumerate(WEEKDAYS)],
        coerce=int,
    )
    at = StringField(lazy_gettext("At"), widget=TimeInput(), render_kw={"required": True})
    keep = _bounded(lazy_gettext("Keep"), lazy_gettext("The newest so many; older ones are deleted."), 1, MOST_KEPT)

    @classmethod
    def of(cls, schedule: BackupSchedule) -> Self:
        """The form as it is stored."""
        return cls(formdata=None, data=schedule.as_mapping())

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Store it; False when the form tells why not."""
        if not self.validate():
            return False
        wanted = BackupSchedule(self.every.data, self.weekday.data, self.at.data or "", self.keep.data or 0)
        try:
            local_backups.save_schedule(wanted, actor=actor, now=now)
        except AppError as refusal:
            self.refuse(refusal.extra.get("field", ""), refusal.message)
            return False
        return True


class RulesForm(SettingsForm):
    """How long things are kept."""

    run_days = _bounded(
        lazy_gettext("Runs: days"), lazy_gettext("Older runs are deleted. 0 keeps them for ever."), *BOUNDS["run_days"]
    )
    run_count = _bounded(
        lazy_gettext("Runs: number for each job"),
        lazy_gettext("A job keeps so many of its newest runs. 0 keeps them all."),
        *BOUNDS["run_count"],
    )
    delivery_days = _bounded(
        lazy_gettext("Past messages: days"),
        lazy_gettext("What was delivered, or given up."),
        *BOUNDS["delivery_days"],
    )
    log_days = _bounded(
        lazy_gettext("Application logs: days"),
        lazy_gettext("Five files of 5 MB are kept at most. 0 keeps them however old they are."),
        *BOUNDS["log_days"],
    )

    @classmethod
    def of(cls, rules: Rules) -> Self:
        """The form as it is stored."""
        return cls(formdata=None, data={name: getattr(rules, name) for name in NAMES})

    def rules(self) -> Rules | None:
        """What was entered; None when the form tells what is wrong with it."""
        is_fine = self.validate()
        for name, (least, most) in BOUNDS.items():
            if self[name].data is not None and not least <= self[name].data <= most:
                bounds = {"least": least, "most": most}
                self.refuse(name, _("A whole number from %(least)s to %(most)s.", **bounds))
        if not is_fine or self.wrong_fields:
            return None
        return Rules(**{name: self[name].data for name in NAMES})

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Store them; False when the form tells why not."""
        wanted = self.rules()
        if wanted is None:
            return False
        retention.save_rules(wanted, actor=actor, now=now)
        return True
