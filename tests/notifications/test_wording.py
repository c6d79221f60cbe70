"""Numbers, dates and texts in each language, as in docs/compatibility/notifications.md#templates."""

from datetime import UTC, datetime, timedelta

import pytest

from app.notifications.messages import (
    count_text,
    date_text,
    duration_text,
    language_or_default,
    percent_text,
    size_text,
    status_word,
    tolerance_text,
)

AT = datetime(2031, 5, 4, 15, 2, 1, tzinfo=UTC)
BYTES = 1_073_175_593  # 1023.46 MB


@pytest.mark.parametrize(
    ("language", "date", "million", "thousand", "size", "warning"),
    [
        ("en-GB", "04/05/2031, 15:02", "1,234,567", "1,234", "1,023.46 MB", "Warning"),
        ("de", "04.05.31, 15:02", "1.234.567", "1.234", "1.023,46 MB", "Warnung"),
        ("fr", "04/05/2031 15:02", "1\u202f234\u202f567", "1\u202f234", "1\u202f023,46 MB", "Avertissement"),
        ("es", "4/5/31, 15:02", "1.234.567", "1234", "1023,46 MB", "Advertencia"),
        ("pt-BR", "04/05/2031, 15:02", "1.234.567", "1.234", "1.023,46 MB", "Aviso"),
        ("hi-Latn", "04/05/2031, 3:02 PM", "12,34,567", "1,234", "1,023.46 MB", "Warning"),
        ("zh-Hans", "2031/5/4 15:02", "1,234,567", "1,234", "1,023.46 MB", "警告"),
    ],
)
@pytest.mark.usefixtures("db")
def test_formats_of_the_contract(language, date, million, thousand, size, warning):
    assert date_text(AT, language) == date
    assert count_text(1_234_567, language) == million
    assert count_text(1234, language) == thousand
    assert size_text(BYTES, language) == size
    assert status_word("Warning", language) == warning


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 Bytes"),
        (-1, "0 Bytes"),
        (1, "1.00 Bytes"),
        (1023, "1,023.00 Bytes"),
        (1024, "1.00 KB"),
        (1024**2 - 1, "1,024.00 KB"),
        (1024**2, "1.00 MB"),
        (5 * 1024**4, "5.00 TB"),
        (1024**7, "1,024.00 EB"),
    ],
)
def test_sizes_use_steps_of_1024(size_bytes, text):
    assert size_text(size_bytes, "en-GB") == text


@pytest.mark.parametrize(
    ("tolerance", "language", "text"),
    [
        ("15min", "en-GB", "15 min"),
        ("1h", "de", "1 Stunde"),
        ("2h", "fr", "2\u00a0heures"),
        ("1d", "es", "1 día"),
        ("30min", "pt-BR", "30 min"),
        ("1d", "pt-BR", "1 dia"),
        ("2h", "zh-Hans", "2小时"),
        ("no_tolerance", "zh-Hans", "无容差"),
    ],
)
def test_tolerances_are_translated(tolerance, language, text):
    assert tolerance_text(tolerance, language) == text


@pytest.mark.parametrize(
    ("hours", "language", "text"),
    [
        (47, "en-GB", "47 hours"),
        (48, "en-GB", "2 days"),
        (71, "de", "2 Tage"),
        (72, "pt-BR", "3 dias"),
        (5, "zh-Hans", "5小时"),
        (72, "zh-Hans", "3天"),
        (72, "hi", "3 दिन"),
    ],
)
def test_lengths_are_in_hours_below_two_days_and_then_in_days(hours, language, text):
    assert duration_text(timedelta(hours=hours, minutes=59), language) == text


@pytest.mark.parametrize(
    ("share", "language", "text"),
    [(1, "en-GB", "100%"), (0.99999, "en-GB", "99.9%"), (0.985, "de", "98,5 %"), (0, "zh-Hans", "0%")],
)
def test_only_a_complete_share_is_100_percent(share, language, text):
    assert percent_text(share, language).replace("\u00a0", " ") == text


def test_an_unknown_time_is_empty():
    assert date_text(None, "en-GB") == ""


@pytest.mark.parametrize(("code", "language"), [("de", "de"), ("DE", "en-GB"), (None, "en-GB"), (7, "en-GB")])
def test_an_unknown_language_is_english(code, language):
    assert language_or_default(code) == language


def test_an_unknown_status_is_shown_unchanged():
    assert status_word("Odd", "de") == "Odd"
