"""Settings with defaults, exact at every moment, and safe from those who read them."""

from contextlib import suppress

import pytest

from app.models import Setting
from app.services import configuration
from app.services.transaction import writing


@pytest.mark.parametrize("name", configuration.DEFAULTS)
def test_every_setting_can_be_stored_and_taken_back(db, clock, name):
    configuration.put(name, ["a", {"b": 1}], now=clock())
    assert configuration.get(name) == ["a", {"b": 1}]
    configuration.put(name, None, now=clock())
    assert configuration.get(name) == configuration.DEFAULTS[name]


@pytest.mark.parametrize("value", [False, 0, ""])
def test_empty_values_are_values(db, clock, value):
    configuration.put("audit_retention_days", value, now=clock())
    assert configuration.get("audit_retention_days") == value
    assert type(configuration.get("audit_retention_days")) is type(value)


def test_unknown_setting_is_a_key_error(db, clock):
    with pytest.raises(KeyError):
        configuration.get("no such thing")
    with pytest.raises(KeyError):
        configuration.put("no such thing", 1, now=clock())


def test_reader_cannot_change_a_setting_by_accident(db, clock):
    configuration.put("admin_allowlist", ["192.0.2.1"], now=clock())
    configuration.get("admin_allowlist").append("0.0.0.0/0")
    assert configuration.get("admin_allowlist") == ["192.0.2.1"]


def test_reader_cannot_change_a_default_by_accident(db):
    configuration.get("cron_tasks")["x"] = 1
    assert configuration.get("cron_tasks") == {}


def test_change_is_dated(db, clock):
    configuration.put("public_url", "a", now=clock())
    configuration.put("public_url", "b", now=clock.advance(hours=1))
    assert db.session.get(Setting, "public_url").updated_at == clock()


def test_setting_that_was_rolled_back_is_not_seen(db, clock):
    with suppress(RuntimeError), writing():
        configuration.put("public_url", "a", now=clock())
        raise RuntimeError
    assert configuration.get("public_url") == ""
