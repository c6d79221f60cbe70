"""Quiet hours of channels, and the notifications that do not follow from the status of a run: two small forms."""

import re
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import BooleanField, StringField
from wtforms.widgets import NumberInput, TimeInput

from app.domain.quiet_hours import QuietHours
from app.models import Channel
from app.pages.settings.forms import SettingsForm
from app.services import alarms, insight, quiet_times
from app.services.alarms import AlarmLimits
from app.services.audit import Actor
from app.services.declarations import LONGEST_HOURS

TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class QuietHoursForm(SettingsForm):
    """From when until when messages of a channel wait; with both empty they never do."""

    quiet_from = StringField(lazy_gettext("From"), widget=TimeInput())
    quiet_until = StringField(lazy_gettext("Until"), widget=TimeInput())
    lets_trouble_pass = BooleanField(
        lazy_gettext("Let trouble through"),
        description=lazy_gettext("Errors, fatal errors and what is overdue do not wait."),
    )

    def attempt(self, row: Channel, actor: Actor, now: datetime) -> bool:
        """Store the hours; False when the form tells why not."""
        begin, end = ((field.data or "").strip()[:5] for field in (self.quiet_from, self.quiet_until))
        for field, text in ((self.quiet_from, begin), (self.quiet_until, end)):
            if (begin or end) and not TIME_OF_DAY.fullmatch(text):
                self.refuse(field.name, _("Enter a time of day, or leave both empty."))
        if begin and begin == end:
            self.refuse("quiet_until", _("Choose another time than the one it begins at."))
        if self.wrong_fields:
            return False
        quiet_times.set_quiet_hours(
            row.id,
            QuietHours.read(begin, end),
            lets_trouble_pass=bool(self.lets_trouble_pass.data),
            actor=actor,
            now=now,
        )
        return True


class AlarmLimitsForm(SettingsForm):
    """After how many hours people are told that nothing comes in, and that nothing gets out; and two switches."""

    silence_hours = StringField(
        lazy_gettext("Hours without any report"),
        description=lazy_gettext("Told when all machines are silent for so long and a job is late. 0 is never."),
        widget=NumberInput(),
        render_kw={"min": 0, "max": LONGEST_HOURS},
    )
    channel_failure_hours = StringField(
        lazy_gettext("Hours of a channel that fails"),
        description=lazy_gettext("Then administrators are told through another channel. 0 is never."),
        widget=NumberInput(),
        render_kw={"min": 0, "max": LONGEST_HOURS},
    )

    notifies_full = BooleanField(
        lazy_gettext("Notify about full destinations"),
        description=lazy_gettext("Once when a destination will be full in less than 30 days, and once in less than 7."),
    )
    notifies_unusual = BooleanField(
        lazy_gettext("Notify about unusual runs"),
        description=lazy_gettext("When a figure of a run differs much from earlier runs, such as the modified files."),
    )

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Store the limits; False when the form tells why not."""
        hours: dict[str, int] = {}
        for field in (self.silence_hours, self.channel_failure_hours):
            text = (field.data or "").strip()
            is_number = text.isascii() and text.isdecimal() and len(text) < 6
            if not is_number or int(text) > LONGEST_HOURS:
                self.refuse(field.name, _("A whole number from %(least)s to %(most)s.", least=0, most=LONGEST_HOURS))
            else:
                hours[field.name] = int(text)
        if self.wrong_fields:
            return False
        chosen = AlarmLimits(**hours, notifies_full=bool(self.notifies_full.data))
        alarms.save_limits(chosen, actor=actor, now=now)
        if insight.limits().tells != bool(self.notifies_unusual.data):
            insight.change_limits({"tells": bool(self.notifies_unusual.data)}, actor=actor, now=now)
        return True


def quiet_hours_form(row: Channel, *, is_sent: bool = False) -> QuietHoursForm:
    """The form of a channel's quiet hours, filled from the request or from what is stored."""
    source = {} if is_sent else {"formdata": None}
    stored = {"quiet_from": row.quiet_from or "", "quiet_until": row.quiet_until or ""}
    return QuietHoursForm(**source, **stored, lets_trouble_pass=row.quiet_lets_trouble_pass)


def alarm_limits_form(*, is_sent: bool = False) -> AlarmLimitsForm:
    """The form of the limits, filled from the request or from what is stored."""
    source, limits = {} if is_sent else {"formdata": None}, alarms.limits()
    return AlarmLimitsForm(
        **source,
        silence_hours=str(limits.silence_hours),
        channel_failure_hours=str(limits.channel_failure_hours),
        notifies_full=limits.notifies_full,
        notifies_unusual=insight.limits().tells,
    )
