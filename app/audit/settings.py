"""Read and change groups of settings; a change has one audit entry."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.audit.log import Actor, record_entry
from app.core.db.transaction import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import SettingGroup


def read_group(group: SettingGroup) -> dict[str, Any]:
    """Return the values of a group by their names in schemas and forms."""
    values = settings_store.get_several(*(setting.name for setting in group.settings))
    return {setting.key: value for setting, value in zip(group.settings, values, strict=True)}


def save_group(group: SettingGroup, values: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Store the values that are not None, and record them by their names in the API.

    Raise Refused for an invalid value; nothing is stored then.
    """
    given = [setting for setting in group.settings if values.get(setting.key) is not None]
    for setting in given:
        if not setting.accepts(values[setting.key]):
            raise Refused(
                "setting_range",
                setting.key,
                body={"field": setting.wire},
                name=setting.wire,
                least=setting.minimum,
                most=setting.maximum,
            )
    with writing():
        for setting in given:
            settings_store.save(setting.name, values[setting.key], now=now)
        place = {"target_type": "configuration", "target_id": group.target_id}
        details = {setting.wire: values[setting.key] for setting in given}
        record_entry(group.action, "config", now=now, actor=actor, details=details, **place)
