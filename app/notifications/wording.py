"""Elapsed time in English words."""

from datetime import date, datetime, timedelta
from typing import Literal

from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit

from app.notifications.default_templates import DEFAULT_LANGUAGE
from app.runtime import settings
from app.schedules.overdue import TOLERANCES

SECOND = timedelta(seconds=1)
# Seconds in each unit from the longest to the shortest, with weeks of 7, months of 30 and years of 365 days.
YEAR_S = 31_536_000
MONTH_S = 2_592_000
TIME_UNITS = (
    (YEAR_S, "year"),
    (MONTH_S, "month"),
    (604_800, "week"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
    (1, "second"),
)
MINUTE_S = 60
JUST_NOW_S = 15


def elapsed_text(since: datetime | None, now: datetime) -> str:
    """Return how long ago, without the word: `3 hours`. Less than a minute is `0 minutes`; unknown is empty.

    Source: docs/compatibility/core-api.md#rule-e.
    """
    if since is None:
        return ""
    passed_s = (now - since) // SECOND
    if passed_s < 0:
        return "in the future"
    if passed_s < JUST_NOW_S:
        return "just now"
    return _counted(0, "minute") if passed_s < MINUTE_S else _amount(passed_s)


def relative_text(at: datetime | None, now: datetime) -> str:
    """Return `3 hours ago` or `in 3 hours`, to the second; unknown is empty.

    Source: docs/compatibility/notifications.md#rule-r.
    """
    if at is None:
        return ""
    passed_s = (now - at) // SECOND
    if abs(passed_s) < JUST_NOW_S:
        return "just now"
    return f"{_amount(passed_s)} ago" if passed_s > 0 else f"in {_amount(-passed_s)}"


def unit_of(length_s: int) -> tuple[int, str]:
    """The largest unit that fits into a length of at least a second, and how often: `(2, "hour")`."""
    size_s, unit = next((size_s, unit) for size_s, unit in TIME_UNITS if length_s >= size_s)
    return length_s // size_s, unit


def _amount(length_s: int) -> str:
    """A positive length in its largest unit; years with their months."""
    count, unit = unit_of(length_s)
    text = _counted(count, unit)
    months = length_s % YEAR_S // MONTH_S
    return f"{text} and {_counted(months, 'month')}" if unit == "year" and months else text


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


# Numbers, dates and words in the formats of docs/compatibility/notifications.md#templates.

# Code on the wire -> code of the Unicode locale data.
LANGUAGES = {
    "en-GB": "en_GB",
    "de": "de",
    "fr": "fr",
    "es": "es",
    "pt-BR": "pt_BR",
    "hi-Latn": "hi_Latn",
    "hi": "hi",
    "zh-Hans": "zh_Hans",
}
# Where Babel's short form is not the one in docs/compatibility/notifications.md#templates.
DATE_FORMATS = {"pt-BR": "dd/MM/y, HH:mm", "hi-Latn": "dd/MM/y, h:mm a", "hi": "dd/MM/y, h:mm a"}
# Spanish groups no number of four digits; babel does not know this rule.
UNGROUPED_BELOW = {"es": 10_000}
SIZE_UNITS = ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB")
STATUS_WORDS = {
    "de": {"Success": "Erfolgreich", "Warning": "Warnung", "Error": "Fehler", "Fatal": "Fatal"},
    "fr": {"Success": "Succès", "Warning": "Avertissement", "Error": "Erreur", "Fatal": "Fatal"},
    "es": {"Success": "Éxito", "Warning": "Advertencia", "Error": "Error", "Fatal": "Fatal"},
    "pt-BR": {"Success": "Sucesso", "Warning": "Aviso", "Error": "Erro", "Fatal": "Fatal"},
    "hi-Latn": {"Success": "Safalta", "Warning": "Warning", "Error": "Truti", "Fatal": "Gambhir"},
    "hi": {"Success": "सफल", "Warning": "चेतावनी", "Error": "त्रुटि", "Fatal": "गंभीर"},
    "zh-Hans": {"Success": "成功", "Warning": "警告", "Error": "错误", "Fatal": "致命"},
}
# How a run ended besides its status; see `domain.run_outcomes.Outcome`.
OUTCOME_WORDS = {
    DEFAULT_LANGUAGE: {"aborted": "aborted", "dry_run": "dry run", "stopped": "stopped", "partial": "partial"},
    "de": {"aborted": "abgebrochen", "dry_run": "Probelauf", "stopped": "angehalten", "partial": "unvollständig"},
    "fr": {"aborted": "abandonnée", "dry_run": "simulation", "stopped": "arrêtée", "partial": "partielle"},
    "es": {"aborted": "cancelada", "dry_run": "simulación", "stopped": "detenida", "partial": "parcial"},
    "pt-BR": {"aborted": "cancelada", "dry_run": "simulação", "stopped": "parada", "partial": "parcial"},
    "hi-Latn": {"aborted": "radd", "dry_run": "trial run", "stopped": "roka gaya", "partial": "aanshik"},
    "hi": {"aborted": "रद्द", "dry_run": "ट्रायल रन", "stopped": "रोका गया", "partial": "आंशिक"},
    "zh-Hans": {"aborted": "已中止", "dry_run": "试运行", "stopped": "已停止", "partial": "部分备份"},
}
BROKEN_OFF_WORDS = {
    DEFAULT_LANGUAGE: "The run of {date} was broken off.",
    "de": "Der Lauf vom {date} wurde unterbrochen und nicht beendet.",
    "fr": "L'exécution du {date} a été interrompue avant sa fin.",
    "es": "La ejecución del {date} se interrumpió antes de terminar.",
    "pt-BR": "A execução de {date} foi interrompida antes de terminar.",
    "hi-Latn": "{date} ka run beech mein hi ruk gaya.",
    "hi": "{date} का रन बीच में ही रुक गया।",
    "zh-Hans": "{date} 的运行中途中断。",
}
# After an overdue job ran: one expected run that did not come, and several.
MISSED_WORDS = {
    DEFAULT_LANGUAGE: ("{count} expected run was missed", "{count} expected runs were missed"),
    "de": ("{count} erwarteter Lauf ist ausgefallen", "{count} erwartete Läufe sind ausgefallen"),
    "fr": ("{count} exécution attendue a été manquée", "{count} exécutions attendues ont été manquées"),
    "es": ("No se realizó {count} ejecución prevista", "No se realizaron {count} ejecuciones previstas"),
    "pt-BR": ("{count} execução esperada não ocorreu", "{count} execuções esperadas não ocorreram"),
    "hi-Latn": ("{count} apekshit run chhoot gaya", "{count} apekshit run chhoot gaye"),
    "hi": ("{count} अपेक्षित रन छूट गया", "{count} अपेक्षित रन छूट गए"),
    "zh-Hans": ("错过了 {count} 次预期的运行", "错过了 {count} 次预期的运行"),
}
NO_TOLERANCE_WORDS = {
    "de": "Keine Toleranz",
    "fr": "Aucune tolérance",
    "es": "Sin tolerancia",
    "pt-BR": "Sem tolerância",
    "hi-Latn": "Koi chhoot nahin",
    "hi": "कोई छूट नहीं",
    "zh-Hans": "无容差",
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
TOLERANCE_UNITS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
)
# These set the sign apart from the number.
SPACED_PERCENT = frozenset({"de", "fr", "es"})


def language_or_default(code: object) -> str:
    """The code itself when it is one that we know, else that of English."""
    return code if isinstance(code, str) and code in LANGUAGES else DEFAULT_LANGUAGE


def outcome_word(outcome: str, language: str) -> str:
    """How a run ended besides its status: aborted, dry run, stopped or partial; empty for a usual run."""
    return OUTCOME_WORDS.get(language, OUTCOME_WORDS[DEFAULT_LANGUAGE]).get(outcome, "")


def broken_off_text(began_at: datetime | None, language: str) -> str:
    """The sentence about the run before that was broken off; empty where there was none."""
    if began_at is None:
        return ""
    sentence = BROKEN_OFF_WORDS.get(language, BROKEN_OFF_WORDS[DEFAULT_LANGUAGE])
    return sentence.format(date=date_text(began_at, language))


def missed_text(count: int, language: str) -> str:
    """The sentence about expected runs that did not come; empty for none."""
    if count < 1:
        return ""
    one, several = MISSED_WORDS.get(language, MISSED_WORDS[DEFAULT_LANGUAGE])
    return (one if count == 1 else several).format(count=count_text(count, language))


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
    step = min((size_bytes.bit_length() - 1) // 10, len(SIZE_UNITS) - 1)
    amount = size_bytes / 1024**step
    is_grouped = amount >= UNGROUPED_BELOW.get(language, 0)
    locale = LANGUAGES[language]
    return f"{format_decimal(amount, '#,##0.00', locale=locale, group_separator=is_grouped)} {SIZE_UNITS[step]}"


def status_word(status: str, language: str) -> str:
    """How a run ended, in the language of the message."""
    return STATUS_WORDS.get(language, {}).get(status, status)


def tolerance_text(tolerance: str, language: str) -> str:
    """How late a run may be, in the language of the message."""
    if language == DEFAULT_LANGUAGE:
        return TOLERANCE_WORDS[tolerance]
    length = TOLERANCES[tolerance]
    if not length:
        return NO_TOLERANCE_WORDS[language]
    number, unit = next((length // size, unit) for size, unit in TOLERANCE_UNITS if not length % size)
    form: Literal["short", "long"] = "short" if unit == "minute" else "long"
    return format_unit(number, f"duration-{unit}", form, locale=LANGUAGES[language])


def duration_text(length: timedelta, language: str) -> str:
    """A length of hours or days in words: `3 days`."""
    hours = length // timedelta(hours=1)
    number, unit = (hours // 24, "day") if hours >= 2 * 24 else (hours, "hour")
    return format_unit(number, f"duration-{unit}", "long", locale=LANGUAGES[language])


def in_days_text(days: int, language: str) -> str:
    """A number of days from now: `in 6 days`."""
    # The threshold keeps four weeks from being written as such.
    return format_timedelta(
        timedelta(days=days), "day", threshold=10_000, add_direction=True, locale=LANGUAGES[language]
    )


def percent_text(share: float, language: str) -> str:
    """A share between 0 and 1 as per cent, rounded down to one decimal so that only all is 100 %."""
    return format_percent(
        int(share * 1000) / 1000, "#,##0.# %" if language in SPACED_PERCENT else "#,##0.#%", LANGUAGES[language]
    )


def day_text(day: date, language: str) -> str:
    """A day in its short form."""
    return format_date(day, DATE_FORMATS.get(language, "short").partition(",")[0], locale=LANGUAGES[language])
