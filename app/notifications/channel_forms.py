"""Forms of notification channels, generated from plugin schemas, and of alerts."""

import enum
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext
from marshmallow import Schema, fields, missing, validate
from wtforms import BooleanField, EmailField, Field, PasswordField, SelectField, StringField, URLField
from wtforms.fields.choices import SelectChoice
from wtforms.widgets import NumberInput, TextArea, TimeInput

from app.audit.log import Actor, read_group, save_group
from app.core.errors import Refused
from app.insight import insight
from app.insight.anomalies import TELLS
from app.notifications import channels
from app.notifications.channel_settings import NAME_LENGTH
from app.notifications.channels import QuietHours, SecretForOtherServer
from app.notifications.models import Channel
from app.notifications.watchdogs import ALARM_LIMITS
from app.plugin import NotificationChannel, validate_http_url
from app.web.errors import refusal_text
from app.web.forms import GroupForm, PageForm, SettingsForm, form_field, form_values, with_settings
from app.web.plugin_texts import plugin_text

PREFIX, REMOVE = "setting_", "remove_"
KEEP_NOTE = lazy_gettext("A value is stored. Leave blank to keep it.")
LOST_NOTE = lazy_gettext("The stored value was encrypted with another key file and cannot be read. Enter it again.")
NEEDED = lazy_gettext("This field is required.")
ELSEWHERE = lazy_gettext("The stored value belongs to another server. Enter it again.")
LINES_NOTE = lazy_gettext("One per line.")
NUMBERS = (fields.Integer, fields.Float, fields.Decimal)


class ChannelForm(PageForm):
    """Fields that every channel has; those of its kind are added by `form_for`.

    `problem` holds an error that belongs to no field.
    """

    name = StringField(
        lazy_gettext("Name"),
        description=lazy_gettext("Shown in lists and the audit log. Cannot be changed later."),
        render_kw={"required": True, "maxlength": NAME_LENGTH, "autocomplete": "off"},
    )
    is_enabled = BooleanField(
        lazy_gettext("Enabled"), description=lazy_gettext("Send notifications through this channel."), default=True
    )

    kind: type[NotificationChannel]
    schema: Schema
    problem = ""

    @property
    def settings(self) -> list[Field]:
        """Return the fields of the plugin, in the order of its schema."""
        return [self[PREFIX + name] for name in self.schema.fields if PREFIX + name in self]

    @property
    def wrong_fields(self) -> list[Field]:
        """Return the fields with errors, in the order of the page."""
        return [field for field in (self.name, *self.settings) if field.errors]

    def label_of(self, name: str) -> str:
        """Return the label of a setting of the plugin."""
        return str(self[PREFIX + name].label.text)

    def remover(self, field: Field) -> Field | None:
        """Return the checkbox that removes a stored secret.

        None for other fields and for required secrets.
        """
        name = REMOVE + field.name.removeprefix(PREFIX)
        return self._fields.get(name)

    def values(self) -> tuple[dict[str, Any], set[str]]:
        """Return the entered values by the schema's names, and the names of cleared values.

        A secret that is left blank is in neither, and so stays as it is.
        """
        given: dict[str, Any] = {}
        cleared: set[str] = set()
        for field in self.settings:
            name = field.name.removeprefix(PREFIX)
            remover = self.remover(field)
            if isinstance(field, PasswordField):
                if field.data:
                    given[name] = field.data
                elif remover is not None and remover.data:
                    cleared.add(name)
            elif isinstance(field, BooleanField):
                given[name] = bool(field.data)
            elif text := (field.raw_data or [""])[0].strip():
                given[name] = _typed(self.schema.fields[name], text)
            else:
                cleared.add(name)
        return given, cleared

    def add_refusal(self, refusal: Refused) -> None:
        """Add the errors of a service to the fields they are about."""
        refused: Mapping[str, Any] = refusal.extra.get("fields") or {}
        for name, sentences in refused.items():
            if PREFIX + name in self:
                field = self[PREFIX + name]
                is_missing = self.schema.fields[name].required and not any(field.raw_data or ())
                field.errors = (str(NEEDED),) if is_missing else tuple(self._sentences(sentences))
                if isinstance(refusal, SecretForOtherServer):
                    field.errors = (str(ELSEWHERE),)
            else:
                self.problem = " ".join(self._sentences(sentences))
        if refusal.field == "name":
            self.name.errors = (refusal_text(refusal),)
        elif not refused:
            self.problem = refusal_text(refusal)

    def _sentences(self, messages: Any) -> list[str]:
        """Return the error sentences of marshmallow, at any depth, in the language of the page."""
        if isinstance(messages, Mapping):
            return [sentence for part in messages.values() for sentence in self._sentences(part)]
        if isinstance(messages, list):
            return [sentence for part in messages for sentence in self._sentences(part)]
        return [plugin_text(self.kind, str(messages))]


class SecretLinesField(PasswordField):
    """A multi-line secret.

    A password input would join the lines; like it, this never renders its value.
    """

    widget = TextArea()

    def _value(self) -> str:
        return ""


def form_for(
    kind: type[NotificationChannel], shown: Mapping[str, Any] | None = None, lost: frozenset[str] = frozenset()
) -> type[ChannelForm]:
    """Return the form class of a kind, filled with the readable settings.

    `lost` names the settings that cannot be decrypted.
    """
    schema = kind.Settings()
    shown = shown or {}
    members: dict[str, Any] = {"kind": kind, "schema": schema}
    for name, field in schema.fields.items():
        if field.dump_only:
            continue
        is_stored = bool(shown.get(f"has_{name}")) and name not in lost
        members[PREFIX + name] = _entry(kind, name, field, shown, is_stored=is_stored, is_lost=name in lost)
        if is_stored and not field.required:
            members[REMOVE + name] = BooleanField(lazy_gettext("Remove the stored value"))
    return type(f"{kind.__name__}Form", (ChannelForm,), members)


def _entry(
    kind: type[NotificationChannel],
    name: str,
    field: fields.Field[Any],
    shown: Mapping[str, Any],
    *,
    is_stored: bool,
    is_lost: bool,
) -> Any:
    about = field.metadata
    label = plugin_text(kind, str(about.get("label") or _words(name)))
    notes = [
        plugin_text(kind, str(about.get("help") or "")),
        str(KEEP_NOTE) if is_stored else "",
        str(LOST_NOTE) if is_lost else "",
    ]
    attributes: dict[str, Any] = {"autocomplete": "off", **_length(field)}
    if field.required and not is_stored:
        attributes["required"] = True
    if about.get("placeholder"):
        attributes["placeholder"] = str(about["placeholder"])
    options: dict[str, Any] = {"description": _joined(notes), "render_kw": attributes}
    if about.get("secret"):
        attributes["autocomplete"] = "new-password"
        return (SecretLinesField if about.get("multiline") else PasswordField)(label, **options)
    if isinstance(field, fields.Boolean):
        return BooleanField(label, description=options["description"], default=bool(shown.get(name, _default(field))))
    options["default"] = _text(shown.get(name, _default(field)))
    if choices := _choices(kind, field):
        is_known = options["default"] in {choice.value for choice in choices}
        options |= {
            "choices": choices if is_known else [SelectChoice("", _("Select …")), *choices],
            "validate_choice": False,
        }
        return SelectField(label, **options | {"render_kw": {"required": field.required, **_proposals(about)}})
    if isinstance(field, fields.List):
        options["description"] = _joined([options["description"], str(LINES_NOTE)])
        return StringField(label, widget=TextArea(), **options)
    if isinstance(field, NUMBERS):
        attributes |= _bounds(field)
        is_whole = isinstance(field, fields.Integer)
        return StringField(label, widget=NumberInput(step=None if is_whole else "any"), **options)
    if isinstance(field, fields.Url) or validate_http_url in field.validators:
        return URLField(label, **options)
    if isinstance(field, fields.Email):
        return EmailField(label, **options)
    return StringField(label, widget=TextArea() if about.get("multiline") else None, **options)


def _default(field: fields.Field[Any]) -> Any:
    default = field.load_default
    if default is missing:
        return None
    value = default() if callable(default) else default
    return _enum_text(field, value) if isinstance(value, enum.Enum) else value


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return "" if value is None else str(value)


def _typed(field: fields.Field[Any], text: str) -> Any:
    """Return the text as the schema's type.

    Invalid numbers are left for the schema to reject.
    """
    if isinstance(field, fields.List):
        return [line.strip() for line in text.splitlines() if line.strip()]
    is_number = isinstance(field, fields.Integer) and text.isascii() and text.lstrip("+-").isdigit() and len(text) < 20
    return int(text) if is_number else text


def _choices(kind: type[NotificationChannel], field: fields.Field[Any]) -> list[SelectChoice]:
    """Return the choices of an enumeration or of the values in a validator, with labels."""
    if isinstance(field, fields.Enum):
        return [
            SelectChoice(_enum_text(field, member), plugin_text(kind, _words(member.name))) for member in field.enum
        ]
    for validator in field.validators:
        if isinstance(validator, validate.OneOf):
            choices, named = list(validator.choices), list(map(str, validator.labels))
            labels = named + list(map(str, choices[len(named) :]))
            pairs = zip(choices, labels, strict=True)
            return [SelectChoice(str(choice), plugin_text(kind, label)) for choice, label in pairs]
    return []


def _enum_text(field: fields.Field[Any], member: enum.Enum) -> str:
    return str(member.value if getattr(field, "by_value", False) else member.name)


def _bounds(field: fields.Field[Any]) -> dict[str, Any]:
    """Return the minimum and maximum for the browser.

    Exclusive bounds are left to the schema.
    """
    bounds: dict[str, Any] = {}
    for validator in field.validators:
        if isinstance(validator, validate.Range):
            bounds |= {"min": validator.min} if validator.min is not None else {}
            bounds |= {"max": validator.max} if validator.max is not None else {}
    return bounds


def _proposals(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return suggested values for other fields, for the script: `{"port": {"ssl": 465}}`."""
    if not about.get("proposes"):
        return {}
    usual = {f"{PREFIX}{name}": {k: str(v) for k, v in values.items()} for name, values in about["proposes"].items()}
    return {"data-proposes": json.dumps(usual)}


def _length(field: fields.Field[Any]) -> dict[str, Any]:
    limits = (v.equal or v.max for v in field.validators if isinstance(v, validate.Length))
    return {"maxlength": limit} if (limit := next(limits, None)) else {}


def _joined(notes: list[str]) -> str:
    """Join notes to one text; notes of plugins may lack a full stop."""
    present = [note for note in notes if note]
    joined = ". ".join(note.removesuffix(".") for note in present)
    return f"{joined}." if present and present[-1].endswith(".") else joined


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


# Quiet hours of channels, and alerts that do not depend on the status of a run.

TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class QuietHoursForm(SettingsForm):
    """Local times between which messages of a channel wait; blank for never."""

    quiet_from = StringField(lazy_gettext("From"), widget=TimeInput())
    quiet_until = StringField(lazy_gettext("Until"), widget=TimeInput())
    lets_trouble_pass = BooleanField(
        lazy_gettext("Allow urgent alerts"),
        description=lazy_gettext("Errors and overdue alerts are sent immediately."),
    )

    def attempt(self, row: Channel, actor: Actor, now: datetime) -> bool:
        """Store the hours; return False if the form has errors."""
        begin, end = ((field.data or "").strip()[:5] for field in (self.quiet_from, self.quiet_until))
        for field, text in ((self.quiet_from, begin), (self.quiet_until, end)):
            if (begin or end) and not TIME_OF_DAY.fullmatch(text):
                self.add_error(field.name, _("Enter a time of day, or leave both blank."))
        if begin and begin == end:
            self.add_error("quiet_until", _("Enter an end time that differs from the start time."))
        if self.wrong_fields:
            return False
        channels.set_quiet_hours(
            row.id,
            QuietHours.read(begin, end),
            lets_trouble_pass=bool(self.lets_trouble_pass.data),
            actor=actor,
            now=now,
        )
        return True


@with_settings(ALARM_LIMITS)
class AlarmLimitsForm(GroupForm):
    """Hours without reports or deliveries until an alert, and two switches."""

    notifies_unusual = form_field(TELLS)

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Store the limits; return False if the form has errors."""
        chosen = self.read_settings()
        if self.wrong_fields:
            return False
        save_group(ALARM_LIMITS, chosen, actor=actor, now=now)
        if insight.limits().tells != bool(self.notifies_unusual.data):
            insight.change_limits({"tells": bool(self.notifies_unusual.data)}, actor=actor, now=now)
        return True


def quiet_hours_form(row: Channel, *, is_sent: bool = False) -> QuietHoursForm:
    """Return the quiet hours form, filled from the request or the stored values."""
    source = {} if is_sent else {"formdata": None}
    stored = {"quiet_from": row.quiet_from or "", "quiet_until": row.quiet_until or ""}
    return QuietHoursForm(**source, **stored, lets_trouble_pass=row.quiet_lets_trouble_pass)


def alarm_limits_form(*, is_sent: bool = False) -> AlarmLimitsForm:
    """Return the alert limits form, filled from the request or the stored values."""
    source, stored = {} if is_sent else {"formdata": None}, form_values(ALARM_LIMITS, read_group(ALARM_LIMITS))
    return AlarmLimitsForm(**source, **stored, notifies_unusual=insight.limits().tells)
