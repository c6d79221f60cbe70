"""Durations as .NET writes them."""

import pytest

from app.reports.decoding import format_duration, human_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:00", 0),
        ("0:07:11", 431),
        ("00:07:11.8707810", 431.870781),
        ("23:59:59.9999999", 86399.9999999),
        ("1.00:00:00", 86400),
        ("1.02:03:04.5678901", 93784.5678901),
        ("100:00:01", 360001),
        ("1:2:3", 3723),
        ("-00:00:05", -5),
        (" 00:00:05 ", 5),
    ],
)
def test_time_span_is_read(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "12:30",
        "1:60:00",
        "1:00:60",
        "1.5",
        "1.2.03:04:05",
        "a:b:c",
        "00:00:00.",
        "99999999.00:00:00",
        "\u0661:\u0660\u0660:\u0660\u0660",
    ],
)
def test_other_text_is_no_duration(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00:00"),
        (59.999, "00:00:59"),
        (2311.25, "00:38:31"),
        (93784.6, "26:03:04"),
        (400_000, "111:06:40"),
        (-5, "00:00:00"),
    ],
)
def test_clock_form_is_floored_and_may_exceed_a_day(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (3.9, "3s"), (60, "1m 0s"), (123, "2m 3s"), (3723, "1h 2m 3s"), (3600, "1h 0m 0s"), (-1, "0s")],
)
def test_human_form_omits_leading_zeros(seconds, text):
    assert human_duration(seconds) == text
