"""Built-in texts of messages that have no template of their own.

Title and text are templates like those that people may change. A count stands behind a label, never before a noun, so
that no text needs a plural form.
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
            message=N_("These backups have not arrived in time:\n\n{jobs}"),
            tags="duplicati, duplistatus, overdue",
        ),
        "silence": Template(
            title=N_("🔇 No backup has reported for {duration}"),
            message=N_(
                "Nothing has been reported since {last_report_date}. Overdue backup jobs: {count}.\n\n"
                "When all machines are silent at once, the cause is mostly the network, the address or the certificate "
                "of duplistatus."
            ),
            priority="high",
            tags="duplicati, duplistatus, silence",
        ),
        "silenceOver": Template(
            title=N_("🔔 Backups report again"),
            message=N_("{backup_name} of {server_alias} has reported, after a silence since {last_report_date}."),
            tags="duplicati, duplistatus, recovered",
        ),
        "channelFailing": Template(
            title=N_("📵 {channel} delivers nothing"),
            message=N_(
                "No message has got through {channel} since {since_date}.\n\n"
                "🛑 Reason: {error}\n📄 Messages that wait: {count}"
            ),
            priority="high",
            tags="duplicati, duplistatus, channel",
        ),
        "channelWorks": Template(
            title=N_("💚 {channel} delivers again"),
            message=N_("Messages get through {channel} again. It had failed since {since_date}."),
            tags="duplicati, duplistatus, recovered",
        ),
        "unusualRun": Template(
            title=N_("🔎 Unusual run: {backup_name} of {server_alias}"),
            message=N_(
                "The run of {backup_date} differs much from those before it:\n\n{figures}\n\n"
                "If nobody intended these changes, look at the files before old versions are deleted.\n\n{details_link}"
            ),
            priority="high",
            tags="duplicati, duplistatus, unusual",
        ),
        "destinationFull": Template(
            title=N_("📦 Destination full {when}: {backup_name} of {server_alias}"),
            message=N_(
                "💾 Free space: {free_size}\n📈 Growth per day: {growth_size}\n📅 Expected to be full: {full_date}\n\n"
                "Free some space, or keep fewer versions: without space backups fail.\n\n{details_link}"
            ),
            tags="duplicati, duplistatus, storage",
        ),
        "destinationsFull": Template(
            title=N_("📦 Destinations that will soon be full: {count}"),
            message=N_("{jobs}\n\nFree some space, or keep fewer versions: without space backups fail."),
            tags="duplicati, duplistatus, storage",
        ),
        "healthFailing": Template(
            title=N_("🩺 duplistatus needs attention"),
            message=N_("{problems}\n\nUntil this is solved, reports and messages may be missing."),
            priority="high",
            tags="duplicati, duplistatus, health",
        ),
        "healthWorks": Template(
            title=N_("💚 duplistatus works again"),
            message=N_("Solved:\n\n{problems}"),
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

# What may be wrong with duplistatus itself.
HEALTH_PROBLEMS: Mapping[str, str] = MappingProxyType(
    {
        "space": N_("There is little free disk space"),
        "full": N_("The disk is full, so reports are lost"),
        "damaged": N_("The database is damaged"),
        "silent": N_("The database does not answer"),
        "unwritable": N_("The database cannot be written"),
        "schema": N_("The schema of the database does not fit this version"),
        "checks": N_("Nothing looks for overdue backups"),
        "delivery": N_("Messages are not sent"),
    }
)


def alarm_template(event: str, language: str) -> Template:
    """Return the template of one of `EVENTS`."""
    return ALARMS[event].translated(catalog(language).gettext)


def health_words(kind: str, language: str) -> str:
    """Return a sentence about one of `HEALTH_PROBLEMS`, without a full stop."""
    return catalog(language).gettext(HEALTH_PROBLEMS[kind])


def overdue_line(language: str) -> str:
    """Return the template of a line about an overdue job, in a list of several."""
    return catalog(language).gettext("{server_alias}: {backup_name}, expected {expected_date}")


def full_line(language: str) -> str:
    """Return the template of a line about a destination that will be full, in a list of several."""
    return catalog(language).gettext("{server_alias}: {backup_name}, full {when}, free space {free_size}")


def full_now(language: str) -> str:
    """Return what stands for `{when}` where a destination is full already."""
    return catalog(language).pgettext("full when", "now")


def more_line(language: str) -> str:
    """Return the template of the last line of a list that was cut."""
    return catalog(language).pgettext("list of jobs", "and more: {count}")


def figure_line(figure: str, value: str, usual: str, language: str) -> str:
    """Return a figure that is not usual beside the usual one: `Modified files: 41,230 instead of about 210`."""
    texts = catalog(language)
    line = texts.gettext("{figure}: {value} instead of about {usual}")
    return line.format(figure=texts.pgettext("figure of a run", FIGURES[figure]), value=value, usual=usual)
