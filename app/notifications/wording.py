"""Format values for messages.

Elapsed time, dates, numbers, sizes and words in the message language.
"""

from datetime import date, datetime, timedelta
from typing import Literal

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit

from app.core.languages import DEFAULT_LANGUAGE, LANGUAGES, catalog
from app.plugin import NC_
from app.runtime import settings
from app.schedules.overdue import TOLERANCES

SECOND = timedelta(seconds=1)
# Seconds in each unit from the longest to the shortest, with weeks of 7, months of 30 and years of 365 days.
YEAR_S = 31_536_000
MONTH_S = 2_592_000
TIME_UNITS = (
    (YEAR_S, "year"),
    (MONTH_S, "month"),
    (604_800, "week"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
    (1, "second"),
)
MINUTE_S = 60
JUST_NOW_S = 15


def elapsed_text(since: datetime | None, now: datetime) -> str:
    """Return the elapsed time without "ago": `3 hours`.

    Less than a minute is `0 minutes`.

    Unknown is empty. Source: docs/compatibility/core-api.md#rule-e.
    """
    if since is None:
        return ""
    passed_s = (now - since) // SECOND
    if passed_s < 0:
        return "in the future"
    if passed_s < JUST_NOW_S:
        return "just now"
    return _counted(0, "minute") if passed_s < MINUTE_S else _amount(passed_s)


def relative_text(at: datetime | None, now: datetime) -> str:
    """Return `3 hours ago` or `in 3 hours`, in the largest unit; unknown is empty.

    Source: docs/compatibility/notifications.md#rule-r.
    """
    if at is None:
        return ""
    passed_s = (now - at) // SECOND
    if abs(passed_s) < JUST_NOW_S:
        return "just now"
    return f"{_amount(passed_s)} ago" if passed_s > 0 else f"in {_amount(-passed_s)}"


def unit_of(length_s: int) -> tuple[int, str]:
    """Return the largest unit that fits a length of at least a second, and how often.

    Example: `(2, "hour")`.
    """
    size_s, unit = next((size_s, unit) for size_s, unit in TIME_UNITS if length_s >= size_s)
    return length_s // size_s, unit


def _amount(length_s: int) -> str:
    """Return a positive length in its largest unit; years with their months."""
    count, unit = unit_of(length_s)
    text = _counted(count, unit)
    months = length_s % YEAR_S // MONTH_S
    return f"{text} and {_counted(months, 'month')}" if unit == "year" and months else text


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


# Numbers, dates and words in the formats of docs/compatibility/notifications.md#templates.

# Languages whose short format in babel differs from docs/compatibility/notifications.md#templates.
DATE_FORMATS = {"pt-BR": "dd/MM/y, HH:mm", "hi-Latn": "dd/MM/y, h:mm a", "hi": "dd/MM/y, h:mm a"}
# Spanish does not group numbers of four digits; babel lacks this rule of CLDR (minimumGroupingDigits).
UNGROUPED_BELOW = {"es": 10_000}
SIZE_UNITS = ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB")
STATUSES = frozenset(
    {
        NC_("status of a run", "Success"),
        NC_("status of a run", "Warning"),
        NC_("status of a run", "Error"),
        NC_("status of a run", "Fatal"),
    }
)
# Outcome of a run besides its status; see `app.reports.outcomes.Outcome`.
OUTCOMES = {
    "aborted": NC_("outcome of a run", "aborted"),
    "dry_run": NC_("outcome of a run", "dry run"),
    "stopped": NC_("outcome of a run", "stopped"),
    "partial": NC_("outcome of a run", "partial"),
}
# wire: the English labels of the contract, which differ from babel's. Other languages use babel's.
TOLERANCE_LABELS = {
    "no_tolerance": NC_("grace period", "No tolerance"),
    "5min": "5 min",
    "15min": "15 min",
    "30min": "30 min",
    "1h": "1 hour",
    "2h": "2 hours",
    "4h": "4 hours",
    "6h": "6 hours",
    "12h": "12 hours",
    "1d": "1 day",
}
TOLERANCE_UNITS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
)


def outcome_word(outcome: str, language: str) -> str:
    """Return the outcome of a run: aborted, dry run, stopped or partial.

    Empty for none of these.
    """
    word = OUTCOMES.get(outcome)
    return catalog(language).pgettext("outcome of a run", word) if word else ""


def interrupted_text(began_at: datetime | None, language: str) -> str:
    """Return the sentence about the interrupted previous run.

    Empty if there was none.
    """
    if began_at is None:
        return ""
    sentence = catalog(language).gettext("The run of {date} was interrupted.")
    return sentence.format(date=date_text(began_at, language))


def missed_text(count: int, language: str) -> str:
    """Return the sentence about missed runs; empty for none."""
    if count < 1:
        return ""
    sentence = catalog(language).ngettext("{count} expected run was missed", "{count} expected runs were missed", count)
    return sentence.format(count=count_text(count, language))


def date_text(instant: datetime | None, language: str) -> str:
    """Return the short date and time in the configured time zone; empty if unknown."""
    if instant is None:
        return ""
    local = instant.astimezone(settings().zone)
    form = DATE_FORMATS.get(language, "short")
    return format_datetime(local, form, locale=_locale(language)).replace("\u202f", " ")


def count_text(number: int, language: str) -> str:
    """Return a whole number with the grouping of the language."""
    is_grouped = abs(number) >= UNGROUPED_BELOW.get(language, 0)
    return format_decimal(number, locale=_locale(language), group_separator=is_grouped)


def size_text(size_bytes: int, language: str) -> str:
    """Return a size in steps of 1024 with two decimals; zero is `0 Bytes`."""
    if size_bytes <= 0:
        return "0 Bytes"
    step = min((size_bytes.bit_length() - 1) // 10, len(SIZE_UNITS) - 1)
    amount = size_bytes / 1024**step
    is_grouped = amount >= UNGROUPED_BELOW.get(language, 0)
    locale = _locale(language)
    return f"{format_decimal(amount, '#,##0.00', locale=locale, group_separator=is_grouped)} {SIZE_UNITS[step]}"


def status_word(status: str, language: str) -> str:
    """Return the status of a run in the language of the message."""
    return catalog(language).pgettext("status of a run", status) if status in STATUSES else status


def tolerance_text(tolerance: str, language: str) -> str:
    """Return the grace period in the language of the message."""
    length = TOLERANCES[tolerance]
    if language == DEFAULT_LANGUAGE or not length:
        return catalog(language).pgettext("grace period", TOLERANCE_LABELS[tolerance])
    number, unit = next((length // size, unit) for size, unit in TOLERANCE_UNITS if not length % size)
    form: Literal["short", "long"] = "short" if unit == "minute" else "long"
    return format_unit(number, f"duration-{unit}", form, locale=_locale(language))


def duration_text(length: timedelta, language: str) -> str:
    """Return a length in hours or days: `3 days`."""
    hours = length // timedelta(hours=1)
    number, unit = (hours // 24, "day") if hours >= 2 * 24 else (hours, "hour")
    return format_unit(number, f"duration-{unit}", "long", locale=_locale(language))


def in_days_text(days: int, language: str) -> str:
    """Return a number of days from now: `in 6 days`."""
    # Inserted into a text, which may be in the base language.
    locale = _locale(LANGUAGES[language].base or language)
    # The threshold prevents four weeks from being shown as weeks.
    return format_timedelta(timedelta(days=days), "day", threshold=10_000, add_direction=True, locale=locale)


def percent_text(share: float, language: str) -> str:
    """Return a share from 0 to 1 as a percentage.

    Rounded down to one decimal, so only 1 is 100 %.
    """
    # The pattern of the language says whether a space precedes %; a plain one, as on the dashboard.
    form = Locale.parse(_locale(language)).percent_formats[None].pattern.replace("0", "0.#").replace("\xa0", " ")
    return format_percent(int(share * 1000) / 1000, form, _locale(language))


def day_text(day: date, language: str) -> str:
    """Return a date in its short form."""
    return format_date(day, DATE_FORMATS.get(language, "short").partition(",")[0], locale=_locale(language))


def _locale(language: str) -> str:
    return LANGUAGES[language].locale
