"""Fields of API schemas and forms, created from the declarations of settings."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask_babel import gettext as _
from flask_babel import lazy_gettext
from marshmallow import fields, validate
from wtforms import BooleanField, Field, StringField
from wtforms.fields.core import UnboundField
from wtforms.widgets import NumberInput

from app.core.settings.declarations import Setting, SettingGroup
from app.web.forms import SettingsForm

FormClass = TypeVar("FormClass", bound="type[GroupForm]")
LONGEST_NUMBER = 9


def fields_in(group: SettingGroup) -> dict[str, fields.Field[Any]]:
    """Return the fields that load these settings, for `include` in the `Meta` of a schema."""
    return {setting.key: _field_in(setting) for setting in group.settings}


def fields_out(group: SettingGroup) -> dict[str, fields.Field[Any]]:
    """Return the fields that dump these settings, for `include` in the `Meta` of a schema."""
    return {setting.key: _KINDS[setting.kind](data_key=setting.wire) for setting in group.settings}


_KINDS: dict[type, Callable[..., fields.Field[Any]]] = {
    bool: fields.Boolean,
    int: fields.Integer,
    str: fields.String,
}


def _field_in(setting: Setting[Any]) -> fields.Field[Any]:
    options: dict[str, Any] = {"data_key": setting.wire, "required": setting.is_required}
    if setting.kind is int:
        options |= {"strict": True, "validate": validate.Range(setting.minimum, setting.maximum)}
    elif setting.choices:
        options["validate"] = validate.OneOf(setting.choices)
    return _KINDS[setting.kind](**options)


def form_field(setting: Setting[Any]) -> Any:
    """Return the field of a form: a number within its bounds, or a switch."""
    texts = {"label": lazy_gettext(setting.label), "description": lazy_gettext(setting.help) if setting.help else ""}
    if setting.kind is bool:
        return BooleanField(**texts)
    return StringField(**texts, widget=NumberInput(), render_kw={"min": setting.minimum, "max": setting.maximum})


class GroupForm(SettingsForm):
    """A form with the fields of a group of settings, added by `with_settings`."""

    group: SettingGroup

    @property
    def setting_fields(self) -> list[Field]:
        """Return the fields of the group, in its order."""
        return [self[setting.key] for setting in self.group.settings]

    def read_settings(self) -> dict[str, Any]:
        """Return the entered values by field; invalid ones are None and have an error."""
        return {setting.key: self.read_setting(setting) for setting in self.group.settings}

    def read_setting(self, setting: Setting[Any]) -> Any:
        """Return the entered value of one setting; None if it is invalid."""
        if setting.kind is bool:
            return bool(self[setting.key].data)
        return self.read_number(setting.key, setting.minimum or 0, setting.maximum or 0)

    def read_number(self, name: str, least: int, most: int) -> int | None:
        """Return the whole number in a field; None if it is invalid."""
        text = (self[name].data or "").strip()
        if text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER and least <= int(text) <= most:
            return int(text)
        self.add_error(name, _("Enter a whole number from %(least)s to %(most)s.", least=least, most=most))
        return None


def with_settings(group: SettingGroup) -> Callable[[FormClass], FormClass]:
    """Add the fields of a group to a form, before its own."""

    def add(form: FormClass) -> FormClass:
        form.group = group
        for position, setting in enumerate(group.settings):
            unbound: UnboundField[Any] = form_field(setting)
            unbound.creation_counter = position - len(group.settings)
            setattr(form, setting.key, unbound)
        return form

    return add


def form_values(group: SettingGroup, stored: dict[str, Any]) -> dict[str, Any]:
    """Return stored values as the fields of a group show them."""
    return {
        setting.key: stored[setting.key] if setting.kind is bool else str(stored[setting.key])
        for setting in group.settings
    }
