"""A declaration says what a setting may be; it is made once and known under one name."""

import pytest

from app.core.settings import declarations
from app.core.settings.declarations import Setting, declare

HOURS = Setting("nap_hours", int, default=2, minimum=0, maximum=24, wire="napHours", attribute="hours")
MOOD = Setting("mood", str, default="calm", choices=("calm", "wild"))
IS_ON = Setting("is_on", bool, default=False)


@pytest.mark.parametrize(
    ("setting", "value", "is_accepted"),
    [
        (HOURS, 0, True),
        (HOURS, 24, True),
        (HOURS, -1, False),
        (HOURS, 25, False),
        (HOURS, "7", False),
        (HOURS, True, False),
        (HOURS, None, False),
        (MOOD, "wild", True),
        (MOOD, "sad", False),
        (MOOD, 1, False),
        (IS_ON, True, True),
        (IS_ON, 1, False),
        (IS_ON, "true", False),
    ],
)
def test_a_value_is_accepted_as_declared(setting, value, is_accepted):
    assert setting.accepts(value) is is_accepted


def test_the_name_in_schemas_is_the_stored_one_unless_another_is_given():
    assert (HOURS.key, MOOD.key) == ("hours", "mood")


def test_a_name_is_declared_once(monkeypatch):
    monkeypatch.setattr(declarations, "DECLARED", {})
    assert declare(HOURS) is HOURS
    with pytest.raises(ValueError, match="nap_hours is declared twice"):
        declare(Setting("nap_hours", bool, default=True))
