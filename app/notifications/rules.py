"""Who is to be told what: the event rule, the additional destinations, and what they inherit."""

from dataclasses import dataclass
from datetime import datetime

from app.reports.outcomes import SUCCESS, is_failure

OFF, ERRORS, WARNINGS, ALL = "off", "errors", "warnings", "all"
EVENTS = (ALL, WARNINGS, ERRORS, OFF)


def should_notify(event: str, status: str, error_count: int) -> bool:
    """Whether a run is told to those who asked for `event`. A word that we do not know means everything."""
    if event == OFF:
        return False
    if event == ERRORS:
        return is_failure(status) or error_count > 0
    return event != WARNINGS or status != SUCCESS


def inherited(own: str | None, from_server: str | None, otherwise: str = "") -> str:
    """A job's own value, an empty text too; else that of its server; else the third."""
    if own is not None:
        return own
    return otherwise if from_server is None else from_server


def mail_addresses(text: str) -> tuple[str, ...]:
    """The addresses of a comma list, each once and in its order; parts without `@` are left out."""
    parts = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if "@" in part))


def is_muted(until: datetime | None, now: datetime, *, since: datetime | None = None) -> bool:
    """Whether messages are held back at this instant; `since` is when a maintenance that was announced begins."""
    return until is not None and now < until and (since is None or since <= now)


def shorten(text: str, limit: int | None, *, in_bytes: bool = False) -> str:
    """The text, cut to a limit of characters (or UTF-8 bytes) with an ellipsis at its end; None is no limit."""
    if limit is None or (len(text.encode()) if in_bytes else len(text)) <= limit:
        return text
    if not in_bytes:
        return text[: max(limit - 1, 0)].rstrip() + "…"
    return text.encode()[: max(limit - len("…".encode()), 0)].decode(errors="ignore").rstrip() + "…"


# Trouble that people were told of: when it begins, and which run ends it. So that "fine again" is said once.

OVERDUE = "Overdue"


@dataclass(frozen=True, slots=True)
class Incident:
    """What people know of a job: that it is `Overdue`, or how its last bad run ended; and since when."""

    kind: str
    since_at: datetime


@dataclass(frozen=True, slots=True)
class Recipients:
    """What two kinds of destinations hear of a run: the standard ones, and the additional ones."""

    standard: bool
    additional: bool

    def __bool__(self) -> bool:
        """Whether anybody hears of it."""
        return self.standard or self.additional


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who hears of a run by a message of its own, who hears that all is well again, and what trouble is left."""

    run: Recipients
    recovered: Recipients
    trouble: Incident | None


NOBODY = Recipients(False, False)


def judge(
    *,
    status: str,
    error_count: int,
    began_at: datetime,
    is_newest: bool,
    has_saved: bool = True,
    standard_event: str,
    additional_event: str,
    trouble: Incident | None,
) -> Verdict:
    """Who is to hear what of a run. Only the newest run of a job begins or ends trouble, unless it saved nothing.

    A good run ends it. So does one with warnings, if nobody is told of warnings, or if the job was only late: then
    those who are told of the warning know that it ran. Whoever hears "fine again" hears no second message of the run.
    """
    run = Recipients(
        should_notify(standard_event, status, error_count), should_notify(additional_event, status, error_count)
    )
    if not (is_newest and has_saved):
        return Verdict(run, NOBODY, trouble)
    if is_failure(status) or error_count:
        told_now = Incident(status, trouble.since_at if trouble else began_at)
        return Verdict(run, NOBODY, told_now if run and is_failure(status) else trouble)
    is_fine = status == SUCCESS
    if trouble is None or not (is_fine or trouble.kind == OVERDUE or not run.standard):
        return Verdict(run, NOBODY, trouble)
    # Lateness is told whatever the standard event says.
    knew = Recipients(trouble.kind == OVERDUE or standard_event != OFF, additional_event != OFF)
    recovered = Recipients(
        knew.standard and (is_fine or not run.standard), knew.additional and (is_fine or not run.additional)
    )
    rest = Recipients(run.standard and not recovered.standard, run.additional and not recovered.additional)
    return Verdict(rest, recovered, None)
