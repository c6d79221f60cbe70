"""Translated texts for statuses, outcomes, anomalies and versions."""

from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext

from app.backups.heartbeats import MISSED
from app.backups.overview import JobStatus
from app.insight.anomalies import DELETED, DURATION, FILES, MODIFIED, UPLOAD, Anomaly
from app.reports.outcomes import ABORTED, BROKEN_OFF, DRY_RUN, ERROR, FATAL, NONE, SUCCESS, UNKNOWN, WARNING, Outcome
from app.web.formats import count_text, duration_text, number_text, size_text

# More would make the page slow, and versions of years ago are rarely needed in a list.
VERSIONS_SHOWN = 500
STATUS_WORDS = {
    SUCCESS: lazy_gettext("Success"),
    WARNING: lazy_gettext("Warning"),
    ERROR: lazy_gettext("Error"),
    FATAL: lazy_gettext("Fatal"),
    UNKNOWN: lazy_gettext("Unknown"),
    NONE: lazy_gettext("N/A"),
    "overdue": lazy_gettext("Overdue"),
    "missed": lazy_gettext("Missed"),
    "aborted": lazy_gettext("Aborted"),
    "dry_run": lazy_gettext("Dry run"),
    "stopped": lazy_gettext("Stopped"),
    "partial": lazy_gettext("Partial"),
    "broken_off": lazy_gettext("Interrupted"),
    "muted": lazy_gettext("Muted"),
    "unusual": lazy_gettext("Unusual"),
    "filling": lazy_gettext("Nearly full"),
}
LETTER_WORDS = {
    "S": SUCCESS,
    "W": WARNING,
    "E": ERROR,
    "F": FATAL,
    "U": UNKNOWN,
    ABORTED: "aborted",
    DRY_RUN: "dry_run",
    BROKEN_OFF: "broken_off",
    MISSED: "missed",
}
# Sentence on a run's page for each outcome.
OUTCOME_SENTENCES = {
    Outcome.ABORTED: lazy_gettext(
        "This run was aborted and saved nothing. The job keeps the status of the "
        "previous run, and a run is still expected."
    ),
    Outcome.DRY_RUN: lazy_gettext("This was a dry run: Duplicati only simulated the backup and saved nothing."),
    Outcome.STOPPED: lazy_gettext("This run was stopped manually and saved a version."),
    Outcome.PARTIAL: lazy_gettext("This run saved a version with only part of the files."),
}


def status_word(status: str) -> str:
    """Return a status in the page's language; unknown words are unchanged."""
    return str(STATUS_WORDS.get(status, status))


def letter_word(letter: str) -> str:
    """Return the word for a letter of a heartbeat bar."""
    return status_word(LETTER_WORDS.get(letter, UNKNOWN))


def outcome_sentence(outcome: str) -> str:
    """Return the sentence for an outcome; "" for a usual run."""
    return str(OUTCOME_SENTENCES[Outcome(outcome)]) if outcome else ""


def anomaly_words(anomaly: Anomaly) -> str:
    """Return a short text on an anomaly, such as `40 % fewer files`."""
    if anomaly.figure in (MODIFIED, DELETED):
        return _changed_words(anomaly)
    if anomaly.figure in (UPLOAD, DURATION):
        if not anomaly.usual:
            return _("an upload, although there usually is none")
        times = number_text(round(anomaly.times))
        if anomaly.figure == UPLOAD:
            return _("upload %(times)s times the usual size", times=times)
        return _("duration %(times)s times the usual time", times=times)
    percent = number_text(anomaly.percent)
    if anomaly.figure == FILES:
        more, less = _("%(percent)s %% more files", percent=percent), _("%(percent)s %% fewer files", percent=percent)
    else:
        more, less = _("%(percent)s %% more data", percent=percent), _("%(percent)s %% less data", percent=percent)
    return more if anomaly.is_more else less


def _changed_words(anomaly: Anomaly) -> str:
    """Return how many more files than usual were modified or deleted."""
    times = number_text(round(anomaly.times)) if anomaly.usual else ""
    if anomaly.figure == MODIFIED:
        if not times:
            return _("modified files, although there usually are none")
        return _("%(times)s times as many modified files as usual", times=times)
    if not times:
        return _("deleted files, although there usually are none")
    return _("%(times)s times as many deleted files as usual", times=times)


def anomaly_figures(anomaly: Anomaly) -> str:
    """Return both values of an anomaly: `412.00 MB instead of about 45.00 MB`."""
    if anomaly.figure == DURATION:
        value, usual = duration_text(anomaly.value), duration_text(anomaly.usual)
    elif anomaly.figure in (FILES, MODIFIED, DELETED):
        value, usual = count_text(round(anomaly.value)), count_text(round(anomaly.usual))
    else:
        value, usual = size_text(anomaly.value), size_text(anomaly.usual)
    return _("%(value)s, typically %(usual)s", value=value, usual=usual)


def version_times(job: JobStatus) -> list[datetime]:
    """Return the times of a job's restorable versions, newest first, up to the limit."""
    return [datetime.fromisoformat(text) for text in job.versions[:VERSIONS_SHOWN]]


def span_words(days: float) -> str:
    """Return an approximate time span: `today`, `5 days`, `7 weeks`, `14 months`."""
    if days < 1:
        return _("less than a day")
    if days < 14:
        return ngettext("about %(num)s day", "about %(num)s days", round(days))
    if days < 90:
        return ngettext("about %(num)s week", "about %(num)s weeks", round(days / 7))
    return ngettext("about %(num)s month", "about %(num)s months", round(days / 30.4))
