"""Time that has passed, in English words: rule E of the core operations and rule R of the notifications."""

from datetime import datetime, timedelta

SECOND = timedelta(seconds=1)
# Seconds in each unit from the longest to the shortest, with weeks of 7, months of 30 and years of 365 days.
YEAR_S = 31_536_000
MONTH_S = 2_592_000
UNITS = (
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
    """Rule E: how long ago, without the word: `3 hours`. Less than a minute is `0 minutes`; unknown is empty."""
    if since is None:
        return ""
    passed_s = (now - since) // SECOND
    if passed_s < 0:
        return "in the future"
    if passed_s < JUST_NOW_S:
        return "just now"
    return _counted(0, "minute") if passed_s < MINUTE_S else _amount(passed_s)


def relative_text(at: datetime | None, now: datetime) -> str:
    """Rule R: `3 hours ago` or `in 3 hours`, to the second; unknown is empty."""
    if at is None:
        return ""
    passed_s = (now - at) // SECOND
    if abs(passed_s) < JUST_NOW_S:
        return "just now"
    return f"{_amount(passed_s)} ago" if passed_s > 0 else f"in {_amount(-passed_s)}"


def unit_of(length_s: int) -> tuple[int, str]:
    """The largest unit that fits into a length of at least a second, and how often: `(2, "hour")`."""
    size_s, unit = next((size_s, unit) for size_s, unit in UNITS if length_s >= size_s)
    return length_s // size_s, unit


def _amount(length_s: int) -> str:
    """A positive length in its largest unit; years with their months."""
    count, unit = unit_of(length_s)
    text = _counted(count, unit)
    months = length_s % YEAR_S // MONTH_S
    return f"{text} and {_counted(months, 'month')}" if unit == "year" and months else text


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
