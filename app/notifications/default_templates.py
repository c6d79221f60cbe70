"""Built-in texts of notifications: current templates, those of earlier versions, and alerts without a template."""

import hashlib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from app.core.languages import catalog
from app.insight.anomalies import DELETED, DURATION, FILES, MODIFIED, SIZE, UPLOAD
from app.notifications.templates import Template
from app.plugin import N_, NC_

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


@cache
def default_templates(language: str) -> Mapping[str, Template]:
    """Return the built-in templates of a language, by kind; English for an unknown language."""
    texts = catalog(language)
    return {kind: template.translated(texts.gettext) for kind, template in DEFAULT_TEMPLATES.items()}


# Built-in texts of earlier versions.
#
# A stored template that equals one is replaced by the current text.

# Language -> SHA-256, first 32 hex digits, of every message built in until December 2026. Before the texts are changed
# in a release, add the hashes of the current ones.
_FORMER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en-GB": (
            "15b0738dc92791580b475cb00acf5de7",
            "7819a36c957ab08cd0be7ed42754c355",
            "a51fb4c81ff833341bd6ef5171049ba5",
            "5070f799f734f414459697f3f29979ad",
            "ac2f5c45ae85fe73cc1fee8b333abe42",
            "2bbf1e7c281d71700f327f4ebb18f412",
            "9013683a6974ad668510b91eec8f1d72",
            "3542ddd99f7f02d6ecda309155ee03df",
            "fe2a14479c5eecbac2348ef741e40bb0",
            "0622901a7da96fad90a9cef8d3852d7a",
        ),
        "de": (
            "b00320acd999be6fb9083d9cff46d227",
            "9f66354e832ddbba5af91cb395ff6982",
            "7ec15d0461a21954662f378275931844",
            "0b89c17d9026ec9b3cd60f58bdadf7a8",
            "5b6feff6583ac2790cc42be5f5fb9fb2",
            "2858e259ebc5902f76902f7304a15541",
            "60bc784296d1211baac331a87a801f0b",
            "d4bf78c628f0ae83e82c8f3c2a1f5fa3",
            "f79f1b00188dc09eadc2085b5bc31ce6",
            "81683ddcb4ec4c2354826a2d52a4d049",
        ),
        "fr": (
            "09239cd0b32e166e059b513223894623",
            "b5e3b891c2332a576a77c78100adcbe8",
            "4186e0d1cac7a472613e028ef5437bca",
            "158b32d357ad244b258cec453e637151",
            "b3474eff0a245a378c766697904765f0",
            "bf862ba2fddeb97755b937b60642f97a",
            "e9108c31d55e8ce57c2a1ff714940370",
            "2ea245f13bb15d04a1947f7dafa0a195",
            "026714f11ed2a14edf2f57cd708f7585",
            "476294a352a777c34f3c099a91395a27",
        ),
        "es": (
            "3a50018059767a2e47c0d03decf2a32a",
            "2796ea4ec7d11dd0edafe446dbe084bc",
            "507518eb63faa99d7d171d4856cb0891",
            "78d3ff964ea1224c1aab5a64605fd244",
            "c1fb958b3af3c4c0e430a9a376d190dd",
            "49672a8686c10a58bf07cc7175845db0",
            "ac358587df95a42a661221aa74a3c76d",
            "e103f0b093e48fe8a85af11e9c289d6c",
            "f280799ad085721d87b84663b21c3230",
            "ac797ef699c6d7ecb79436919cc75020",
        ),
        "pt-BR": (
            "9e1c13c50ddbe445d37c9ec6689f8c49",
            "372543b6ac28573b52071ee6738c623c",
            "7332abd14c8298995d0aec24d1bf4ac6",
            "6dff9f680bce2aba20f09ce476fcd034",
            "2e63dd0a7bda83163b2374ea7400eb2b",
            "35e5ec0d2509ee2574d24f67c56bf7c1",
            "9652ba291b96b5b059d49b1322b1470f",
            "cb655fbd338124f8e7e8c4aa37889476",
            "647b6f47c11cd97cf7a5b7a8aacdfca6",
            "47d722af3451995cc8abe8f7f00f6766",
        ),
        "hi": (
            "cb262c6ad5e1ed142fa37df589592d50",
            "01b11f359cb935d137b6eee9d9fd37e9",
            "33825ed1300e285dac76c7efc261ec66",
            "6d49306c3b4734c256398b8971403414",
            "83a7adfd8e44d24d0f562e1a70a43c52",
            "ea3700e0041bbba258da379f38becf9b",
            "75c0810878effa6eea9179ac6d55d73b",
            "5f94bb603421f3aa64c507510ed59d02",
            "42be74205d79dc7033aad1e2e434dcf4",
            "ba8b7acf74b8bb8e8c2a8873dc480530",
            "3cc63b2f8e02e46aff884d3ba68d67f8",
            "85467bd7e91619068a7e0160d4a9c197",
            "684efc121acddf3716c637ce8996d7c6",
            "1e902b350fcfad23fdc90adf1c01773b",
            "7e6c2ce8e7f70d4503a34a9a4caaa79c",
            "0f08e1cf409b2c53bbeba0ab1218fee8",
        ),
        "zh-Hans": (
            "ed8eb29f87ad63f2ee1a48bcdf0973d7",
            "85c93176767cb21b36bf81b7fd79770a",
            "b290d8eb9fadf113792a1607e896c9c2",
            "1c847252e913d546e7d0b53feb7b3ce9",
            "b287bac6b7c3b29b161f174a2f00c4db",
            "9072d939f9d804e1a8db881bbdb13d0f",
            "94dcbffc6b33a7854387273c6eee8f1c",
            "047079e680dfc10e0a4dcadd7acd789f",
            "5c0604b7d19f5e41ee97ca8ddf3afe7d",
            "6ecaa6a0b4750c91016a5b310c9af710",
            "f72e2e6db9e27c0562cf5506fc4d2ee4",
            "2fcc2da6c017b12150ba7d81ea85db1a",
            "5d0dcdf3f2259c6b5498f0f3bafd94c3",
            "d039f918a48fc982484dbb722f12268c",
            "fc4fa1a4268d034a905a2fc09982d10e",
            "53c3f552b3ef22f97231e8ef43ae3190",
        ),
    }
)
_LANGUAGES: Mapping[str, str] = MappingProxyType(
    {digest: language for language, digests in _FORMER.items() for digest in digests}
)


def former_language(message: str) -> str | None:
    """Return the language of a message built in by an earlier version.

    None for other messages.
    """
    return _LANGUAGES.get(hashlib.sha256(message.encode("utf-8", "replace")).hexdigest()[:32])


# Built-in texts of notifications that have no customizable template.
#
# Title and message are templates like the customizable ones. A count follows a label, never precedes a noun, so no text
# needs a plural form.

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
