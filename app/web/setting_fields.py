"""Fields of API schemas and forms, created from the declarations of settings."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from flask_babel import LazyString, lazy_gettext
from flask_babel import gettext as _
from marshmallow import fields
from wtforms import BooleanField, Field, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.fields.core import UnboundField
from wtforms.widgets import NumberInput

from app.core.settings.declarations import Setting
from app.web.forms import SettingsForm

FormClass = TypeVar("FormClass", bound="type[GroupForm]")
LONGEST_NUMBER = 9


def fields_in(settings: Iterable[Setting[Any]], **options: Mapping[str, Any]) -> dict[str, fields.Field[Any]]:
    """Return the fields that load these settings, for `include` in the `Meta` of a schema.

    `options` are more arguments of a field, by its name.
    """
    return {setting.key: _field_in(setting, options.get(setting.key, {})) for setting in settings}


def fields_out(settings: Iterable[Setting[Any]]) -> dict[str, fields.Field[Any]]:
    """Return the fields that dump these settings, for `include` in the `Meta` of a schema."""
    return {setting.key: _KINDS[setting.kind](data_key=setting.wire) for setting in settings}


_KINDS: dict[type, Callable[..., fields.Field[Any]]] = {
    bool: fields.Boolean,
    int: fields.Integer,
    float: fields.Float,
    str: fields.String,
}
_STRICTNESS: dict[type, Mapping[str, bool]] = {int: {"strict": True}, float: {"allow_nan": False}}


def _field_in(setting: Setting[Any], options: Mapping[str, Any]) -> fields.Field[Any]:
    usual = {"data_key": setting.wire, "required": setting.is_required, "validate": setting.validators}
    return _KINDS[setting.kind](**usual, **_STRICTNESS.get(setting.kind, {}), **options)


def form_field(
    setting: Setting[Any],
    *,
    kind: type[Field] = StringField,
    words: Mapping[Any, str | LazyString] | None = None,
    render_kw: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Return the field of a form: a switch, a choice of `words`, a number within its bounds, or a text.

    `kind` is the class of a text, `render_kw` adds attributes; `options` replace label, description and widget.
    """
    options = {"label": lazy_gettext(setting.label), "description": _help(setting)} | options
    if setting.kind is bool:
        return BooleanField(**options)
    attributes = dict(render_kw or {})
    if words is not None:
        choices = [SelectChoice(value, word) for value, word in words.items()]
        return SelectField(**options, choices=choices, coerce=setting.kind, render_kw=attributes)
    if setting.kind is int:
        bounds = {"min": setting.minimum, "max": setting.maximum}
        return StringField(**{"widget": NumberInput()} | options, render_kw=bounds | attributes)
    length = {} if setting.longest is None else {"maxlength": setting.longest}
    return kind(**options, render_kw=length | attributes)


def _help(setting: Setting[Any]) -> str | LazyString:
    return lazy_gettext(setting.help) if setting.help else ""


class GroupForm(SettingsForm):
    """A form with the fields of some settings, added by `with_settings`."""

    settings: tuple[Setting[Any], ...]

    @property
    def setting_fields(self) -> list[Field]:
        """Return the fields of the settings, in their order."""
        return [self[setting.key] for setting in self.settings]

    def read_settings(self) -> dict[str, Any]:
        """Return the entered values by field; invalid ones are None and have an error."""
        return {setting.key: self.read_setting(setting) for setting in self.settings}

    def read_setting(self, setting: Setting[Any], sentence: str = "") -> Any:
        """Return the entered value of one setting; None, with the sentence as its error, if it is invalid."""
        field = self[setting.key]
        if setting.kind is bool:
            return bool(field.data)
        if setting.kind is int and not isinstance(field, SelectField):
            return self.read_number(setting)
        value = field.data
        if setting.kind is str:
            value = (value or "").strip()
            if setting.longest is not None and len(value) > setting.longest:
                self.add_error(setting.key, _("Enter at most %(most)s characters.", most=setting.longest))
                return None
        if field.process_errors or not setting.accepts(value):
            self.add_error(setting.key, sentence or _("Invalid value."))
            return None
        return value

    def read_number(self, setting: Setting[Any]) -> int | None:
        """Return the whole number in a field; None if it is invalid."""
        text = (self[setting.key].data or "").strip()
        if text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER and setting.accepts(int(text)):
            return int(text)
        bounds = {"least": setting.minimum, "most": setting.maximum}
        self.add_error(setting.key, _("Enter a whole number from %(least)s to %(most)s.", **bounds))
        return None


def with_settings(
    settings: Iterable[Setting[Any]], render_kw: Mapping[str, Any] | None = None
) -> Callable[[FormClass], FormClass]:
    """Add the fields of settings to a form, before its own; those that it declares itself stay."""

    def add(form: FormClass) -> FormClass:
        form.settings = tuple(settings)
        for position, setting in enumerate(form.settings):
            unbound: UnboundField[Any] = vars(form).get(setting.key) or form_field(setting, render_kw=render_kw)
            unbound.creation_counter = position - len(form.settings)
            setattr(form, setting.key, unbound)
        return form

    return add


def form_values(settings: Iterable[Setting[Any]], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored values, by key, as the fields of a form show them."""
    return {
        setting.key: stored[setting.key] if setting.kind is bool else str(stored[setting.key]) for setting in settings
    }
