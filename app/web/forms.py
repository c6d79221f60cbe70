"""Base classes of forms, forms from declared settings, confirmation dialogs, and sortable lists.

The hidden field of a form contains the token of the session, the same that the API checks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask import g, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, lazy_gettext
from flask_babel import gettext as _
from flask_wtf import FlaskForm
from marshmallow import fields
from wtforms import BooleanField, Field, SelectField, StringField, ValidationError
from wtforms.csrf.core import CSRF, CSRFTokenField
from wtforms.fields.choices import SelectChoice
from wtforms.fields.core import UnboundField
from wtforms.widgets import NumberInput

from app.accounts import sessions
from app.core.db.orm import LONGEST_SEARCH
from app.core.errors import Refused
from app.core.settings.declarations import Setting
from app.web.errors import refusal_texts


class SessionToken(CSRF):
    """Adds the session's CSRF token to a form and checks it.

    Not checked again after a check before the view.
    """

    def generate_csrf_token(self, csrf_token_field: CSRFTokenField) -> str:
        """Return the token of the session, which is created if there is none."""
        return sessions.current().csrf_token()

    def validate_csrf_token(self, form: Any, field: CSRFTokenField) -> None:
        """Reject a form without the session's token. Raise ValidationError."""
        if not g.get("csrf_valid", False) and not sessions.current().accepts_token(field.data):
            raise ValidationError("This page has expired; please submit it again")


class PageForm(FlaskForm):
    """Base class of the forms of our pages."""

    class Meta(FlaskForm.Meta):
        csrf_class = SessionToken


# Forms of the settings: errors of services are shown at their fields


class SettingsForm(PageForm):
    """A form of a settings tab. `problem` holds an error that belongs to no field."""

    problem = ""

    @property
    def wrong_fields(self) -> list[Field]:
        """Return the fields with errors, in the order of the page."""
        return [field for field in self if field.errors and field.name != "csrf_token"]

    def add_error(self, name: str, sentence: str) -> None:
        """Add an error to a field; without a matching field it is shown above the form."""
        if name in self:
            self[name].errors = (*self[name].errors, sentence)
        else:
            self.problem = f"{self.problem} {sentence}".strip()

    def add_refusal(self, refusal: Refused) -> None:
        """Put a service's refusal to the field that it is about, else above the form."""
        for sentence in refusal_texts(refusal):
            self.add_error(refusal.field or "", sentence)


# Confirmation of what cannot be undone: in a dialog, or on a page without script


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Content of a confirmation.

    `action` is the URL to post to, `back` the target of Cancel without script.
    """

    title: str
    sentences: Sequence[str]
    button: str
    action: str
    back: str
    is_dangerous: bool = True


def ask_confirmation(question: Confirmation, *, tab: str, label: str | LazyString) -> ResponseReturnValue:
    """Show a confirmation; `label` is the tab's, for the page around it."""
    part = "question" if "HX-Request" in request.headers else "question_page"
    return render_template(f"settings/{part}.html", tab=tab, label=label, question=question)


# Lists that are searched and sorted by the URL

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Column(Generic[Item]):
    """A sortable column, and the sort key of an item."""

    name: str
    label: LazyString
    key: Callable[[Item], Any]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Query of a list.

    Part of a name, and the column to sort by, with `-` in front for descending.
    """

    search: str = ""
    sort: str = "name"

    def next_sort(self, column: Column[Any]) -> str:
        """Return the sort parameter for a click on a column's head."""
        return f"-{column.name}" if self.sort == column.name else column.name

    def aria_sort(self, column: Column[Any]) -> str:
        """Return the column's value of `aria-sort`."""
        if column.name != self.sort.removeprefix("-"):
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    def ordered(self, items: Iterable[Item], columns: Sequence[Column[Item]]) -> list[Item]:
        """Return the items in the order of the query."""
        column = next(column for column in columns if column.name == self.sort.removeprefix("-"))
        return sorted(items, key=column.key, reverse=self.sort.startswith("-"))


def read_query(arguments: Mapping[str, str], columns: Sequence[Column[Any]]) -> ListQuery:
    """Read the query of a URL; an unknown column is replaced by the first one."""
    sort = arguments.get("sort", "")
    known = sort.removeprefix("-") in {column.name for column in columns}
    return ListQuery(arguments.get("q", "").strip()[:LONGEST_SEARCH], sort if known else columns[0].name)


# Fields of API schemas and forms, created from the declarations of settings

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
