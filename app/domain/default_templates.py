"""The texts that people get as long as they have not written their own."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from app.domain.templates import Template
from app.domain.translated_templates import late_word, translated_messages

DEFAULT_LANGUAGE = "en-GB"

SUCCESS_MESSAGE = """\
The backup {backup_name} of {server_alias} ended with {status}. It began on {backup_date} and took {duration}.

🔍 Note: {server_note}
☁️ Uploaded: {uploaded_size}
💾 Stored in all: {storage_size}
🔃 Versions kept: {available_versions}"""

WARNING_MESSAGE = """\
The backup {backup_name} of {server_alias}, begun on {backup_date}, ended with {status}.

🔍 Note: {server_note}
⏰ Duration: {duration}
☁️ Uploaded: {uploaded_size}

🚨 Warnings: {warnings_count}
🛑 Errors: {errors_count}

📄 What the log says:
{log_text}

⚠️ Please look into it: {server_url}"""

OVERDUE_MESSAGE = """\
The backup {backup_name} of {server_alias} has not arrived in time.

🔍 Note: {server_note}
🚨 Last backup: {last_backup_date} ({last_elapsed})
⏰ Expected: {expected_date} ({expected_elapsed})

It should run every {backup_interval}, with a tolerance of {overdue_tolerance}.

⚠️ Please check the machine and its schedule: {server_url}"""

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
    }
)


def default_templates(language: str) -> Mapping[str, Template]:
    """The built-in templates of a language, by kind; English where it has none of its own."""
    messages = translated_messages(language)
    if messages is None:
        return DEFAULT_TEMPLATES
    late = late_word(language) or ""
    return {
        kind: replace(template, title=template.title.replace("Overdue", late), message=messages[kind])
        for kind, template in DEFAULT_TEMPLATES.items()
    }
