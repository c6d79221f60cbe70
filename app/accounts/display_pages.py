"""Settings page of the display preferences of an account."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from typing import Any

from babel import Locale
from babel.dates import format_datetime
from babel.numbers import format_decimal
from flask import make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from flask_login import current_user
from wtforms import BooleanField, RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice

from app import runtime
from app.accounts import preferences
from app.accounts.models import User
from app.charts.pages import RANGE_LABELS
from app.web import i18n
from app.web.formats import counted_text
from app.web.forms import SettingsForm
from app.web.http import settings_bp

EXAMPLE_AT, EXAMPLE_NUMBER = datetime(2024, 12, 31, 14, 30), 1234.56  # noqa: DTZ001 (no instant: it shows a form)
# Preferences that affect the whole page, so that it is rendered again.
OF_THE_WHOLE_PAGE = ("theme", "language", "format_locale", "time_zone")
MINUTE_S = 60

# Preference -> labels of its values; values of the others are numbers.
WORDS: dict[str, Mapping[str, Any]] = {
    "theme": {"light": lazy_gettext("Light"), "dark": lazy_gettext("Dark"), "system": lazy_gettext("System")},
    "week_start": {
        "locale": lazy_gettext("Locale default"),
        "monday": lazy_gettext("Monday"),
        "sunday": lazy_gettext("Sunday"),
    },
    "dashboard_view": {
        "cards": lazy_gettext("Cards"),
        "table": lazy_gettext("Table"),
        "compact": lazy_gettext("Compact"),
    },
    "dashboard_order": {
        "name": lazy_gettext("Name"),
        "status": lazy_gettext("Worst first"),
        "newest": lazy_gettext("Newest run first"),
    },
    "chart_range": RANGE_LABELS,
    "chart_style": {"lines": lazy_gettext("Smooth lines"), "bars": lazy_gettext("Bars")},
}


class DisplayForm(SettingsForm):
    """Display preferences. Each field has the name of its preference.

    `language` is stored in the account.
    """

    theme = RadioField(lazy_gettext("Theme"))
    language = SelectField(lazy_gettext("Language"), validate_choice=False)
    format_locale = StringField(
        lazy_gettext("Dates and numbers"),
        description=lazy_gettext("For example de-AT. Leave blank to follow the language."),
        render_kw={"list": "locales", "autocomplete": "off", "spellcheck": "false", "maxlength": 40},
    )
    time_zone = SelectField(lazy_gettext("Time zone"), validate_choice=False)
    week_start = SelectField(lazy_gettext("First day of the week"), validate_choice=False)
    dashboard_view = SelectField(lazy_gettext("Default view"), validate_choice=False)
    dashboard_order = SelectField(lazy_gettext("Sort cards by"), validate_choice=False)
    table_page_size = SelectField(lazy_gettext("Rows per page"), validate_choice=False)
    chart_range = SelectField(lazy_gettext("Chart range"), validate_choice=False)
    chart_style = RadioField(lazy_gettext("Chart style"))
    is_refreshing = BooleanField(
        lazy_gettext("Live updates"),
        description=lazy_gettext("Update pages automatically. A button in the header pauses the updates."),
    )
    refresh_s = SelectField(lazy_gettext("Refresh interval"), validate_choice=False)

    def offer(self) -> None:
        """Fill in the choices."""
        for name, words in WORDS.items():
            self[name].choices = [SelectChoice(value, str(words.get(value, value))) for value in _values(name)]
        sizes, lengths_s = _values("table_page_size"), _values("refresh_s")
        rows = [ngettext("%(num)s row", "%(num)s rows", size) for size in sizes]
        self.table_page_size.choices = [SelectChoice(str(size), text) for size, text in zip(sizes, rows, strict=True)]
        every = [_("every %(length)s", length=_length(length_s)) for length_s in lengths_s]
        self.refresh_s.choices = [SelectChoice(str(s), text) for s, text in zip(lengths_s, every, strict=True)]
        self.language.choices = [SelectChoice(code, label) for code, label in i18n.offered().items()]
        self.time_zone.choices = [SelectChoice("", _("Browser default")), SelectChoice("UTC", "UTC")]
        for zone in sorted(preferences.time_zones()):
            area, _slash, city = zone.partition("/")
            self.time_zone.choices.append(SelectChoice(zone, city.replace("_", " "), optgroup=area))

    def check(self) -> bool:
        """Whether the locale exists; otherwise add an error to the field."""
        text = (self.format_locale.data or "").strip()
        if text and text not in preferences.format_locales():
            self.add_error("format_locale", _("Select a locale from the list, for example de-AT."))
        return not self.wrong_fields

    def chosen(self) -> dict[str, Any]:
        """Return the values to store, by the names of the preferences."""
        chosen = {field.name: field.data for field in self if field.name != "csrf_token" and field.data is not None}
        return chosen | {"format_locale": (self.format_locale.data or "").strip()}


def form_of(user: User, *, is_sent: bool) -> DisplayForm:
    """Return the form, filled from the request or from the stored preferences."""
    stored = {name: value if isinstance(value, bool) else str(value) for name, value in _chosen_by(user).items()}
    source = {} if is_sent else {"formdata": None}
    form = DisplayForm(**source, **stored)
    form.offer()
    return form


def changes_the_whole_page(user: User, chosen: Mapping[str, Any]) -> bool:
    """Whether the change affects more than this tab."""
    before = _chosen_by(user)
    return any(chosen.get(name, before[name]) != before[name] for name in OF_THE_WHOLE_PAGE)


def example() -> str:
    """Return a date, a time and a number in the format of the reader."""
    locale = i18n.format_locale()
    return f"{format_datetime(EXAMPLE_AT, 'short', locale=locale)} · {format_decimal(EXAMPLE_NUMBER, locale=locale)}"


@lru_cache(maxsize=len(i18n.LOCALES))
def locale_names(language: str) -> tuple[tuple[str, str], ...]:
    """Return the locales with their names in a language, sorted by name."""
    reader = Locale.parse(i18n.LOCALES[language])
    named = [(code, _locale_name(code, reader)) for code in preferences.format_locales()]
    return tuple(sorted(named, key=lambda pair: pair[1].casefold()))


def _chosen_by(user: User) -> dict[str, Any]:
    return asdict(preferences.of(user)) | {"language": i18n.chosen_language()}


def _values(name: str) -> tuple[Any, ...]:
    choice = preferences.CHOICES[name]
    return () if callable(choice) else choice


def _length(length_s: int) -> str:
    return counted_text(length_s, "second") if length_s < MINUTE_S else counted_text(length_s // MINUTE_S, "minute")


def _locale_name(code: str, reader: Locale) -> str:
    """Return the name of a locale, as `German (Austria)` for `de-AT`.

    Built from the names of one locale: loading a thousand locales takes seconds.
    """
    language, *rest = code.split("-")
    name = reader.languages.get(language, language)
    parts = [reader.scripts.get(part) or reader.territories.get(part) or part for part in rest]
    return f"{name} ({', '.join(parts)})" if parts else str(name)


# The tab "Display", for every user

TAB = "display"


def show() -> ResponseReturnValue:
    """Show the display preferences."""
    return _show(form_of(current_user, is_sent=False))


@settings_bp.post("/display")
def save_display() -> ResponseReturnValue:
    """Store the preferences.

    With script, each choice is sent at once, and the page is reloaded if all of it changes.
    """
    form = form_of(current_user, is_sent=True)
    is_script = "HX-Request" in request.headers
    if not form.check():
        return _show(form), 200 if is_script else 400
    chosen = form.chosen()
    is_all_new = changes_the_whole_page(current_user, chosen)
    preferences.save(current_user.id, chosen, now=runtime.now())
    if is_script and not is_all_new:
        return _show(form, message=_("Saved"))
    answer = make_response("", 204) if is_script else redirect(url_for("settings.index", tab=TAB), 303)
    answer.headers["HX-Refresh"] = "true"
    return i18n.remember(answer, chosen.get("language"))


def _show(form: DisplayForm, message: str = "") -> str:
    values = {"example": example(), "locales": locale_names(i18n.chosen_language())}
    return render_template("accounts/display.html", tab=TAB, form=form, message=message, **values)
