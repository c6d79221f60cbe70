"""Figures and instants as people read them, on every page; registered with Jinja as filters and functions."""

from datetime import UTC, datetime
from functools import lru_cache

from flask import Flask, current_app, request, url_for
from markupsafe import Markup

from app.domain.durations import format_duration
from app.domain.elapsed import relative_text
from app.domain.intervals import BadInterval, parse_interval
from app.services import deployment

BYTE_UNITS = ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
INTERVAL_UNITS = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "D": "day",
    "W": "week",
    "M": "month",
    "Y": "year",
}
MISSING = "N/A"
AGE_UNITS = ((365 * 86_400, "y"), (30 * 86_400, "mo"), (7 * 86_400, "w"), (86_400, "d"), (3_600, "h"), (60, "m"))


def install(app: Flask) -> None:
    """Make the formats known to templates."""
    filters = {
        "size": size_text,
        "count": count_text,
        "duration": duration_text,
        "since": since_text,
        "iso": iso_text,
        "interval": interval_text,
    }
    app.jinja_env.filters.update(filters)
    app.jinja_env.globals.update(exact=exact, relative=relative, due=due, age=age, icon=icon)


def size_text(size_bytes: float | None) -> str:
    """Bytes in their largest unit of 1024 with two decimals; nothing or less is `0 Bytes`."""
    if size_bytes is None or size_bytes <= 0:
        return "0 Bytes"
    power = 0
    while size_bytes >= 1024 and power < len(BYTE_UNITS) - 1:
        size_bytes /= 1024
        power += 1
    return f"{size_bytes:.2f} {BYTE_UNITS[power]}"


def count_text(count: int | None) -> str:
    """A whole number with its thousands set apart."""
    return MISSING if count is None else f"{count:,}"


def duration_text(duration_s: float | None) -> str:
    """Seconds as `HH:MM:SS`."""
    return MISSING if duration_s is None else format_duration(duration_s)


def age_text(at: datetime | None, now: datetime) -> str:
    """How long ago, as short as it can be said: `now`, `5 m`, `2 h`, `3 d`, `2 w`, `4 mo`, `1 y 2 mo`."""
    if at is None:
        return MISSING
    passed_s = int((now - at).total_seconds())
    if passed_s < 0:
        return "future"
    if passed_s < 60:
        return "now"
    size_s, unit = next((size_s, unit) for size_s, unit in AGE_UNITS if passed_s >= size_s)
    months = passed_s % size_s // (30 * 86_400)
    rest = f" {months} mo" if unit == "y" and months else ""
    return f"{passed_s // size_s} {unit}{rest}"


def since_text(at: datetime, now: datetime) -> str:
    """How long it has been, without "ago": `2 hours`."""
    return relative_text(at, now).removesuffix(" ago")


def iso_text(at: datetime) -> str:
    """An instant as the attribute `datetime` wants it."""
    return f"{at.astimezone(UTC).isoformat()[:19]}Z"


def exact(at: datetime | None) -> Markup:
    """Date and time to the minute, in the installation's zone until the browser puts it into its own."""
    if at is None:
        return MISSING_MARK
    return _time(at, "exact", f"{at.astimezone(deployment.settings().zone):%d/%m/%Y, %H:%M}")


def relative(at: datetime | None, now: datetime) -> Markup:
    """How long ago or until, in words that the browser keeps true."""
    return MISSING_MARK if at is None else _time(at, "relative", relative_text(at, now))


def due(at: datetime | None, now: datetime) -> Markup:
    """How long until something is expected; once that time has come, `due now` until it counts as overdue."""
    return MISSING_MARK if at is None else _time(at, "due", relative_text(at, now) if at > now else "due now")


def interval_text(interval: str) -> str:
    """How often, in words: `day`, `12 hours`, `1 week and 3 days`; what cannot be read stays as it is."""
    try:
        tokens = parse_interval(interval).tokens
    except BadInterval:
        return interval
    if len(tokens) == 1 and tokens[0].value == 1:
        return INTERVAL_UNITS[tokens[0].unit]
    return " and ".join(
        f"{token.value} {INTERVAL_UNITS[token.unit]}{'' if token.value == 1 else 's'}" for token in tokens
    )


def age(at: datetime | None, now: datetime) -> Markup:
    """How long ago, in its shortest form, kept true by the browser."""
    return MISSING_MARK if at is None else _time(at, "age", age_text(at, now))


def icon(name: str) -> Markup:
    """An icon of the sprite, hidden from screen readers: the word stands beside it."""
    return _icon(name, request.script_root, current_app.static_url_path or "")


MISSING_MARK = Markup('<span class="missing">N/A</span>')


def _time(at: datetime, show: str, text: str) -> Markup:
    # Put together by hand, since a page holds thousands: all three parts are our own words and digits.
    return Markup(f'<time datetime="{iso_text(at)}" data-show="{show}">{text}</time>')  # noqa: S704


@lru_cache(maxsize=1024)
def _icon(name: str, _script_root: str, _static_path: str) -> Markup:
    source = url_for("static", filename="vendor/tabler-icons/icons.svg")
    return Markup('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>').format(source, name)
