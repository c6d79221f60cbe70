"""Which language a page speaks, and in whose form it writes dates and numbers.

The language is the account's, else that of the browser's cookie, else what the browser asks for. The form follows the
language unless the account chose another one.
"""

from babel import Locale, UnknownLocaleError
from flask import Flask, g, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from app.accounts import preferences
from app.core.db.extensions import babel
from app.core.languages import DEFAULT_LANGUAGE, FOLDER, LANGUAGES, PAGE_LANGUAGES

# Code on the wire and in cookies -> locale.
LOCALES = {code: LANGUAGES[code].locale for code in PAGE_LANGUAGES}
# What is kept of earlier versions, and what browsers say for the same.
ALIASES = {"hi-Latn": "hi", "en": "en-GB", "pt": "pt-BR", "zh": "zh-Hans", "zh-CN": "zh-Hans", "zh-SG": "zh-Hans"}
# In front of an address they mean an old bookmark.
PREFIXES = (*LOCALES, "hi-Latn", "en")
COOKIE, COOKIE_LIFE_S = "NEXT_LOCALE", 365 * 86_400


def install(app: Flask) -> None:
    """Have the templates of an application speak the reader's language."""
    app.config.setdefault("BABEL_TRANSLATION_DIRECTORIES", str(FOLDER))
    babel.init_app(app, default_locale=LOCALES[DEFAULT_LANGUAGE], locale_selector=lambda: LOCALES[chosen_language()])
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.jinja_env.globals.update(
        language=chosen_language,
        languages=offered,
        format_tag=format_tag,
        time_zone=lambda: reader_preferences().time_zone,
    )


def chosen_language() -> str:
    """The code of the language of this request."""
    if "language" not in g:
        own = current_user.language if current_user.is_authenticated else None
        g.language = known_language(own) or _language_of_browser()
    language: str = g.language
    return language


def treat_as_visitor() -> None:
    """Leave the account out of it in this request: what knows the accounts may be what is in trouble."""
    g.language, g.preferences = _language_of_browser(), preferences.DEFAULTS


def format_locale() -> Locale:
    """The locale by which this request writes dates and numbers."""
    if "format_locale" not in g:
        try:
            g.format_locale = Locale.parse(format_tag(), sep="-")
        except (UnknownLocaleError, ValueError):
            g.format_locale = Locale.parse(LOCALES[chosen_language()])
    locale: Locale = g.format_locale
    return locale


def format_tag() -> str:
    """The same, as browsers name it."""
    return reader_preferences().format_locale or chosen_language()


def known_language(code: str | None) -> str | None:
    """A code that we speak, for one that may be an old or a wider one; None for any other."""
    code = ALIASES.get(code or "", code)
    return code if code in PAGE_LANGUAGES else None


def offered() -> dict[str, str]:
    """The languages to choose from, with their names."""
    return {code: LANGUAGES[code].name for code in PAGE_LANGUAGES}


def accepted_language() -> str:
    """The first language of the browser that we speak, by itself or without its region; else English."""
    for code, _quality in request.accept_languages:
        if found := known_language(code) or known_language(code.partition("-")[0]):
            return found
    return DEFAULT_LANGUAGE


def remember(response: Response, code: str | None) -> Response:
    """Have the browser ask for this language from now on; one that we do not speak changes nothing."""
    if language := known_language(code):
        root = url_for("pages.dashboard")
        response.set_cookie(COOKIE, language, max_age=COOKIE_LIFE_S, samesite="Lax", path=root)
    return response


def reader_preferences() -> preferences.Preferences:
    """How the reader of this page likes to see things."""
    if "preferences" not in g:
        g.preferences = preferences.of(current_user)
    chosen: preferences.Preferences = g.preferences
    return chosen


def _language_of_browser() -> str:
    return known_language(request.cookies.get(COOKIE)) or accepted_language()
