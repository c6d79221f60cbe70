"""Languages and catalogues of translated texts, for messages and pages.

Needs no request. To add a language, add a row to `LANGUAGES`, then run `scripts/translations.py update` and
translate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from gettext import NullTranslations
from pathlib import Path
from types import MappingProxyType

from babel.support import Translations

# The folder that holds `<locale>/LC_MESSAGES/messages.mo`.
FOLDER = Path(__file__).resolve().parents[1] / "translations"
DOMAIN = "messages"


@dataclass(frozen=True, slots=True)
class Language:
    """A language: its CLDR locale, which names its catalogue, and its own name.

    Texts that a language lacks are those of the language `base`, else English.
    """

    locale: str
    name: str
    base: str | None = None


DEFAULT_LANGUAGE = "en-GB"
# By the code in the API and in cookies.
LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        "en-GB": Language("en_GB", "English (UK)"),
        "de": Language("de", "Deutsch"),
        "fr": Language("fr", "Français"),
        "es": Language("es", "Español"),
        "pt-BR": Language("pt_BR", "Português (Brasil)"),
        # Hindi in Latin letters, of earlier versions: for messages only, with few texts of its own.
        "hi-Latn": Language("hi_Latn", "Hindi (Roman)", base="hi"),
        "hi": Language("hi", "हिन्दी"),
        "zh-Hans": Language("zh_Hans", "简体中文"),
    }
)
# The languages of pages.
PAGE_LANGUAGES = tuple(code for code, language in LANGUAGES.items() if language.base is None)


@cache
def catalog(code: str) -> NullTranslations:
    """Return the main catalogue of a language.

    English, whose texts are those of the sources, for an unknown code.
    """
    language = LANGUAGES.get(code)
    if language is None or code == DEFAULT_LANGUAGE:
        return NullTranslations()
    found = Translations.load(FOLDER, language.locale, DOMAIN)
    if language.base is not None:
        found.add_fallback(catalog(language.base))
    return found
