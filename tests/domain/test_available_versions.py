"""Versions out of the lines of the retention check."""

from zoneinfo import ZoneInfo

import pytest

from app.domain.available_versions import extract_versions

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")


def considered(*dates: str) -> str:
    return f"Backups to consider: {', '.join(dates)}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2031-05-04 3:02:01", "2031-05-04T03:02:01.000Z"),  # form 1
        ("2031.05.04 13:02:01", "2031-05-04T13:02:01.000Z"),  # form 2
        ("2031.05.04 PM 3:02:01", "2031-05-04T15:02:01.000Z"),  # form 3
        ("2031/05/04 3:02:01 pm", "2031-05-04T15:02:01.000Z"),  # form 4
        ("4/5/2031 3:02:01", "2031-05-04T03:02:01.000Z"),  # form 5
        ("4/5/2031 3.02.01", "2031-05-04T03:02:01.000Z"),  # form 6
        ("04.05.2031 23:02:01", "2031-05-04T23:02:01.000Z"),  # form 7
        ("5/4/2031 3:02:01 PM", "2031-05-04T15:02:01.000Z"),  # form 8, ambiguous: month first
        ("13/4/2031 3:02:01 PM", "2031-04-13T15:02:01.000Z"),  # form 8, day first
        ("4/13/2031 3:02:01 PM", "2031-04-13T15:02:01.000Z"),  # form 8, month first
        ("5/4/2031 12:02:01 AM", "2031-05-04T00:02:01.000Z"),  # midnight
        ("5/4/2031 12:02:01 PM", "2031-05-04T12:02:01.000Z"),  # noon
        ("\u00a05/4/2031\u202f3:02:01\u00a0PM ", "2031-05-04T15:02:01.000Z"),  # other blanks
        ("29/02/2028 03:00:00", "2028-02-29T03:00:00.000Z"),  # leap day
    ],
)
def test_date_form_is_understood(text, expected):
    assert extract_versions([considered(text)], UTC) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "2031/05/04 3:02:01",  # year first with slashes needs AM or PM
        "2031-05-04 PM 3:02:01",
        "2031-5-4 3:02:01",
        "4/5/2031 3:2:1",
        "4-5-2031 3:02:01",
        "29/02/2027 03:00:00",
        "32/01/2031 03:00:00",
        "4/13/2031 03:00:00",
        "4/5/1899 03:00:00",
        "4/5/2101 03:00:00",
        "4/5/2031 24:00:00",
        "5/4/2031 13:00:00 PM",
        "4/5/2031 03:60:00",
        "4/5/2031 03:00:00 and more",
        "AM 4/5/2031 03:00:00",
        "",
        "nonsense",
    ],
)
def test_what_is_no_date_is_left_out(text):
    assert extract_versions([considered(text, "1/2/2031 00:00:00")], UTC) == ["2031-02-01T00:00:00.000Z"]


def test_versions_to_delete_are_taken_away_and_newest_come_first():
    lines = [
        considered("1/2/2031 00:00:00", "3/2/2031 00:00:00", "2/2/2031 00:00:00"),
        "All backups to delete: 2/2/2031 00:00:00",
    ]
    assert extract_versions(lines, UTC) == ["2031-02-03T00:00:00.000Z", "2031-02-01T00:00:00.000Z"]


def test_empty_list_to_delete_takes_nothing_away():
    assert len(extract_versions([considered("1/2/2031 00:00:00"), "All backups to delete: "], UTC)) == 1


def test_later_line_replaces_an_earlier_one():
    lines = [considered("1/2/2031 00:00:00"), considered("5/2/2031 00:00:00")]
    assert extract_versions(lines, UTC) == ["2031-02-05T00:00:00.000Z"]


def test_marker_is_case_sensitive():
    assert extract_versions(["backups to consider: 1/2/2031 00:00:00"], UTC) == []


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ("+01", "2026-11-19T02:00:00.000Z"),
        ("-05", "2026-11-19T08:00:00.000Z"),
        ("+05:30", "2026-11-18T21:30:00.000Z"),
        ("+0530", "2026-11-18T21:30:00.000Z"),
    ],
)
def test_offset_of_the_log_line_beats_the_zone(offset, expected):
    line = f"2026-11-20 03:07:11 {offset} - [Information-X]: {considered('19/11/2026 03:00:00')}"
    assert extract_versions([line], ZoneInfo("Asia/Tokyo")) == [expected]


def test_line_without_offset_is_told_in_the_zone_with_its_summer_time():
    assert extract_versions([considered("1/7/2031 03:00:00", "1/1/2031 03:00:00")], BERLIN) == [
        "2031-07-01T01:00:00.000Z",
        "2031-01-01T02:00:00.000Z",
    ]


def test_absurd_offset_of_a_line_is_not_believed():
    line = f"2026-11-20 03:07:11 +99 - [Information-X]: {considered('19/11/2026 03:00:00')}"
    assert extract_versions([line], UTC) == ["2026-11-19T03:00:00.000Z"]
