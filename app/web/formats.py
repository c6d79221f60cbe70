"""Formats of numbers and instants on pages.

Registered with Jinja as filters and functions. Words are in the reader's language, dates and numbers in the form of
the locale that the reader chose. The browser formats instants again in its own time zone, with the same words, which
`page_words` provides.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton, format_timedelta
from babel.numbers import format_decimal
from flask import Flask, current_app, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_pgettext, pgettext
from markupsafe import Markup

from app import runtime
from app.notifications.messages import JUST_NOW_S, MONTH_S, SECOND, YEAR_S, unit_of
from app.reports.decoding import format_duration
from app.schedules.intervals import BadInterval, parse_interval
from app.web.i18n import LOCALES, chosen_language, format_locale

BYTE_UNITS = ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
INTERVAL_UNITS = {"s": "second", "m": "minute", "h": "hour", "D": "day", "W": "week", "M": "month", "Y": "year"}
UNIT_LENGTHS_S = {
    "second": 1,
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": MONTH_S,
    "year": YEAR_S,
}
MISSING = "N/A"


def install(app: Flask) -> None:
    """Make the formats available in templates."""
    filters = {
        "size": size_text,
        "count": count_text,
        "duration": duration_text,
        "since": since_text,
        "iso": iso_text,
        "interval": interval_text,
        "every": every_text,
        "day_text": day_text,
        "date_text": date_text,
    }
    app.jinja_env.filters.update(filters)
    app.jinja_env.globals.update(exact=exact, relative=relative, due=due, age=age, icon=icon, page_words=page_words)


def page_words() -> dict[str, str]:
    """Return the words that scripts use."""
    return {
        "justNow": _("just now"),
        "dueNow": _("due now"),
        "overdue": _("overdue by {time}"),
        "and": _("{time} and {rest}"),
        "ago": _("{time} ago"),
        "ahead": _("in {time}"),
        "now": pgettext("age", "now"),
        "future": pgettext("age", "future"),
        "copied": _("Copied"),
        **{unit: str(letters) for unit, letters in AGE_LETTERS.items()},
    }


# The shortest symbols of the units, for ages beside a heartbeat bar.
AGE_LETTERS = {
    "year": lazy_pgettext("age", "y"),
    "month": lazy_pgettext("age", "mo"),
    "week": lazy_pgettext("age", "w"),
    "day": lazy_pgettext("age", "d"),
    "hour": lazy_pgettext("age", "h"),
    "minute": lazy_pgettext("age", "m"),
}


def size_text(size_bytes: float | None) -> str:
    """Return bytes in their largest unit of 1024 with two decimals.

    `0 Bytes` for zero or less.
    """
    if size_bytes is None or size_bytes <= 0:
        return "0 Bytes"
    power = 0
    while size_bytes >= 1024 and power < len(BYTE_UNITS) - 1:
        size_bytes /= 1024
        power += 1
    return f"{_decimals_text(round(size_bytes, 2))} {BYTE_UNITS[power]}"


def count_text(count: int | None) -> str:
    """Return a whole number with thousands separators."""
    return MISSING if count is None else number_text(count)


def number_text(number: float) -> str:
    """Return a whole number with thousands separators of the reader's locale."""
    locale = format_locale()
    return f"{number:,.0f}" if _is_plain(locale) else _number_text(number, "#,##0", locale)


def _decimals_text(number: float) -> str:
    locale = format_locale()
    return f"{number:.2f}" if _is_plain(locale) else _number_text(number, "0.00", locale)


def _is_plain(locale: Locale) -> bool:
    """Whether the locale formats numbers like Python, which is faster than Babel."""
    return locale.language == "en" and locale.territory in ("GB", "US", None)


def duration_text(duration_s: float | None) -> str:
    """Return seconds as `HH:MM:SS`."""
    return MISSING if duration_s is None else format_duration(duration_s)


def age_text(at: datetime | None, now: datetime) -> str:
    """Return how long ago in the shortest form.

    `now`, `5 m`, `2 h`, `3 d`, `2 w`, `4 mo`, `1 y 2 mo`.
    """
    if at is None:
        return MISSING
    passed_s = (now - at) // SECOND
    if passed_s < 0:
        return pgettext("age", "future")
    if passed_s < UNIT_LENGTHS_S["minute"]:
        return pgettext("age", "now")
    count, unit = unit_of(passed_s)
    months = passed_s % YEAR_S // MONTH_S if unit == "year" else 0
    return _age_text(count, unit, months, chosen_language())


def since_text(at: datetime, now: datetime) -> str:
    """Return the time since an instant: `2 hours`."""
    return length_text(max(1, (now - at) // SECOND))


def length_text(length_s: int) -> str:
    """Return a positive length in its largest unit; years with their months."""
    count, unit = unit_of(length_s)
    months = length_s % YEAR_S // MONTH_S if unit == "year" else 0
    text = counted_text(count, unit)
    return _("{time} and {rest}").format(time=text, rest=counted_text(months, "month")) if months else text


def counted_text(count: int, unit: str) -> str:
    """Return a number of units of time, in the language of the page."""
    return _counted_text(count, unit, LOCALES[chosen_language()])


def relative_text(at: datetime, now: datetime) -> str:
    """Return how long ago or until, in the language of the page, to the second."""
    passed_s = (now - at) // SECOND
    if abs(passed_s) < JUST_NOW_S:
        return _("just now")
    count, unit = unit_of(abs(passed_s))
    if unit == "year":
        pattern = _("{time} ago") if passed_s > 0 else _("in {time}")
        return pattern.format(time=length_text(abs(passed_s)))
    return _directed_text(count if passed_s < 0 else -count, unit, LOCALES[chosen_language()])


def iso_text(at: datetime) -> str:
    """Return an instant for the attribute `datetime`."""
    return f"{at.astimezone(UTC).isoformat()[:19]}Z"


def day_text(day: date) -> str:
    """Return a date without its year, in short form."""
    return _day_text(day, format_locale())


def date_text(day: date) -> str:
    """Return a date with its year, in digits."""
    locale = format_locale()
    if locale.language == "en" and locale.territory == "GB":
        return f"{day:%d/%m/%Y}"
    return _date_text(day, locale)


def exact(at: datetime | None) -> Markup:
    """Return date and time to the minute.

    In the installation's zone until the browser uses its own.
    """
    if at is None:
        return MISSING_MARK
    return _time(at, "exact", exact_text(at))


def exact_text(at: datetime) -> str:
    """Return date and time to the minute in the installation's zone."""
    local, locale = at.astimezone(runtime.settings().zone), format_locale()
    if locale.language == "en" and locale.territory == "GB":
        return f"{local:%d/%m/%Y, %H:%M}"
    return _exact_text(local.replace(second=0, microsecond=0), locale)


def relative(at: datetime | None, now: datetime) -> Markup:
    """Return how long ago or until, in words that the browser updates."""
    return MISSING_MARK if at is None else _time(at, "relative", relative_text(at, now))


def due(at: datetime | None, now: datetime) -> Markup:
    """Return how long until something is expected; then `due now` until it is overdue."""
    return MISSING_MARK if at is None else _time(at, "due", relative_text(at, now) if at > now else _("due now"))


def interval_text(interval: str) -> str:
    """Return an interval in words: `1 day`, `12 hours`, `1 week and 3 days`.

    Unchanged if it is invalid.
    """
    try:
        tokens = parse_interval(interval).tokens
    except BadInterval:
        return interval
    text, *others = [counted_text(token.value, INTERVAL_UNITS[token.unit]) for token in tokens]
    for other in others:
        text = _("{time} and {rest}").format(time=text, rest=other)
    return text


def every_text(interval: str) -> str:
    """Return the same as part of a sentence: `every day`, `every 12 hours`."""
    single = {
        "1m": _("every minute"),
        "1h": _("every hour"),
        "1D": _("every day"),
        "1W": _("every week"),
        "1M": _("every month"),
        "1Y": _("every year"),
    }.get(interval)
    return single or _("every {time}").format(time=interval_text(interval))


def age(at: datetime | None, now: datetime) -> Markup:
    """Return how long ago in the shortest form, updated by the browser."""
    return MISSING_MARK if at is None else _time(at, "age", age_text(at, now))


def icon(name: str) -> Markup:
    """Return an icon of the sprite.

    It is hidden from screen readers: the label is beside it.
    """
    return _icon(name, request.script_root, current_app.static_url_path or "")


MISSING_MARK = Markup('<span class="missing">N/A</span>')


def _time(at: datetime, show: str, text: str) -> Markup:
    # Built without escaping, since a page has thousands: all three parts are our own words and digits.
    return Markup(f'<time datetime="{iso_text(at)}" data-show="{show}">{text}</time>')  # noqa: S704


@lru_cache(maxsize=1024)
def _icon(name: str, _script_root: str, _static_path: str) -> Markup:
    source = url_for("static", filename="vendor/tabler-icons/icons.svg")
    return Markup('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>').format(source, name)


# Babel looks up every form in its locale data; a page repeats the same few values.
@lru_cache(maxsize=4096)
def _age_text(count: int, unit: str, months: int, _language: str) -> str:
    rest = f" {months} {AGE_LETTERS['month']}" if months else ""
    return f"{count} {AGE_LETTERS[unit]}{rest}"


@lru_cache(maxsize=4096)
def _number_text(number: float, form: str, locale: Locale) -> str:
    return str(format_decimal(number, form, locale=locale))


@lru_cache(maxsize=1024)
def _counted_text(count: int, unit: str, locale: str) -> str:
    return format_timedelta(_length(count, unit), granularity=unit, threshold=1e9, locale=locale)  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _directed_text(count: int, unit: str, locale: str) -> str:
    length = _length(count, unit)
    return format_timedelta(length, granularity=unit, threshold=1e9, add_direction=True, locale=locale)  # type: ignore[arg-type]


def _length(count: int, unit: str) -> timedelta:
    return timedelta(seconds=count * UNIT_LENGTHS_S[unit])


@lru_cache(maxsize=2048)  # a calendar of a year has 365 of them
def _day_text(day: date, locale: Locale) -> str:
    return str(format_skeleton("MMMd", day, locale=locale))


@lru_cache(maxsize=2048)
def _date_text(day: date, locale: Locale) -> str:
    return str(format_date(day, "short", locale=locale))


@lru_cache(maxsize=4096)
def _exact_text(local: datetime, locale: Locale) -> str:
    return str(format_datetime(local, "short", locale=locale)).replace("\u202f", " ")
