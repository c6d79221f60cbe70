"""Settings that users change at run time: `Setting`, its fields, and the settings page of a plugin."""

import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from flask import current_app
from marshmallow import RAISE, Schema, ValidationError, fields, validate

from app.plugin.api import HOST, Host

Value = TypeVar("Value")
NAME = re.compile(r"[a-z][a-z0-9_]*")
# The length of the column of names.
LONGEST_NAME = 64


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


@dataclass(frozen=True)
class Setting(Generic[Value]):
    """One stored setting: name, type, default, valid values, names and texts.

    A number has bounds, both included; a text may have `choices`, a maximum length `longest` and a `check` that raises
    ValidationError. An object has `parts`, which are stored under their names; any other structured value has a
    `shape`. `wire` is the name in the API, `attribute` the name in schemas and forms if it is not `name`. `is_secret`
    keeps a value out of the audit log. `label` and `help` are English, marked by `N_`; settings without a label are not
    in the documentation.
    """

    name: str
    kind: type[Value]
    default: Any
    _: KW_ONLY
    minimum: float | None = None
    maximum: float | None = None
    longest: int | None = None
    choices: tuple[Value, ...] = ()
    check: Callable[[Any], object] | None = None
    parts: tuple["Setting[Any]", ...] = ()
    shape: fields.Field[Any] | None = None
    wire: str = ""
    attribute: str = ""
    is_required: bool = False
    is_secret: bool = False
    label: str = ""
    help: str = ""

    @property
    def key(self) -> str:
        """Return the name in schemas and forms."""
        return self.attribute or self.name

    @property
    def validators(self) -> list[Callable[[Any], object]]:
        """Return what checks a value of the right type; each raises ValidationError."""
        found: list[Callable[[Any], object]] = []
        if self.minimum is not None or self.maximum is not None:
            found.append(validate.Range(self.minimum, self.maximum))
        if self.choices:
            found.append(validate.OneOf(self.choices))
        if self.longest is not None:
            found.append(validate.Length(max=self.longest))
        return found if self.check is None else [*found, self.check]

    @cached_property
    def field(self) -> fields.Field[Any]:
        """Return the field that checks a stored value."""
        if self.shape is not None:
            return self.shape
        if self.parts:
            return fields.Nested(Exact.from_dict({part.name: part.field for part in self.parts}))
        if self.kind is bool:
            return Flag()
        if self.kind is int:
            return Whole(validate=self.validators)
        if self.kind is float:
            return Number(validate=self.validators, allow_nan=False)
        return fields.String(validate=self.validators)

    def accepts(self, value: object) -> bool:
        """Whether a value is valid."""
        try:
            self.field.deserialize(value)
        except ValidationError:
            return False
        return True

    def read_parts(self, stored: object) -> dict[str, Any]:
        """Return the parts of a stored object by name; missing and invalid ones have their default."""
        known = stored if isinstance(stored, Mapping) else {}
        return {
            part.name: known[part.name] if part.name in known and part.accepts(known[part.name]) else part.default
            for part in self.parts
        }


class PluginSettings:
    """Settings of a plugin, with a page of their own for administrators.

    The entry point names a subclass; its name is the `name` of the class, and the prefix of the stored names. Plain
    settings only: numbers with both bounds, texts, choices and switches, each with a label. Secrets belong into the
    settings of a channel, which are encrypted. `label`, `description` and the texts of the settings are English,
    marked by `N_`; pages translate them by the catalogue of the plugin.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str] = ""
    settings: ClassVar[tuple[Setting[Any], ...]]

    @classmethod
    def stored_name(cls, setting: Setting[Any]) -> str:
        """Return the name under which a setting is stored."""
        return f"{cls.name}.{setting.name}"

    @classmethod
    def read(cls, setting: Setting[Value]) -> Value:
        """Return the stored value of one of the settings, or its default. Only within an application context."""
        host: Host = current_app.extensions[HOST]
        value: Value = host.read_setting(cls.stored_name(setting))
        return value

    @classmethod
    def objection(cls) -> str | None:
        """Return why these settings cannot be shown, or None."""
        if not cls.settings:
            return "it has no settings"
        names = [setting.name for setting in cls.settings]
        if not NAME.fullmatch(cls.name) or len({*names}) < len(names):
            return f"the name {cls.name!r} is not in snake_case, or a name of a setting occurs twice"
        return next(filter(None, map(cls._objection_to, cls.settings)), None)

    @classmethod
    def _objection_to(cls, setting: Setting[Any]) -> str | None:
        name = cls.stored_name(setting)
        if not NAME.fullmatch(setting.name) or len(name) > LONGEST_NAME:
            return f"{name}: the name is not in snake_case, or longer than {LONGEST_NAME} characters"
        if setting.kind not in (bool, int, str) or setting.shape is not None or setting.parts or setting.is_secret:
            return f"{name}: only plain values can be shown: bool, int and str"
        if setting.kind is int and not setting.choices and None in (setting.minimum, setting.maximum):
            return f"{name}: a number needs both bounds"
        if setting.check is not None and setting.kind is not str:
            return f"{name}: only a text can have a check"
        if not setting.label:
            return f"{name}: it has no label"
        return None if setting.accepts(setting.default) else f"{name}: the default is not valid"
