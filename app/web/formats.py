"""Figures and instants as people read them, on every page; registered with Jinja as filters and functions.

Words are in the reader's language, dates and numbers in the form of the locale that the reader chose. The browser
writes instants anew in its own zone, with the same words: `page_words` hands them over.
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
from app.notifications.wording import JUST_NOW_S, MONTH_S, SECOND, YEAR_S, unit_of
from app.reports.fields import format_duration
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
    """Make the formats known to templates."""
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
    """The words that scripts write: of instants, which they keep true, and of what every page can do."""
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


# The shortest signs of the units, as ages are told beside a strip.
AGE_LETTERS = {
    "year": lazy_pgettext("age", "y"),
    "month": lazy_pgettext("age", "mo"),
    "week": lazy_pgettext("age", "w"),
    "day": lazy_pgettext("age", "d"),
    "hour": lazy_pgettext("age", "h"),
    "minute": lazy_pgettext("age", "m"),
}


def size_text(size_bytes: float | None) -> str:
    """Bytes in their largest unit of 1024 with two decimals; nothing or less is `0 Bytes`."""
    if size_bytes is None or size_bytes <= 0:
        return "0 Bytes"
    power = 0
    while size_bytes >= 1024 and power < len(BYTE_UNITS) - 1:
        size_bytes /= 1024
        power += 1
    return f"{_decimals_text(round(size_bytes, 2))} {BYTE_UNITS[power]}"


def count_text(count: int | None) -> str:
    """A whole number with its thousands set apart."""
    return MISSING if count is None else number_text(count)


def number_text(number: float) -> str:
    """A whole number with its thousands set apart, in the form of the reader."""
    locale = format_locale()
    return f"{number:,.0f}" if _is_plain(locale) else _number_text(number, "#,##0", locale)


def _decimals_text(number: float) -> str:
    locale = format_locale()
    return f"{number:.2f}" if _is_plain(locale) else _number_text(number, "0.00", locale)


def _is_plain(locale: Locale) -> bool:
    """Whether numbers are written as Python does by itself, which is quicker than to ask Babel."""
    return locale.language == "en" and locale.territory in ("GB", "US", None)


def duration_text(duration_s: float | None) -> str:
    """Seconds as `HH:MM:SS`."""
    return MISSING if duration_s is None else format_duration(duration_s)


def age_text(at: datetime | None, now: datetime) -> str:
    """How long ago, as short as it can be said: `now`, `5 m`, `2 h`, `3 d`, `2 w`, `4 mo`, `1 y 2 mo`."""
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
    """How long it has been: `2 hours`."""
    return length_text(max(1, (now - at) // SECOND))


def length_text(length_s: int) -> str:
    """A positive length in its largest unit; years with their months."""
    count, unit = unit_of(length_s)
    months = length_s % YEAR_S // MONTH_S if unit == "year" else 0
    text = counted_text(count, unit)
    return _("{time} and {rest}").format(time=text, rest=counted_text(months, "month")) if months else text


def counted_text(count: int, unit: str) -> str:
    """So many of a unit of time, in the language of the page."""
    return _counted_text(count, unit, LOCALES[chosen_language()])


def relative_text(at: datetime, now: datetime) -> str:
    """How long ago or until, in the language of the page, to the second."""
    passed_s = (now - at) // SECOND
    if abs(passed_s) < JUST_NOW_S:
        return _("just now")
    count, unit = unit_of(abs(passed_s))
    if unit == "year":
        said = _("{time} ago") if passed_s > 0 else _("in {time}")
        return said.format(time=length_text(abs(passed_s)))
    return _directed_text(count if passed_s < 0 else -count, unit, LOCALES[chosen_language()])


def iso_text(at: datetime) -> str:
    """An instant as the attribute `datetime` wants it."""
    return f"{at.astimezone(UTC).isoformat()[:19]}Z"


def day_text(day: date) -> str:
    """A day of the calendar without its year, as short as it can be said."""
    return _day_text(day, format_locale())


def date_text(day: date) -> str:
    """A day of the calendar with its year, in figures."""
    locale = format_locale()
    if locale.language == "en" and locale.territory == "GB":
        return f"{day:%d/%m/%Y}"
    return _date_text(day, locale)


def exact(at: datetime | None) -> Markup:
    """Date and time to the minute, in the installation's zone until the browser puts it into its own."""
    if at is None:
        return MISSING_MARK
    return _time(at, "exact", exact_text(at))


def exact_text(at: datetime) -> str:
    """Date and time to the minute in the installation's zone."""
    local, locale = at.astimezone(runtime.settings().zone), format_locale()
    if locale.language == "en" and locale.territory == "GB":
        return f"{local:%d/%m/%Y, %H:%M}"
    return _exact_text(local.replace(second=0, microsecond=0), locale)


def relative(at: datetime | None, now: datetime) -> Markup:
    """How long ago or until, in words that the browser keeps true."""
    return MISSING_MARK if at is None else _time(at, "relative", relative_text(at, now))


def due(at: datetime | None, now: datetime) -> Markup:
    """How long until something is expected; once that time has come, `due now` until it counts as overdue."""
    return MISSING_MARK if at is None else _time(at, "due", relative_text(at, now) if at > now else _("due now"))


def interval_text(interval: str) -> str:
    """How often, in words: `1 day`, `12 hours`, `1 week and 3 days`; what cannot be read stays as it is."""
    try:
        tokens = parse_interval(interval).tokens
    except BadInterval:
        return interval
    text, *others = [counted_text(token.value, INTERVAL_UNITS[token.unit]) for token in tokens]
    for other in others:
        text = _("{time} and {rest}").format(time=text, rest=other)
    return text


def every_text(interval: str) -> str:
    """The same as part of a sentence: `every day`, `every 12 hours`."""
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


# Babel looks every form up in its locale data; a page says the same few things again and again.
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


@lru_cache(maxsize=2048)  # a calendar of a year writes 365 of them
def _day_text(day: date, locale: Locale) -> str:
    return str(format_skeleton("MMMd", day, locale=locale))


@lru_cache(maxsize=2048)
def _date_text(day: date, locale: Locale) -> str:
    return str(format_date(day, "short", locale=locale))


@lru_cache(maxsize=4096)
def _exact_text(local: datetime, locale: Locale) -> str:
    return str(format_datetime(local, "short", locale=locale)).replace("\u202f", " ")
