"""Formatted figures."""

from datetime import UTC, datetime, timedelta

import pytest

from app.backups.run_pages import LogLine, split_line
from app.web.formats import age_text, count_text, every_text, exact_text, interval_text, relative_text, size_text

NOW = datetime(2031, 5, 4, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def page(app):
    """Formats follow the account of a page: an English one here."""
    with app.test_request_context():
        yield


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "0 Bytes"),
        (-5, "0 Bytes"),
        (0, "0 Bytes"),
        (1, "1.00 Bytes"),
        (1023, "1023.00 Bytes"),
        (1024, "1.00 KB"),
        (1536 * 1024, "1.50 MB"),
        (3 * 1024**4, "3.00 TB"),
        (5000 * 1024**8, "5000.00 YB"),  # there is no larger unit
    ],
)
def test_sizes_are_shown_in_their_largest_unit(size_bytes, text):
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=59), "now"),
        (timedelta(seconds=60), "1 m"),
        (timedelta(hours=2), "2 h"),
        (timedelta(days=3), "3 d"),
        (timedelta(days=15), "2 w"),
        (timedelta(days=125), "4 mo"),
        (timedelta(days=425), "1 y 2 mo"),
        (timedelta(seconds=-1), "future"),
    ],
)
def test_ages_are_shown_in_their_shortest_form(passed, text):
    assert age_text(NOW - passed, NOW) == text


def test_an_unknown_age_is_not_available():
    assert age_text(None, NOW) == "N/A"


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("2026-11-20 02:00:07 +01 - [Warning-X.Y]: Locked", ("2026-11-20 02:00:07 +01", "Warning-X.Y", "Locked")),
        ("2026-11-20T02:00:07Z - Locked", ("2026-11-20T02:00:07Z", "", "Locked")),
        ("[Error-X]: It\nbroke", ("", "Error-X", "It\nbroke")),
        ("Just words [in brackets]: here", ("", "", "Just words [in brackets]: here")),
        ("", ("", "", "")),
    ],
)
def test_a_log_line_is_split(line, parts):
    assert split_line(line) == LogLine(*parts)


@pytest.mark.parametrize(
    ("interval", "text"),
    [("1D", "1 day"), ("12h", "12 hours"), ("1W3D", "1 week and 3 days"), ("nonsense", "nonsense")],
)
def test_intervals_are_described_in_words(interval, text):
    assert interval_text(interval) == text


@pytest.mark.parametrize(
    ("interval", "text"), [("1D", "every day"), ("12h", "every 12 hours"), ("2W", "every 2 weeks")]
)
def test_intervals_fit_into_sentences(interval, text):
    assert every_text(interval) == text


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("de", ("1.234", "1,50 MB", "vor 2 Stunden", "04.05.31, 12:00")),
        ("fr", ("1\u202f234", "1,50 MB", "il y a 2 heures", "04/05/2031 12:00")),
        ("pt-BR", ("1.234", "1,50 MB", "há 2 horas", "04/05/2031 12:00")),
        ("zh-Hans", ("1,234", "1.50 MB", "2小时前", "2031/5/4 12:00")),
    ],
)
def test_other_languages_have_their_own_formats(app, language, expected):
    with app.test_request_context(headers={"Accept-Language": language}):
        texts = count_text(1234), size_text(1536 * 1024), relative_text(NOW - timedelta(hours=2), NOW), exact_text(NOW)
        assert texts == expected


def test_the_format_of_dates_and_numbers_is_independent_of_the_language(app, admin):
    preferences = {"format_locale": "de-CH", "language": "en-GB"}
    admin.send("POST", "/preferences", data=preferences)
    page = admin.get("/").text
    assert '<html lang="en-GB"' in page
    assert 'data-format="de-CH"' in page
