"""Durations as Duplicati writes them and as people read them; all figures are seconds."""

import re

# .NET's TimeSpan: [-][d.]hh:mm:ss[.fffffff]; hours may have any number of digits when there are no days.
_TIME_SPAN = re.compile(r"(-)?(?:(\d{1,8})\.)?(\d{1,10}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,20}))?", re.ASCII)
# The longest span .NET can hold, a little over 29,000 years.
_LONGEST_S = 10_675_200 * 86_400.0


def parse_duration(text: str) -> float:
    """Give the seconds of a .NET time span such as `1.02:03:04.5678901` or `0:07:11`.

    A leading minus gives a negative figure. Raises ValueError for anything else.
    """
    match = _TIME_SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a duration of the form [d.]hh:mm:ss[.fffffff]")
    sign, days, hours, minutes, seconds, fraction = match.groups()
    if int(minutes) > 59 or int(seconds) > 59:
        raise ValueError("minutes and seconds of a duration end at 59")
    whole = int(days or 0) * 86_400 + int(hours) * 3_600 + int(minutes) * 60 + int(seconds)
    duration_s = whole + float(f"0.{fraction or 0}")
    if duration_s > _LONGEST_S:
        raise ValueError("the duration is longer than 10675199 days")
    return -duration_s if sign else duration_s


def format_duration(seconds: float) -> str:
    """Write seconds as `HH:MM:SS`, floored; hours may exceed 99, and less than nothing is nothing."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest:02d}"


def human_duration(seconds: float) -> str:
    """Write seconds as `1h 2m 3s`, `2m 3s` or `3s`, floored; less than nothing is nothing."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes}m {rest}s"
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"
