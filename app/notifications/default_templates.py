"""Built-in templates, used until a user changes them."""

from collections.abc import Mapping
from types import MappingProxyType

from app.core.languages import catalog
from app.notifications.templates import Template
from app.plugin import N_

SUCCESS_MESSAGE = N_("""\
The backup job {backup_name} on {server_alias} finished with {status}. It started on {backup_date} and took {duration}.

🔍 Note: {server_note}
☁️ Uploaded: {uploaded_size}
💾 Storage used: {storage_size}
🔃 Available versions: {available_versions}

🔗 {details_link}""")

# The reason comes first: a phone may show nothing else. The log comes last: it may be truncated.
WARNING_MESSAGE = N_("""\
{reason}

The backup job {backup_name} on {server_alias}, started on {backup_date}, finished with {status}.

🔍 Note: {server_note}
⏰ Duration: {duration}
☁️ Uploaded: {uploaded_size}

🚨 Warnings: {warnings_count}
🛑 Errors: {errors_count}

⚠️ Please check: {details_link}
🖥️ Duplicati: {server_url}

📄 Log:
{log_text}""")

OVERDUE_MESSAGE = N_("""\
The backup job {backup_name} on {server_alias} is overdue.

🔍 Note: {server_note}
🚨 Last run: {last_backup_date} ({last_elapsed})
⏰ Expected: {expected_date} ({expected_elapsed})

Interval: {backup_interval}, grace period: {overdue_tolerance}

⚠️ Please check the server and its schedule: {details_link}
🖥️ Duplicati: {server_url}""")

RECOVERED_MESSAGE = N_("""\
{backup_name} on {server_alias} has recovered: the run of {backup_date} finished with {status} after {duration}.

🔍 Note: {server_note}
🚨 Previously: {previous_status}, since {trouble_since} ({trouble_elapsed})
🕳️ {missed_runs}
☁️ Uploaded: {uploaded_size}
💾 Storage used: {storage_size}
🔃 Available versions: {available_versions}

🔗 {details_link}""")

SUMMARY_MESSAGE = N_("""\
{verdict}

Needs attention:
{attention}

✅ OK: {fine_count}
⚠️ Warnings: {warning_count}
🛑 Failed: {failed_count}
🕑 Overdue: {overdue_count}
☁️ Uploaded in the last 24 hours: {uploaded_size}
💾 Storage used: {storage_size}

📄 All backup jobs:
{jobs}

{duplistatus_link}""")

DIGEST_MESSAGE = N_("""\
{verdict}

✅ Successful runs: {success_rate}
🔁 Runs: {run_count} (OK: {fine_count}, Warnings: {warning_count}, Failed: {failed_count})
🕳️ Missed runs: {missed_count}
☁️ Uploaded: {uploaded_size}
💾 Storage used: {storage_size} ({storage_growth}) {storage_line}

Needs attention:
{attention}

📈 Largest growth:
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
            title=N_("💚 Recovered - {backup_name} @ {server_alias}"),
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
            title=N_("📈 Backups from {period_start} to {period_end}: {success_rate} successful"),
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
