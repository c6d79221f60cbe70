"""The versions that can be restored, as Duplicati's retention check names them in the log."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from app.domain.instants import iso

_CONSIDERED = "Backups to consider:"
_DELETED = "All backups to delete:"

# More would be an attack on our time: ten years of hourly backups are 87,600, and nobody keeps them all.
_MOST_VERSIONS = 10_000

_LINE_OFFSET = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ([+-])(\d\d):?(\d\d)? - \[", re.ASCII)

_BLANK = r"[ \t\u00a0\u202f]+"
_DATE = re.compile(
    rf"(\d{{1,4}})([-./])(\d{{1,2}})\2(\d{{1,4}}){_BLANK}"
    rf"(?:([AP]M){_BLANK})?(\d{{1,2}})([:.])(\d\d)\7(\d\d)(?:{_BLANK}([AP]M))?",
    re.ASCII | re.IGNORECASE,
)
_TRIMMED = " \t\r\n\u00a0\u202f"

# (year leads, date separator, time separator, place of AM/PM) -> order of the date's parts. Duplicati writes dates
# in the language of its machine; these are the eight ways it can be understood without guessing the language.
_FORMS = {
    (True, "-", ":", ""): "year-month-day",
    (True, ".", ":", ""): "year-month-day",
    (True, ".", ":", "before"): "year-month-day",
    (True, "/", ":", "after"): "year-month-day",
    (False, "/", ":", ""): "day-month-year",
    (False, "/", ".", ""): "day-month-year",
    (False, ".", ":", ""): "day-month-year",
    (False, "/", ":", "after"): "month-day-year",
}


def extract_versions(lines: Iterable[str], zone: tzinfo) -> list[str]:
    """Give the kept versions as ISO texts in UTC with milliseconds, newest first, each once.

    Dates are read in the offset of their log line when it has one, else in `zone`. What is not a date is left out.
    """
    considered = deleted = ""
    for line in lines:
        if _CONSIDERED in line:
            considered = line
        if _DELETED in line:
            deleted = line
    kept = _dates_after(_CONSIDERED, considered, zone) - _dates_after(_DELETED, deleted, zone)
    return sorted(kept, reverse=True)


def _dates_after(marker: str, line: str, zone: tzinfo) -> set[str]:
    """Read the comma-separated dates that follow `marker`."""
    place = _line_offset(line) or zone
    texts = line.partition(marker)[2].split(",", _MOST_VERSIONS)[:_MOST_VERSIONS]
    dates = (parse_version_date(text, place) for text in texts)
    return {iso(date) for date in dates if date}


def _line_offset(line: str) -> timezone | None:
    """Give the offset to UTC in the head of a log line, such as `2026-11-20 02:00:07 +01 - [...]`."""
    match = _LINE_OFFSET.match(line)
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if offset >= timedelta(days=1):
        return None
    return timezone(-offset if sign == "-" else offset)


def parse_version_date(text: str, zone: tzinfo) -> datetime | None:
    """Read one of the eight forms of date, told in `zone`, as an instant in UTC; None when it is none of them."""
    match = _DATE.fullmatch(text.strip(_TRIMMED))
    if match is None:
        return None
    first, separator, second, third, marker_before, hour, time_separator, minute, seconds, marker_after = match.groups()
    place = {(False, False): "", (True, False): "before", (False, True): "after"}.get(
        (bool(marker_before), bool(marker_after)), "both"
    )
    order = _FORMS.get((len(first) == 4, separator, time_separator, place))
    if order == "year-month-day" and len(second) == len(third) == 2:
        year, month, day = int(first), int(second), int(third)
    elif order in ("day-month-year", "month-day-year") and len(first) <= 2 and len(third) == 4:
        day, month, year = int(first), int(second), int(third)
        if order == "month-day-year" and day <= 12:
            day, month = month, day
    else:
        return None
    if not 1900 <= year <= 2100:
        return None
    try:
        local = datetime(
            year,
            month,
            day,
            _hour_of_day(int(hour), marker_before or marker_after),
            int(minute),
            int(seconds),
            tzinfo=zone,
        )
    except ValueError:  # no such day or hour
        return None
    return local.astimezone(UTC)


def _hour_of_day(hour: int, marker: str | None) -> int:
    """Turn an hour beside AM or PM into one of 24."""
    if marker is None:
        return hour
    if marker.upper() == "AM":
        return 0 if hour == 12 else hour
    return hour if hour == 12 else hour + 12
