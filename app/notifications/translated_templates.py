"""The built-in messages in the other languages; priorities, tags and the order of the lines are those of English."""

from collections.abc import Mapping
from types import MappingProxyType

_SUCCESS = """\
{sentence}

🔍 {note}: {{server_note}}
☁️ {uploaded}: {{uploaded_size}}
💾 {stored}: {{storage_size}}
🔃 {versions}: {{available_versions}}

🔗 {{details_link}}"""

_WARNING = """\
{{reason}}

{sentence}

🔍 {note}: {{server_note}}
⏰ {duration}: {{duration}}
☁️ {uploaded}: {{uploaded_size}}

🚨 {warnings}: {{warnings_count}}
🛑 {errors}: {{errors_count}}

⚠️ {look}: {{details_link}}
🖥️ Duplicati: {{server_url}}

📄 {log}:
{{log_text}}"""

_OVERDUE = """\
{sentence}

🔍 {note}: {{server_note}}
🚨 {last}: {{last_backup_date}} ({{last_elapsed}})
⏰ {expected}: {{expected_date}} ({{expected_elapsed}})

{rhythm}

⚠️ {check}: {{details_link}}
🖥️ Duplicati: {{server_url}}"""

_RECOVERED = """\
{sentence}

🔍 {note}: {{server_note}}
🚨 {before}: {{previous_status}}, {{trouble_since}} ({{trouble_elapsed}})
🕳️ {{missed_runs}}
☁️ {uploaded}: {{uploaded_size}}
💾 {stored}: {{storage_size}}
🔃 {versions}: {{available_versions}}

🔗 {{details_link}}"""

SENTENCES = ("success", "warning", "overdue", "recovered")

# Language -> the words of its messages; `late` and `again` stand in titles.
WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "de": {
            "success": "Die Sicherung {backup_name} von {server_alias} endete mit {status}. "
            "Sie begann am {backup_date} und dauerte {duration}.",
            "warning": "Die Sicherung {backup_name} von {server_alias}, begonnen am {backup_date}, "
            "endete mit {status}.",
            "overdue": "Die Sicherung {backup_name} von {server_alias} ist nicht rechtzeitig eingetroffen.",
            "recovered": "Die Sicherung {backup_name} von {server_alias} ist wieder in Ordnung: {status} am "
            "{backup_date}, nach {duration}.",
            "rhythm": "Sie soll alle {backup_interval} laufen, mit einer Toleranz von {overdue_tolerance}.",
            "late": "Überfällig",
            "again": "Wieder in Ordnung",
            "before": "Davor",
            "note": "Notiz",
            "uploaded": "Hochgeladen",
            "stored": "Insgesamt gespeichert",
            "versions": "Vorhandene Versionen",
            "duration": "Dauer",
            "warnings": "Warnungen",
            "errors": "Fehler",
            "log": "Protokoll",
            "last": "Letzte Sicherung",
            "expected": "Erwartet",
            "look": "Bitte prüfen",
            "check": "Bitte den Server und seinen Zeitplan prüfen",
        },
        "fr": {
            "success": "La sauvegarde {backup_name} de {server_alias} s'est terminée avec l'état {status}. "
            "Elle a commencé le {backup_date} et a duré {duration}.",
            "warning": "La sauvegarde {backup_name} de {server_alias}, commencée le {backup_date}, "
            "s'est terminée avec l'état {status}.",
            "overdue": "La sauvegarde {backup_name} de {server_alias} n'est pas arrivée à temps.",
            "recovered": "La sauvegarde {backup_name} de {server_alias} est rétablie : {status} le {backup_date}, "
            "en {duration}.",
            "rhythm": "Elle doit tourner tous les {backup_interval}, avec une tolérance de {overdue_tolerance}.",
            "late": "En retard",
            "again": "Rétablie",
            "before": "Avant cela",
            "note": "Note",
            "uploaded": "Envoyé",
            "stored": "Stocké au total",
            "versions": "Versions disponibles",
            "duration": "Durée",
            "warnings": "Avertissements",
            "errors": "Erreurs",
            "log": "Journal",
            "last": "Dernière sauvegarde",
            "expected": "Attendue",
            "look": "À vérifier",
            "check": "Merci de vérifier le serveur et sa planification",
        },
        "es": {
            "success": "La copia {backup_name} de {server_alias} terminó con {status}. "
            "Empezó el {backup_date} y duró {duration}.",
            "warning": "La copia {backup_name} de {server_alias}, iniciada el {backup_date}, terminó con {status}.",
            "overdue": "La copia {backup_name} de {server_alias} no ha llegado a tiempo.",
            "recovered": "La copia {backup_name} de {server_alias} vuelve a estar bien: {status} el {backup_date}, "
            "en {duration}.",
            "rhythm": "Debe ejecutarse cada {backup_interval}, con una tolerancia de {overdue_tolerance}.",
            "late": "Atrasada",
            "again": "De nuevo bien",
            "before": "Antes",
            "note": "Nota",
            "uploaded": "Subido",
            "stored": "Almacenado en total",
            "versions": "Versiones disponibles",
            "duration": "Duración",
            "warnings": "Advertencias",
            "errors": "Errores",
            "log": "Registro",
            "last": "Última copia",
            "expected": "Esperada",
            "look": "Por favor, revísela",
            "check": "Por favor, revise el servidor y su programación",
        },
        "pt-BR": {
            "success": "O backup {backup_name} de {server_alias} terminou com {status}. "
            "Começou em {backup_date} e levou {duration}.",
            "warning": "O backup {backup_name} de {server_alias}, iniciado em {backup_date}, terminou com {status}.",
            "overdue": "O backup {backup_name} de {server_alias} não chegou a tempo.",
            "recovered": "O backup {backup_name} de {server_alias} voltou ao normal: {status} em {backup_date}, "
            "em {duration}.",
            "rhythm": "Deve rodar a cada {backup_interval}, com tolerância de {overdue_tolerance}.",
            "late": "Atrasado",
            "again": "De volta ao normal",
            "before": "Antes disso",
            "note": "Nota",
            "uploaded": "Enviado",
            "stored": "Armazenado ao todo",
            "versions": "Versões disponíveis",
            "duration": "Duração",
            "warnings": "Avisos",
            "errors": "Erros",
            "log": "Registro",
            "last": "Último backup",
            "expected": "Esperado",
            "look": "Por favor, verifique",
            "check": "Por favor, verifique o servidor e o agendamento",
        },
        "hi": {
            "success": "{server_alias} का बैकअप {backup_name} {status} के साथ समाप्त हुआ। "
            "यह {backup_date} को शुरू हुआ और {duration} चला।",
            "warning": "{server_alias} का बैकअप {backup_name}, जो {backup_date} को शुरू हुआ था, {status} के साथ समाप्त हुआ।",
            "overdue": "{server_alias} का बैकअप {backup_name} समय पर नहीं पहुँचा।",
            "recovered": "{server_alias} का बैकअप {backup_name} फिर से ठीक है: {status}, {backup_date}, अवधि {duration}।",
            "rhythm": "इसे हर {backup_interval} पर चलना चाहिए, छूट {overdue_tolerance} की है।",
            "late": "देर से",
            "again": "फिर से ठीक",
            "before": "इससे पहले",
            "note": "टिप्पणी",
            "uploaded": "अपलोड हुआ",
            "stored": "कुल संग्रहित",
            "versions": "उपलब्ध संस्करण",
            "duration": "अवधि",
            "warnings": "चेतावनियाँ",
            "errors": "त्रुटियाँ",
            "log": "लॉग",
            "last": "पिछला बैकअप",
            "expected": "अपेक्षित",
            "look": "कृपया जाँच करें",
            "check": "कृपया सर्वर और उसके शेड्यूल की जाँच करें",
        },
        "zh-Hans": {
            "success": "{server_alias} 的备份 {backup_name} 已结束,状态:{status}。"
            "开始于 {backup_date},用时 {duration}。",
            "warning": "{server_alias} 的备份 {backup_name}(开始于 {backup_date})已结束,状态:{status}。",
            "overdue": "{server_alias} 的备份 {backup_name} 没有按时到达。",
            "recovered": "{server_alias} 的备份 {backup_name} 已恢复正常:{status},{backup_date},用时 {duration}。",
            "rhythm": "应每隔 {backup_interval} 运行一次,容差为 {overdue_tolerance}。",
            "late": "逾期",
            "again": "已恢复",
            "before": "此前",
            "note": "备注",
            "uploaded": "已上传",
            "stored": "总存储量",
            "versions": "可用版本",
            "duration": "用时",
            "warnings": "警告",
            "errors": "错误",
            "log": "日志",
            "last": "上次备份",
            "expected": "预计时间",
            "look": "请查看",
            "check": "请检查该服务器及其计划",
        },
    }
)


def translated_messages(language: str) -> Mapping[str, str] | None:
    """The messages about one job by kind; None for a language that has none of its own."""
    words = WORDS.get(language)
    if words is None:
        return None
    return {
        "success": _SUCCESS.format(sentence=words["success"], **_labels(words)),
        "warning": _WARNING.format(sentence=words["warning"], **_labels(words)),
        "overdueBackup": _OVERDUE.format(sentence=words["overdue"], **_labels(words)),
        "recovered": _RECOVERED.format(sentence=words["recovered"], **_labels(words)),
    }


def late_word(language: str) -> str:
    """What the title of an overdue message calls it. Raises KeyError for a language without messages of its own."""
    return WORDS[language]["late"]


def again_word(language: str) -> str:
    """What the title of a recovered message says. Raises KeyError for a language without messages of its own."""
    return WORDS[language]["again"]


def _labels(words: Mapping[str, str]) -> dict[str, str]:
    return {name: word for name, word in words.items() if name not in SENTENCES}
