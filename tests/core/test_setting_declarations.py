"""A declaration defines the values of a setting; it is created once and has one name."""

import pytest
from marshmallow.validate import Regexp

from app.core.errors import Refused
from app.core.settings import declarations
from app.core.settings.declarations import Setting, check_values, declare

HOURS = Setting("nap_hours", int, default=2, minimum=0, maximum=24, wire="napHours", attribute="hours")
MOOD = Setting("mood", str, default="calm", choices=("calm", "wild"))
IS_ON = Setting("is_on", bool, default=False)
SHARE = Setting("share", float, default=0.5, minimum=0, maximum=1.5)
CODE = Setting("code", str, default="", longest=3, check=Regexp("[a-z]*$"))
SLEEP = Setting("sleep", dict, default={}, parts=(HOURS, MOOD))


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
        (SHARE, 1.5, True),
        (SHARE, 1, True),
        (SHARE, 1.6, False),
        (SHARE, float("nan"), False),
        (SHARE, "1", False),
        (CODE, "abc", True),
        (CODE, "abcd", False),
        (CODE, "a1", False),
        (SLEEP, {}, True),
        (SLEEP, {"nap_hours": 3, "mood": "wild"}, True),
        (SLEEP, {"hours": 3}, False),
        (SLEEP, {"nap_hours": 25}, False),
        (SLEEP, [], False),
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


@pytest.mark.parametrize("stored", [{}, None, [], {"nap_hours": 25, "mood": None}, {"other": 1}])
def test_missing_and_invalid_parts_have_their_defaults(stored):
    assert SLEEP.read_parts(stored) == {"nap_hours": 2, "mood": "calm"}


def test_valid_parts_are_read():
    assert SLEEP.read_parts({"nap_hours": 3}) == {"nap_hours": 3, "mood": "calm"}


@pytest.mark.parametrize(
    ("values", "code", "field", "sentence"),
    [
        ({"hours": 25}, "setting_range", "hours", "napHours: must be from 0 to 24"),
        ({"hours": "3", "mood": "sad"}, "setting_range", "hours", "napHours: must be from 0 to 24"),
        ({"hours": 3, "mood": "sad"}, "setting_invalid", "mood", "mood: invalid value"),
    ],
)
def test_the_first_invalid_value_is_rejected_with_its_name_in_the_api(values, code, field, sentence):
    with pytest.raises(Refused) as refusal:
        check_values((HOURS, MOOD), values)
    assert (refusal.value.code, refusal.value.field, str(refusal.value)) == (code, field, sentence)


def test_missing_values_are_not_checked():
    check_values((HOURS, MOOD), {"hours": None})
