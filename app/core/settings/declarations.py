"""Declarations of stored settings: `Setting`, and the fields that check a value.

Each subject declares its settings in the module of the services that read them. `store.save` rejects any other value,
so a form or an endpoint cannot store what a restore would reject.
"""

from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from app.core.errors import Refused
from app.core.instants import read_time

Value = TypeVar("Value")

# With time zones and waits added, instants of these years are still dates.
YEARS = range(1970, 9990)


class Exact(Schema):
    """An object without unknown keys; missing ones have their default."""

    class Meta:
        unknown = RAISE


class Flag(fields.Boolean):
    """A boolean; the words for it in forms are rejected."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) is not bool:
            raise ValidationError("expected true or false")
        return value


class Number(fields.Float):
    """A number; text is rejected."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) not in (int, float):
            raise ValidationError("expected a number")
        return super()._deserialize(value, attr, data, **kwargs)


class Whole(fields.Integer):
    """A whole number; text is rejected."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) is not int:
            raise ValidationError("expected a whole number")
        return value


def whole(least: int, most: int | None = None) -> Whole:
    """Declare a whole number within bounds, both included."""
    return Whole(validate=validate.Range(least, most))


def check_instant(text: str) -> None:
    """Reject anything but an instant with an offset.

    It must be in a range that allows arithmetic. Raise ValidationError.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValidationError("expected a time in ISO 8601") from error
    if instant.tzinfo is None or instant.year not in YEARS:
        raise ValidationError("expected a time with an offset to UTC and a valid year")


def check_time(text: str) -> None:
    """Reject anything but a time of day. Raise ValidationError."""
    try:
        read_time(text)
    except ValueError as error:
        raise ValidationError("Enter a time of day such as 07:30") from error


@dataclass(frozen=True)
class Setting(Generic[Value]):
    """One stored setting: name, type, default, valid values, names and texts.

    A number has bounds, both included; a text may have `choices`; a structured value has a `shape`. `wire` is the name
    in the API, `attribute` the name in schemas and forms if it is not `name`. `label` and `help` are English, marked
    by `N_`; settings without a label are not in the documentation.
    """

    name: str
    kind: type[Value]
    default: Any
    _: KW_ONLY
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[Value, ...] = ()
    shape: fields.Field[Any] | None = None
    wire: str = ""
    attribute: str = ""
    is_required: bool = False
    label: str = ""
    help: str = ""

    @property
    def key(self) -> str:
        """Return the name in schemas and forms."""
        return self.attribute or self.name

    @cached_property
    def field(self) -> fields.Field[Any]:
        """Return the field that checks a stored value."""
        if self.shape is not None:
            return self.shape
        if self.kind is bool:
            return Flag()
        if self.kind is int:
            return Whole(validate=validate.Range(self.minimum, self.maximum))
        return fields.String(validate=validate.OneOf(self.choices) if self.choices else None)

    def accepts(self, value: object) -> bool:
        """Whether a value is valid."""
        try:
            self.field.deserialize(value)
        except ValidationError:
            return False
        return True


@dataclass(frozen=True)
class SettingGroup:
    """Settings that are changed together, with the action and target in the audit log."""

    action: str
    target_id: str
    settings: tuple[Setting[Any], ...]


# All settings by name; `app.factory` imports the modules that declare them.
DECLARED: dict[str, Setting[Any]] = {}


def declare(setting: Setting[Value]) -> Setting[Value]:
    """Register a setting. Raise ValueError for a name in use."""
    if setting.name in DECLARED:
        raise ValueError(f"the setting {setting.name} is declared twice")
    DECLARED[setting.name] = setting
    return setting


def check(name: str, value: object) -> None:
    """Reject a value that a setting cannot have.

    Raise Refused with `field`, and KeyError for an unknown name.
    """
    try:
        DECLARED[name].field.deserialize(value)
    except ValidationError as error:
        raise Refused("setting_impossible", name, name=name, reason=first_sentence(error)) from error


def first_sentence(error: ValidationError) -> str:
    """Return the first error with the path of its field."""
    path, messages = [], error.normalized_messages()  # type: ignore[no-untyped-call]
    while isinstance(messages, dict):
        key, messages = next(iter(messages.items()))
        if key not in ("_schema", "value"):
            path.append(str(key))
    sentence = " ".join(map(str, messages)) if isinstance(messages, list) else str(messages)
    return f"{'.'.join(path)}: {sentence}" if path else sentence
