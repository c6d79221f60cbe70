"""The texts that people get as long as they have not written their own."""

from collections.abc import Mapping
from types import MappingProxyType

from app.core.languages import catalog
from app.notifications.templates import Template
from app.plugin import N_

SUCCESS_MESSAGE = N_("""\
The backup {backup_name} of {server_alias} ended with {status}. It began on {backup_date} and took {duration}.

🔍 Note: {server_note}
☁️ Uploaded: {uploaded_size}
💾 Stored in all: {storage_size}
🔃 Versions kept: {available_versions}

🔗 {details_link}""")

# The reason comes first: on a phone it may be all that shows. The log comes last: it may be cut.
WARNING_MESSAGE = N_("""\
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
{log_text}""")

OVERDUE_MESSAGE = N_("""\
The backup {backup_name} of {server_alias} has not arrived in time.

🔍 Note: {server_note}
🚨 Last backup: {last_backup_date} ({last_elapsed})
⏰ Expected: {expected_date} ({expected_elapsed})

It should run every {backup_interval}, with a tolerance of {overdue_tolerance}.

⚠️ Please check the server and its schedule: {details_link}
🖥️ Duplicati: {server_url}""")

RECOVERED_MESSAGE = N_("""\
The backup {backup_name} of {server_alias} is fine again: {status} on {backup_date}, after {duration}.

🔍 Note: {server_note}
🚨 Before that: {previous_status}, since {trouble_since} ({trouble_elapsed})
🕳️ {missed_runs}
☁️ Uploaded: {uploaded_size}
💾 Stored in all: {storage_size}
🔃 Versions kept: {available_versions}

🔗 {details_link}""")

SUMMARY_MESSAGE = N_("""\
{verdict}

Needs attention:
{attention}

✅ Fine: {fine_count}
⚠️ With warnings: {warning_count}
🛑 Failed: {failed_count}
🕑 Overdue: {overdue_count}
☁️ Uploaded in 24 hours: {uploaded_size}
💾 Stored in all: {storage_size}

📄 All backup jobs:
{jobs}

{duplistatus_link}""")

DIGEST_MESSAGE = N_("""\
{verdict}

✅ Good runs: {success_rate}
🔁 Runs: {run_count} (Fine: {fine_count}, With warnings: {warning_count}, Failed: {failed_count})
🕳️ Missed runs: {missed_count}
☁️ Uploaded: {uploaded_size}
💾 Stored in all: {storage_size} ({storage_growth}) {storage_line}

Needs attention:
{attention}

📈 Grew most:
{growth}

{duplistatus_link}""")

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
            title=N_("🕑 Overdue - {backup_name} @ {server_alias}"),
            message=OVERDUE_MESSAGE,
            priority="default",
            tags="duplicati, duplistatus, overdue",
        ),
        "recovered": Template(
            title=N_("💚 Fine again - {backup_name} @ {server_alias}"),
            message=RECOVERED_MESSAGE,
            priority="default",
            tags="duplicati, duplistatus, recovered",
        ),
        "dailySummary": Template(
            title="📋 {summary_date}: {verdict}",
            message=SUMMARY_MESSAGE,
            priority="default",
            tags="duplicati, duplistatus, summary",
        ),
        "digest": Template(
            title=N_("📈 Backups from {period_start} to {period_end}: {success_rate} good"),
            message=DIGEST_MESSAGE,
            priority="default",
            tags="duplicati, duplistatus, digest",
        ),
    }
)


def default_templates(language: str) -> Mapping[str, Template]:
    """Return the built-in templates of a language, by kind; English for an unknown language."""
    texts = catalog(language)
    return {kind: template.translated(texts.gettext) for kind, template in DEFAULT_TEMPLATES.items()}
