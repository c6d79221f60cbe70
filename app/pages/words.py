"""What the language of a page calls things that are kept in English: statuses, and what is unusual about a run."""

from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext

from app.domain.anomalies import DURATION, FILES, UPLOAD, Anomaly
from app.domain.heartbeats import MISSED
from app.domain.statuses import ERROR, FATAL, NONE, SUCCESS, UNKNOWN, WARNING
from app.pages.formats import count_text, duration_text, number_text, size_text

STATUS_WORDS = {
    SUCCESS: lazy_gettext("Success"),
    WARNING: lazy_gettext("Warning"),
    ERROR: lazy_gettext("Error"),
    FATAL: lazy_gettext("Fatal"),
    UNKNOWN: lazy_gettext("Unknown"),
    NONE: lazy_gettext("N/A"),
    "overdue": lazy_gettext("Overdue"),
    "missed": lazy_gettext("Missed"),
    "muted": lazy_gettext("Muted"),
    "unusual": lazy_gettext("Unusual"),
    "filling": lazy_gettext("Nearly full"),
}
LETTER_WORDS = {"S": SUCCESS, "W": WARNING, "E": ERROR, "F": FATAL, "U": UNKNOWN, MISSED: "missed"}


def status_word(status: str) -> str:
    """A status in the language of the page; a word that we do not know stays as it is."""
    return str(STATUS_WORDS.get(status, status))


def letter_word(letter: str) -> str:
    """The word for a letter of a strip."""
    return status_word(LETTER_WORDS.get(letter, UNKNOWN))


def anomaly_words(anomaly: Anomaly) -> str:
    """What is unusual, in a few words: `upload 9 times as usual`, `40 % fewer files`."""
    if anomaly.figure in (UPLOAD, DURATION):
        if not anomaly.usual:
            return _("an upload, where there usually is none")
        times = number_text(round(anomaly.times))
        if anomaly.figure == UPLOAD:
            return _("upload %(times)s times as usual", times=times)
        return _("%(times)s times as long as usual", times=times)
    percent = number_text(anomaly.percent)
    if anomaly.figure == FILES:
        more, less = _("%(percent)s %% more files", percent=percent), _("%(percent)s %% fewer files", percent=percent)
    else:
        more, less = _("%(percent)s %% more data", percent=percent), _("%(percent)s %% less data", percent=percent)
    return more if anomaly.is_more else less


def anomaly_figures(anomaly: Anomaly) -> str:
    """The two numbers behind it: `412.00 MB instead of about 45.00 MB`."""
    if anomaly.figure == DURATION:
        value, usual = duration_text(anomaly.value), duration_text(anomaly.usual)
    elif anomaly.figure == FILES:
        value, usual = count_text(round(anomaly.value)), count_text(round(anomaly.usual))
    else:
        value, usual = size_text(anomaly.value), size_text(anomaly.usual)
    return _("%(value)s instead of about %(usual)s", value=value, usual=usual)


def span_words(days: float) -> str:
    """About how long until something that nobody knows to the day: `today`, `5 days`, `7 weeks`, `14 months`."""
    if days < 1:
        return _("less than a day")
    if days < 14:
        return ngettext("about %(num)s day", "about %(num)s days", round(days))
    if days < 90:
        return ngettext("about %(num)s week", "about %(num)s weeks", round(days / 7))
    return ngettext("about %(num)s month", "about %(num)s months", round(days / 30.4))
