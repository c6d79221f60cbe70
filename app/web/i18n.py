"""The language of a page, and the locale of its dates and numbers.

The language is that of the account, else of the browser's cookie, else what the browser requests. The locale follows
the language unless the account chose another one.
"""

from babel import Locale, UnknownLocaleError
from flask import Flask, g, request, url_for
from flask_babel import Babel
from flask_login import current_user
from werkzeug.wrappers import Response

from app.accounts import preferences
from app.core.languages import DEFAULT_LANGUAGE, FOLDER, LANGUAGES, PAGE_LANGUAGES

# Code in the API and in cookies -> locale.
LOCALES = {code: LANGUAGES[code].locale for code in PAGE_LANGUAGES}
# Codes of earlier versions, and what browsers send for the same.
ALIASES = {"hi-Latn": "hi", "en": "en-GB", "pt": "pt-BR", "zh": "zh-Hans", "zh-CN": "zh-Hans", "zh-SG": "zh-Hans"}
# As prefix of a path they mean an old bookmark.
PREFIXES = (*LOCALES, "hi-Latn", "en")
babel = Babel()
COOKIE, COOKIE_LIFE_S = "NEXT_LOCALE", 365 * 86_400


def install(app: Flask) -> None:
    """Make the templates of an application use the reader's language."""
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
    """Return the code of the language of this request."""
    if "language" not in g:
        own = current_user.language if current_user.is_authenticated else None
        g.language = known_language(own) or _language_of_browser()
    language: str = g.language
    return language


def ignore_account() -> None:
    """Ignore the account in this request: reading it may be what failed."""
    g.language, g.preferences = _language_of_browser(), preferences.DEFAULTS


def format_locale() -> Locale:
    """Return the locale of dates and numbers in this request."""
    if "format_locale" not in g:
        try:
            g.format_locale = Locale.parse(format_tag(), sep="-")
        except (UnknownLocaleError, ValueError):
            g.format_locale = Locale.parse(LOCALES[chosen_language()])
    locale: Locale = g.format_locale
    return locale


def format_tag() -> str:
    """Return the same as a language tag of browsers."""
    return reader_preferences().format_locale or chosen_language()


def known_language(code: str | None) -> str | None:
    """Return the code of a supported language; None for others.

    The argument may be an older or more general code.
    """
    code = ALIASES.get(code or "", code)
    return code if code in PAGE_LANGUAGES else None


def offered() -> dict[str, str]:
    """Return the available languages with their names."""
    return {code: LANGUAGES[code].name for code in PAGE_LANGUAGES}


def accepted_language() -> str:
    """Return the first supported language of the browser, exact or without its region.

    Else English.
    """
    for code, _quality in request.accept_languages:
        if found := known_language(code) or known_language(code.partition("-")[0]):
            return found
    return DEFAULT_LANGUAGE


def remember(response: Response, code: str | None) -> Response:
    """Store the language in a cookie; an unsupported one changes nothing."""
    if language := known_language(code):
        root = url_for("pages.dashboard")
        response.set_cookie(COOKIE, language, max_age=COOKIE_LIFE_S, samesite="Lax", path=root)
    return response


def reader_preferences() -> preferences.Preferences:
    """Return the display preferences of the reader."""
    if "preferences" not in g:
        g.preferences = preferences.of(current_user)
    chosen: preferences.Preferences = g.preferences
    return chosen


def _language_of_browser() -> str:
    return known_language(request.cookies.get(COOKIE)) or accepted_language()
