"""Values of job settings: the service, the API and the page reject invalid ones with one code."""

import pytest

from app.core.errors import Refused
from app.schedules import job_settings
from app.schedules.job_settings import JobChange


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"expected_interval": "rubbish"}, "interval_invalid"),
        ({"expected_interval": ""}, "interval_invalid"),
        ({"expected_interval": "2000Y"}, "interval_invalid"),
        ({"expected_interval": "1D, 2h"}, "interval_character"),  # the API repairs it before
        ({"notification_event": "nonsense"}, "notification_event_unknown"),
        ({"additional_event": "nonsense"}, "notification_event_unknown"),
        ({"overdue_tolerance": "bogus"}, "tolerance_unknown"),
    ],
)
def test_invalid_value_is_rejected_with_its_field(columns, code):
    with pytest.raises(Refused) as raised:
        JobChange(columns)
    assert (raised.value.code, raised.value.field) == (code, next(iter(columns)))


@pytest.mark.parametrize("interval", ["1D", "1D12h", "0", "3600"])
def test_interval_of_digits_and_units_is_accepted(interval):
    assert JobChange({"expected_interval": interval, "additional_event": None}).columns["expected_interval"] == interval


@pytest.mark.parametrize(
    ("text", "stored"), [("1D, 2h", "1D2h"), (" 1D ", "1D"), ("every 2 h then 3h", "3h"), ("90", "90")]
)
def test_interval_is_repaired(text, stored):
    assert job_settings.repair_interval(text) == stored
