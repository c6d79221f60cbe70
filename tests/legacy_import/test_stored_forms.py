"""Settings of the original, from any of its versions, converted to ours."""

from datetime import UTC, datetime

import pytest

from app.legacy_import.stored_forms import (
    changed_template,
    is_crontab,
    read_additional,
    read_job_settings,
    read_time,
    split_key,
)
from app.notifications.default_templates import DEFAULT_TEMPLATES


@pytest.mark.parametrize(
    ("key", "servers", "place"),
    [
        ("a:photos", {"a"}, ("a", "photos")),
        ("a:Da:ta", {"a"}, ("a", "Da:ta")),
        ("a:b:c", {"a", "a:b"}, ("a:b", "c")),  # the longest id that fits
        ("b:photos", {"a"}, None),
        ("a:", {"a"}, None),
        ("photos", {"a"}, None),
    ],
)
def test_key_is_split_at_the_end_of_the_server_id(key, servers, place):
    assert split_key(key, servers) == place


@pytest.mark.parametrize(
    ("number", "unit", "interval"),
    [
        (1, "day", "1D"),
        (36, "hour", "36h"),
        (1.5, "day", "36h"),
        (0, "day", None),
        (1, "week", None),
        ("1", "day", None),
    ],
)
def test_old_form_of_intervals(number, unit, interval):
    found = read_job_settings({"expectedInterval": number, "intervalUnit": unit})
    assert found.columns.get("expected_interval") == interval
    assert bool(found.doubts) == (interval is None)


def test_old_form_sets_no_channels_and_times():
    found = read_job_settings(
        {"expectedInterval": 1, "intervalUnit": "day", "ntfyEnabled": False, "time": "2031-01-01"}
    )
    assert (found.switched_off, found.expected_at) == ((), None)


def test_blank_interval_and_time_are_not_chosen():
    found = read_job_settings({"expectedInterval": " ", "time": ""})
    assert (dict(found.columns), found.expected_at, found.doubts) == ({}, None, ())


def test_no_weekdays_means_all():
    assert read_job_settings({"allowedWeekDays": []}).columns["allowed_weekdays"] == 127


def test_empty_additional_destination_counts_as_chosen():
    assert read_additional({"additionalEmails": "", "additionalNtfyTopic": None}) == {"additional_emails": ""}


def test_unknown_additional_event_is_skipped():
    assert read_additional({"additionalNotificationEvent": "sometimes"}) == {}


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2031-05-01 02:00:00", datetime(2031, 5, 1, 2, tzinfo=UTC)),
        ("2031-05-01T02:00:00.250Z", datetime(2031, 5, 1, 2, 0, 0, 250_000, tzinfo=UTC)),
        ("N/A", None),
        (None, None),
        (1_900_000_000, None),
    ],
)
def test_times_are_utc(text, instant):
    assert read_time(text) == instant


@pytest.mark.parametrize(
    ("expression", "is_one"),
    [
        ("*/5 * * * *", True),
        ("*/30   *    *            *     *", True),
        ("* * * *", False),
        ("a;b * * * *", False),
        (5, False),
    ],
)
def test_crontab_expressions(expression, is_one):
    assert is_crontab(expression) == is_one


def test_template_equal_to_ours_counts_as_unchanged():
    ours = DEFAULT_TEMPLATES["success"]
    stored = {"title": ours.title, "message": ours.message, "priority": ours.priority, "tags": ours.tags}
    assert changed_template("success", stored, ours) is None


def test_template_with_another_priority_counts_as_changed():
    ours = DEFAULT_TEMPLATES["success"]
    assert changed_template("success", {"priority": "max"}, ours)["priority"] == "max"


@pytest.mark.parametrize("stored", [None, "text", []])
def test_template_of_a_wrong_type_is_ignored(stored):
    assert changed_template("success", stored, DEFAULT_TEMPLATES["success"]) is None
