"""Which language a page speaks: the account's, else the browser's cookie, else what the browser asks for."""

from pathlib import Path

from flask import Flask, request
from flask_babel import get_locale
from flask_login import current_user

from app.extensions import babel

# Code on the wire and in cookies -> code of the Unicode locale data, which names the folder of its texts.
LOCALES = {
    "en-GB": "en_GB",
    "de": "de",
    "fr": "fr",
    "es": "es",
    "pt-BR": "pt_BR",
    "hi": "hi",
    "zh-Hans": "zh_Hans",
}
DEFAULT = "en-GB"
# What is kept of earlier versions, and what browsers say for the same.
ALIASES = {"hi-Latn": "hi", "en": "en-GB", "pt": "pt-BR", "zh": "zh-Hans", "zh-CN": "zh-Hans", "zh-SG": "zh-Hans"}
FOLDER = Path(__file__).parent / "translations"
COOKIE = "NEXT_LOCALE"


def install(app: Flask) -> None:
    """Have the templates of an application speak the reader's language."""
    app.config.setdefault("BABEL_TRANSLATION_DIRECTORIES", str(FOLDER))
    babel.init_app(app, default_locale=LOCALES[DEFAULT], locale_selector=lambda: LOCALES[chosen_language()])
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.jinja_env.globals.update(language=chosen_language, get_locale=get_locale)


def chosen_language() -> str:
    """The code of the language of this request."""
    own = current_user.language if current_user.is_authenticated else None
    return known_language(own) or known_language(request.cookies.get(COOKIE)) or accepted_language()


def known_language(code: str | None) -> str | None:
    """A code that we speak, for one that may be an old or a wider one; None for any other."""
    code = ALIASES.get(code or "", code)
    return code if code in LOCALES else None


def accepted_language() -> str:
    """The first language of the browser that we speak, by itself or without its region; else English."""
    for code, _quality in request.accept_languages:
        if found := known_language(code) or known_language(code.partition("-")[0]):
            return found
    return DEFAULT
