"""Declarations of stored settings, and the checks of their values.

Each subject declares its settings in the module of the services that read them. `store.save` rejects any other value,
so a form or an endpoint cannot store what a restore would reject.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from marshmallow import ValidationError, validate

from app.core.errors import Refused
from app.core.instants import read_time
from app.plugin.settings import Exact, Flag, Number, PluginSettings, Setting, Value, Whole

__all__ = (
    "DECLARED",
    "Exact",
    "Flag",
    "Number",
    "Setting",
    "SettingGroup",
    "Value",
    "Whole",
    "check",
    "check_instant",
    "check_time",
    "check_values",
    "declare",
    "declare_plugin",
    "first_sentence",
    "plugin_group",
    "whole",
)

# With time zones and waits added, instants of these years are still dates.
YEARS = range(1970, 9990)


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
class SettingGroup:
    """Settings that are changed together, with the action and target in the audit log."""

    action: str
    target_id: str
    settings: tuple[Setting[Any], ...]

    def __iter__(self) -> Iterator[Setting[Any]]:
        return iter(self.settings)


# All settings by name; `app.factory` imports the modules that declare them.
DECLARED: dict[str, Setting[Any]] = {}


def declare(setting: Setting[Value]) -> Setting[Value]:
    """Register a setting. Raise ValueError for a name in use."""
    if setting.name in DECLARED:
        raise ValueError(f"the setting {setting.name} is declared twice")
    DECLARED[setting.name] = setting
    return setting


def plugin_group(page: type[PluginSettings]) -> SettingGroup:
    """Return the settings of a plugin as they are stored: their names begin with the name of the plugin."""
    settings = tuple(
        replace(
            setting,
            name=page.stored_name(setting),
            wire=setting.wire or setting.name,
            attribute=f"plugin_{setting.name}",
        )
        for setting in page.settings
    )
    return SettingGroup("plugin_settings_updated", page.name, settings)


def declare_plugin(page: type[PluginSettings]) -> None:
    """Register the settings of a plugin, in place of those of an earlier start."""
    DECLARED.update((setting.name, setting) for setting in plugin_group(page))


def check(name: str, value: object) -> None:
    """Reject a value that a setting cannot have.

    Raise Refused with `field`, and KeyError for an unknown name.
    """
    try:
        DECLARED[name].field.deserialize(value)
    except ValidationError as error:
        raise Refused("setting_impossible", name, name=name, reason=first_sentence(error)) from error


def check_values(settings: Iterable[Setting[Any]], values: Mapping[str, Any]) -> None:
    """Reject values, by their names in schemas and forms, that settings cannot have; None is no value.

    Raise Refused for the first one; `field` is its name, and the sentence has its name in the API.
    """
    for setting in settings:
        value, wire = values.get(setting.key), setting.wire or setting.name
        if value is None or setting.accepts(value):
            continue
        place: dict[str, Any] = {"body": {"field": wire}, "name": wire}
        if setting.minimum is None:
            raise Refused("setting_invalid", setting.key, **place)
        raise Refused("setting_range", setting.key, **place, least=setting.minimum, most=setting.maximum)


def first_sentence(error: ValidationError) -> str:
    """Return the first error with the path of its field."""
    path, messages = [], error.normalized_messages()  # type: ignore[no-untyped-call]
    while isinstance(messages, dict):
        key, messages = next(iter(messages.items()))
        if key not in ("_schema", "value"):
            path.append(str(key))
    sentence = " ".join(map(str, messages)) if isinstance(messages, list) else str(messages)
    return f"{'.'.join(path)}: {sentence}" if path else sentence
