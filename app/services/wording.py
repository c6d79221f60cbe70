"""Numbers, dates and words as the readers of a message write them; the formats of contract 70 E."""

from datetime import datetime

from babel.dates import format_datetime
from babel.numbers import format_decimal

from app.domain.default_templates import DEFAULT_LANGUAGE
from app.services.deployment import settings

# Code on the wire -> code of the Unicode locale data.
LANGUAGES = {
    "en-GB": "en_GB",
    "de": "de",
    "fr": "fr",
    "es": "es",
    "pt-BR": "pt_BR",
    "hi-Latn": "hi_Latn",
    "hi": "hi_Latn",
    "zh-Hans": "zh_Hans",
}
# Where babel's short form is not the one that the contract shows.
DATE_FORMATS = {"pt-BR": "dd/MM/y, HH:mm", "hi-Latn": "dd/MM/y, h:mm a", "hi": "dd/MM/y, h:mm a"}
# Spanish groups no number of four digits; babel does not know this rule.
UNGROUPED_BELOW = {"es": 10_000}
UNITS = ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB")
STATUS_WORDS = {
    "de": {"Success": "Erfolgreich", "Warning": "Warnung", "Error": "Fehler", "Fatal": "Fatal"},
    "fr": {"Success": "Succès", "Warning": "Avertissement", "Error": "Erreur", "Fatal": "Fatal"},
    "es": {"Success": "Éxito", "Warning": "Advertencia", "Error": "Error", "Fatal": "Fatal"},
    "pt-BR": {"Success": "Sucesso", "Warning": "Aviso", "Error": "Erro", "Fatal": "Fatal"},
    "hi-Latn": {"Success": "Safalta", "Warning": "Warning", "Error": "Truti", "Fatal": "Gambhir"},
    "hi": {"Success": "Safalta", "Warning": "Warning", "Error": "Truti", "Fatal": "Gambhir"},
    "zh-Hans": {"Success": "成功", "Warning": "警告", "Error": "错误", "Fatal": "致命"},
}
TOLERANCE_WORDS = {
    "no_tolerance": "No tolerance",
    "5min": "5 min",
    "15min": "15 min",
    "30min": "30 min",
    "1h": "1 hour",
    "2h": "2 hours",
    "4h": "4 hours",
    "6h": "6 hours",
    "12h": "12 hours",
    "1d": "1 day",
}


def language_or_default(code: object) -> str:
    """The code itself when it is one that we know, else that of English."""
    return code if isinstance(code, str) and code in LANGUAGES else DEFAULT_LANGUAGE


def date_text(instant: datetime | None, language: str) -> str:
    """Short date and time in the zone of the deployment; nothing for an unknown instant."""
    if instant is None:
        return ""
    local = instant.astimezone(settings().zone)
    form = DATE_FORMATS.get(language, "short")
    return format_datetime(local, form, locale=LANGUAGES[language]).replace("\u202f", " ")


def count_text(number: int, language: str) -> str:
    """A whole number, grouped as the language groups."""
    is_grouped = abs(number) >= UNGROUPED_BELOW.get(language, 0)
    return format_decimal(number, locale=LANGUAGES[language], group_separator=is_grouped)


def size_text(size_bytes: int, language: str) -> str:
    """A size in steps of 1024 with two decimals; nothing is `0 Bytes`."""
    if size_bytes <= 0:
        return "0 Bytes"
    step = min((size_bytes.bit_length() - 1) // 10, len(UNITS) - 1)
    amount = size_bytes / 1024**step
    is_grouped = amount >= UNGROUPED_BELOW.get(language, 0)
    locale = LANGUAGES[language]
    return f"{format_decimal(amount, '#,##0.00', locale=locale, group_separator=is_grouped)} {UNITS[step]}"


def status_word(status: str, language: str) -> str:
    """How a run ended, in the language of the message."""
    return STATUS_WORDS.get(language, {}).get(status, status)
