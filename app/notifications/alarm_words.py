"""Built-in texts of notifications that have no customizable template.

Title and message are templates like the customizable ones. A count follows a label, never precedes a noun, so no text
needs a plural form.
"""

from collections.abc import Mapping
from types import MappingProxyType

from app.core.languages import catalog
from app.insight.anomalies import DELETED, DURATION, FILES, MODIFIED, SIZE, UPLOAD
from app.notifications.templates import Template
from app.plugin import N_, NC_

ALARMS: Mapping[str, Template] = MappingProxyType(
    {
        "overdueBackups": Template(
            title=N_("🕑 Overdue backup jobs: {count}"),
            message=N_("These backup jobs are overdue:\n\n{jobs}"),
            tags="duplicati, duplistatus, overdue",
        ),
        "silence": Template(
            title=N_("🔇 No reports for {duration}"),
            message=N_(
                "No report has arrived since {last_report_date}. Overdue backup jobs: {count}.\n\n"
                "If all servers stop reporting at once, the cause is usually the network, or the URL or certificate of "
                "duplistatus."
            ),
            priority="high",
            tags="duplicati, duplistatus, silence",
        ),
        "silenceOver": Template(
            title=N_("🔔 Reports resumed"),
            message=N_(
                "{backup_name} on {server_alias} has reported. There had been no reports since {last_report_date}."
            ),
            tags="duplicati, duplistatus, recovered",
        ),
        "channelFailing": Template(
            title=N_("📵 Delivery through {channel} is failing"),
            message=N_(
                "No notification has been delivered through {channel} since {since_date}.\n\n"
                "🛑 Reason: {error}\n📄 Waiting notifications: {count}"
            ),
            priority="high",
            tags="duplicati, duplistatus, channel",
        ),
        "channelWorks": Template(
            title=N_("💚 Delivery through {channel} has recovered"),
            message=N_("Notifications are delivered through {channel} again. Delivery had failed since {since_date}."),
            tags="duplicati, duplistatus, recovered",
        ),
        "unusualRun": Template(
            title=N_("🔎 Unusual run: {backup_name} on {server_alias}"),
            message=N_(
                "The run of {backup_date} differs significantly from previous runs:\n\n{figures}\n\n"
                "If these changes were not intended, check the files before old versions are deleted.\n\n{details_link}"
            ),
            priority="high",
            tags="duplicati, duplistatus, unusual",
        ),
        "destinationFull": Template(
            title=N_("📦 Destination full {when}: {backup_name} on {server_alias}"),
            message=N_(
                "💾 Free space: {free_size}\n📈 Growth per day: {growth_size}\n📅 Expected to be full: {full_date}\n\n"
                "Free some space or keep fewer versions. Backups fail when the destination is full.\n\n{details_link}"
            ),
            tags="duplicati, duplistatus, storage",
        ),
        "destinationsFull": Template(
            title=N_("📦 Destinations that will be full soon: {count}"),
            message=N_("{jobs}\n\nFree some space or keep fewer versions. Backups fail when the destination is full."),
            tags="duplicati, duplistatus, storage",
        ),
        "healthFailing": Template(
            title=N_("🩺 duplistatus needs attention"),
            message=N_("{problems}\n\nUntil this is resolved, reports and notifications may be missing."),
            priority="high",
            tags="duplicati, duplistatus, health",
        ),
        "healthWorks": Template(
            title=N_("💚 duplistatus has recovered"),
            message=N_("Resolved:\n\n{problems}"),
            tags="duplicati, duplistatus, recovered",
        ),
    }
)
EVENTS = tuple(ALARMS)

FIGURES: Mapping[str, str] = MappingProxyType(
    {
        MODIFIED: NC_("figure of a run", "Modified files"),
        DELETED: NC_("figure of a run", "Deleted files"),
        UPLOAD: NC_("figure of a run", "Uploaded"),
        DURATION: NC_("figure of a run", "Duration"),
        SIZE: NC_("figure of a run", "Size"),
        FILES: NC_("figure of a run", "Files"),
    }
)

# Problems of duplistatus itself.
HEALTH_PROBLEMS: Mapping[str, str] = MappingProxyType(
    {
        "space": N_("Free disk space is low"),
        "full": N_("The disk is full, so reports are lost"),
        "damaged": N_("The database is damaged"),
        "silent": N_("The database does not respond"),
        "unwritable": N_("The database is not writable"),
        "schema": N_("The database schema does not match this version"),
        "checks": N_("The overdue check is not running"),
        "delivery": N_("Notifications are not being sent"),
    }
)


def alarm_template(event: str, language: str) -> Template:
    """Return the template of one of `EVENTS`."""
    return ALARMS[event].translated(catalog(language).gettext)


def health_words(kind: str, language: str) -> str:
    """Return a sentence about one of `HEALTH_PROBLEMS`, without a full stop."""
    return catalog(language).gettext(HEALTH_PROBLEMS[kind])


def overdue_line(language: str) -> str:
    """Return the template of a line about an overdue job in a list."""
    return catalog(language).gettext("{server_alias}: {backup_name}, expected {expected_date}")


def full_line(language: str) -> str:
    """Return the template of a line about a full destination in a list."""
    return catalog(language).gettext("{server_alias}: {backup_name}, full {when}, free space {free_size}")


def full_now(language: str) -> str:
    """Return the value of `{when}` for a destination that is already full."""
    return catalog(language).pgettext("full when", "now")


def more_line(language: str) -> str:
    """Return the template of the last line of a truncated list."""
    return catalog(language).pgettext("list of jobs", "and more: {count}")


def figure_line(figure: str, value: str, usual: str, language: str) -> str:
    """Return an unusual figure and its typical value: `Files: 41,230, typically 210`."""
    texts = catalog(language)
    line = texts.gettext("{figure}: {value}, typically {usual}")
    return line.format(figure=texts.pgettext("figure of a run", FIGURES[figure]), value=value, usual=usual)
