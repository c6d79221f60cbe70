"""The words of the daily summary and of the digest, in every language that templates have.

Counts stand behind a label, never before a noun: so no language needs its rules for plurals here.
"""

from collections.abc import Mapping
from types import MappingProxyType

_SUMMARY = """\
{{verdict}}

{needs}:
{{attention}}

✅ {fine}: {{fine_count}}
⚠️ {warned}: {{warning_count}}
🛑 {failed}: {{failed_count}}
🕑 {overdue}: {{overdue_count}}
☁️ {uploaded_day}: {{uploaded_size}}
💾 {stored}: {{storage_size}}

📄 {all_jobs}:
{{jobs}}

{{duplistatus_link}}"""

_DIGEST = """\
{{verdict}}

✅ {rate}: {{success_rate}}
🔁 {runs}: {{run_count}} ({fine}: {{fine_count}}, {warned}: {{warning_count}}, {failed}: {{failed_count}})
🕳️ {missed}: {{missed_count}}
☁️ {uploaded}: {{uploaded_size}}
💾 {stored}: {{storage_size}} ({{storage_growth}}) {{storage_line}}

{needs}:
{{attention}}

📈 {grew}:
{{growth}}

{{duplistatus_link}}"""

SUMMARY_WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "en-GB": {
            "digest_title": "Backups from {period_start} to {period_end}: {success_rate} good",
            "all_fine": "All backup jobs are fine: {count}",
            "some_fine": "{fine} of {count} backup jobs are fine",
            "no_jobs": "No backup has been reported yet",
            "needs": "Needs attention",
            "nothing": "Nothing",
            "fine": "Fine",
            "warned": "With warnings",
            "failed": "Failed",
            "overdue": "Overdue",
            "overdue_since": "overdue, expected {date}",
            "uploaded_day": "Uploaded in 24 hours",
            "uploaded": "Uploaded",
            "stored": "Stored in all",
            "all_jobs": "All backup jobs",
            "rate": "Good runs",
            "runs": "Runs",
            "missed": "Missed runs",
            "grew": "Grew most",
            "and_more": "and more: {count}",
            "unchanged": "unchanged",
            "server": "Server",
            "backup": "Backup job",
            "last_status": "Last status",
            "last_result": "Last result",
            "duration": "Duration",
            "warnings": "Warnings",
            "errors": "Errors",
        },
        "de": {
            "digest_title": "Sicherungen vom {period_start} bis {period_end}: {success_rate} gut",
            "all_fine": "Alle Sicherungen sind in Ordnung: {count}",
            "some_fine": "{fine} von {count} Sicherungen sind in Ordnung",
            "no_jobs": "Es wurde noch keine Sicherung gemeldet",
            "needs": "Braucht Aufmerksamkeit",
            "nothing": "Nichts",
            "fine": "In Ordnung",
            "warned": "Mit Warnungen",
            "failed": "Fehlgeschlagen",
            "overdue": "Überfällig",
            "overdue_since": "überfällig, erwartet {date}",
            "uploaded_day": "In 24 Stunden hochgeladen",
            "uploaded": "Hochgeladen",
            "stored": "Insgesamt gespeichert",
            "all_jobs": "Alle Sicherungen",
            "rate": "Gute Läufe",
            "runs": "Läufe",
            "missed": "Ausgefallene Läufe",
            "grew": "Am meisten gewachsen",
            "and_more": "und weitere: {count}",
            "unchanged": "unverändert",
            "server": "Server",
            "backup": "Sicherung",
            "last_status": "Letzter Status",
            "last_result": "Letztes Ergebnis",
            "duration": "Dauer",
            "warnings": "Warnungen",
            "errors": "Fehler",
        },
        "fr": {
            "digest_title": "Sauvegardes du {period_start} au {period_end} : {success_rate} réussies",
            "all_fine": "Toutes les sauvegardes vont bien : {count}",
            "some_fine": "{fine} sauvegardes sur {count} vont bien",
            "no_jobs": "Aucune sauvegarde n'a encore été signalée",
            "needs": "À regarder",
            "nothing": "Rien",
            "fine": "En ordre",
            "warned": "Avec avertissements",
            "failed": "Échouées",
            "overdue": "En retard",
            "overdue_since": "en retard, attendue {date}",
            "uploaded_day": "Envoyé en 24 heures",
            "uploaded": "Envoyé",
            "stored": "Stocké au total",
            "all_jobs": "Toutes les sauvegardes",
            "rate": "Exécutions réussies",
            "runs": "Exécutions",
            "missed": "Exécutions manquées",
            "grew": "Plus forte croissance",
            "and_more": "et d'autres : {count}",
            "unchanged": "inchangé",
            "server": "Serveur",
            "backup": "Sauvegarde",
            "last_status": "Dernier état",
            "last_result": "Dernier résultat",
            "duration": "Durée",
            "warnings": "Avertissements",
            "errors": "Erreurs",
        },
        "es": {
            "digest_title": "Copias del {period_start} al {period_end}: {success_rate} buenas",
            "all_fine": "Todas las copias están bien: {count}",
            "some_fine": "{fine} de {count} copias están bien",
            "no_jobs": "Aún no se ha recibido ninguna copia",
            "needs": "Requiere atención",
            "nothing": "Nada",
            "fine": "Bien",
            "warned": "Con advertencias",
            "failed": "Fallidas",
            "overdue": "Atrasadas",
            "overdue_since": "atrasada, esperada {date}",
            "uploaded_day": "Subido en 24 horas",
            "uploaded": "Subido",
            "stored": "Almacenado en total",
            "all_jobs": "Todas las copias",
            "rate": "Ejecuciones buenas",
            "runs": "Ejecuciones",
            "missed": "Ejecuciones omitidas",
            "grew": "Lo que más creció",
            "and_more": "y otras: {count}",
            "unchanged": "sin cambios",
            "server": "Servidor",
            "backup": "Copia",
            "last_status": "Último estado",
            "last_result": "Último resultado",
            "duration": "Duración",
            "warnings": "Advertencias",
            "errors": "Errores",
        },
        "pt-BR": {
            "digest_title": "Backups de {period_start} a {period_end}: {success_rate} bons",
            "all_fine": "Todos os backups estão em ordem: {count}",
            "some_fine": "{fine} de {count} backups estão em ordem",
            "no_jobs": "Nenhum backup foi recebido ainda",
            "needs": "Precisa de atenção",
            "nothing": "Nada",
            "fine": "Em ordem",
            "warned": "Com avisos",
            "failed": "Com falha",
            "overdue": "Atrasados",
            "overdue_since": "atrasado, esperado {date}",
            "uploaded_day": "Enviado em 24 horas",
            "uploaded": "Enviado",
            "stored": "Armazenado ao todo",
            "all_jobs": "Todos os backups",
            "rate": "Execuções boas",
            "runs": "Execuções",
            "missed": "Execuções perdidas",
            "grew": "O que mais cresceu",
            "and_more": "e mais: {count}",
            "unchanged": "sem mudança",
            "server": "Servidor",
            "backup": "Backup",
            "last_status": "Último status",
            "last_result": "Último resultado",
            "duration": "Duração",
            "warnings": "Avisos",
            "errors": "Erros",
        },
        "hi": {
            "digest_title": "{period_start} से {period_end} तक के बैकअप: {success_rate} सफल",
            "all_fine": "सभी बैकअप ठीक हैं: {count}",
            "some_fine": "{count} में से {fine} बैकअप ठीक हैं",
            "no_jobs": "अभी तक किसी बैकअप की सूचना नहीं मिली",
            "needs": "ध्यान देने योग्य",
            "nothing": "कुछ नहीं",
            "fine": "ठीक",
            "warned": "चेतावनी के साथ",
            "failed": "विफल",
            "overdue": "देर से",
            "overdue_since": "देर से, अपेक्षित {date}",
            "uploaded_day": "24 घंटों में अपलोड",
            "uploaded": "अपलोड हुआ",
            "stored": "कुल संग्रहित",
            "all_jobs": "सभी बैकअप",
            "rate": "सफल रन",
            "runs": "रन",
            "missed": "छूटे हुए रन",
            "grew": "सबसे अधिक बढ़े",
            "and_more": "और भी: {count}",
            "unchanged": "कोई बदलाव नहीं",
            "server": "सर्वर",
            "backup": "बैकअप",
            "last_status": "पिछली स्थिति",
            "last_result": "पिछला परिणाम",
            "duration": "अवधि",
            "warnings": "चेतावनियाँ",
            "errors": "त्रुटियाँ",
        },
        "zh-Hans": {
            "digest_title": "{period_start} 至 {period_end} 的备份:成功率 {success_rate}",
            "all_fine": "所有备份均正常:{count}",
            "some_fine": "{count} 个备份中有 {fine} 个正常",
            "no_jobs": "尚未收到任何备份报告",
            "needs": "需要关注",
            "nothing": "无",
            "fine": "正常",
            "warned": "有警告",
            "failed": "失败",
            "overdue": "逾期",
            "overdue_since": "逾期,预计 {date}",
            "uploaded_day": "24 小时内上传",
            "uploaded": "已上传",
            "stored": "总存储量",
            "all_jobs": "所有备份",
            "rate": "成功的运行",
            "runs": "运行",
            "missed": "错过的运行",
            "grew": "增长最多",
            "and_more": "还有:{count}",
            "unchanged": "无变化",
            "server": "服务器",
            "backup": "备份",
            "last_status": "最近状态",
            "last_result": "最近结果",
            "duration": "用时",
            "warnings": "警告",
            "errors": "错误",
        },
    }
)


def summary_words(language: str) -> Mapping[str, str]:
    """The words of a language; English where it has none."""
    return SUMMARY_WORDS.get({"hi-Latn": "hi"}.get(language, language), SUMMARY_WORDS["en-GB"])


def summary_message(language: str) -> str:
    """The built-in message of the daily summary."""
    return _SUMMARY.format_map(SUMMARY_WORDS[language])


def digest_message(language: str) -> str:
    """The built-in message of the digest."""
    return _DIGEST.format_map(SUMMARY_WORDS[language])
