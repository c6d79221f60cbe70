"""The texts that people get as long as they have not written their own."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from app.notifications.summary_words import SUMMARY_WORDS, digest_message, summary_message
from app.notifications.templates import Template
from app.notifications.translated_templates import again_word, late_word, translated_messages

DEFAULT_LANGUAGE = "en-GB"
# Earlier versions wrote Hindi in Latin letters and had no texts of its own for it.
ALIASES: Mapping[str, str] = MappingProxyType({"hi-Latn": "hi"})

SUCCESS_MESSAGE = """\
The backup {backup_name} of {server_alias} ended with {status}. It began on {backup_date} and took {duration}.

🔍 Note: {server_note}
☁️ Uploaded: {uploaded_size}
💾 Stored in all: {storage_size}
🔃 Versions kept: {available_versions}

🔗 {details_link}"""

# The reason comes first: on a phone it may be all that shows. The log comes last: it may be cut.
WARNING_MESSAGE = """\
{reason}

The backup {backup_name} of {server_alias}, begun on {backup_date}, ended with {status}.

🔍 Note: {server_note}
⏰ Duration: {duration}
☁️ Uploaded: {uploaded_size}

🚨 Warnings: {warnings_count}
🛑 Errors: {errors_count}

⚠️ Please look into it: {details_link}
🖥️ Duplicati: {server_url}

📄 Log:
{log_text}"""

OVERDUE_MESSAGE = """\
The backup {backup_name} of {server_alias} has not arrived in time.

🔍 Note: {server_note}
🚨 Last backup: {last_backup_date} ({last_elapsed})
⏰ Expected: {expected_date} ({expected_elapsed})

It should run every {backup_interval}, with a tolerance of {overdue_tolerance}.

⚠️ Please check the server and its schedule: {details_link}
🖥️ Duplicati: {server_url}"""

RECOVERED_MESSAGE = """\
The backup {backup_name} of {server_alias} is fine again: {status} on {backup_date}, after {duration}.

🔍 Note: {server_note}
🚨 Before that: {previous_status}, since {trouble_since} ({trouble_elapsed})
🕳️ {missed_runs}
☁️ Uploaded: {uploaded_size}
💾 Stored in all: {storage_size}
🔃 Versions kept: {available_versions}

🔗 {details_link}"""

DEFAULT_TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        "success": Template(
            title="✅ {status} - {backup_name} @ {server_alias}",
            message=SUCCESS_MESSAGE,
            priority="default",
            tags="duplicati, duplistatus, success",
        ),
        "warning": Template(
            title="⚠️ {status} - {backup_name} @ {server_alias}",
            message=WARNING_MESSAGE,
            priority="high",
            tags="duplicati, duplistatus, warning, error",
        ),
        "overdueBackup": Template(
            title="🕑 Overdue - {backup_name} @ {server_alias}",
            message=OVERDUE_MESSAGE,
            priority="default",
            tags="duplicati, duplistatus, overdue",
        ),
        "recovered": Template(
            title="💚 Fine again - {backup_name} @ {server_alias}",
            message=RECOVERED_MESSAGE,
            priority="default",
            tags="duplicati, duplistatus, recovered",
        ),
        "dailySummary": Template(
            title="📋 {summary_date}: {verdict}",
            message=summary_message(DEFAULT_LANGUAGE),
            priority="default",
            tags="duplicati, duplistatus, summary",
        ),
        "digest": Template(
            title=f"📈 {SUMMARY_WORDS[DEFAULT_LANGUAGE]['digest_title']}",
            message=digest_message(DEFAULT_LANGUAGE),
            priority="default",
            tags="duplicati, duplistatus, digest",
        ),
    }
)


def default_templates(language: str) -> Mapping[str, Template]:
    """The built-in templates of a language, by kind; English where it has none of its own."""
    language = ALIASES.get(language, language)
    messages = translated_messages(language)
    if messages is None:
        return DEFAULT_TEMPLATES
    titles = {
        **{kind: template.title for kind, template in DEFAULT_TEMPLATES.items()},
        "overdueBackup": DEFAULT_TEMPLATES["overdueBackup"].title.replace("Overdue", late_word(language)),
        "recovered": DEFAULT_TEMPLATES["recovered"].title.replace("Fine again", again_word(language)),
        "digest": f"📈 {SUMMARY_WORDS[language]['digest_title']}",
    }
    texts = {**messages, "dailySummary": summary_message(language), "digest": digest_message(language)}
    return {
        kind: replace(template, title=titles[kind], message=texts[kind]) for kind, template in DEFAULT_TEMPLATES.items()
    }
