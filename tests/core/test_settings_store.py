"""Settings with defaults, always current, and protected against their readers."""

from contextlib import suppress

import pytest

import app.factory  # noqa: F401 (which declares all settings)
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.core.settings.declarations import DECLARED
from app.core.settings.store import StoredSetting


@pytest.mark.parametrize("name", DECLARED)
def test_every_setting_can_be_stored_and_reset(db, clock, name):
    settings_store.put(name, ["a", {"b": 1}], now=clock())
    assert settings_store.get(name) == ["a", {"b": 1}]
    settings_store.put(name, None, now=clock())
    assert settings_store.get(name) == DECLARED[name].default


@pytest.mark.parametrize("value", [False, 0, ""])
def test_empty_values_are_stored(db, clock, value):
    settings_store.put("audit_retention_days", value, now=clock())
    assert settings_store.get("audit_retention_days") == value
    assert type(settings_store.get("audit_retention_days")) is type(value)


def test_unknown_setting_is_a_key_error(db, clock):
    with pytest.raises(KeyError):
        settings_store.get("no such thing")
    with pytest.raises(KeyError):
        settings_store.put("no such thing", 1, now=clock())


def test_reader_cannot_change_a_setting_by_accident(db, clock):
    settings_store.put("admin_allowlist", ["192.0.2.1"], now=clock())
    settings_store.get("admin_allowlist").append("0.0.0.0/0")
    assert settings_store.get("admin_allowlist") == ["192.0.2.1"]


def test_reader_cannot_change_a_default_by_accident(db):
    settings_store.get("cron_tasks")["x"] = 1
    assert settings_store.get("cron_tasks") == {}


def test_change_is_dated(db, clock):
    settings_store.put("public_url", "a", now=clock())
    settings_store.put("public_url", "b", now=clock.advance(hours=1))
    assert db.session.get(StoredSetting, "public_url").updated_at == clock()


def test_setting_that_was_rolled_back_is_not_read(db, clock):
    with suppress(RuntimeError), writing():
        settings_store.put("public_url", "a", now=clock())
        raise RuntimeError
    assert settings_store.get("public_url") == ""
