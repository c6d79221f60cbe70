"""Trouble that people were told of: when it begins, and which run ends it. So that "fine again" is said once."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.notices import OFF, is_told
from app.domain.statuses import SUCCESS, is_failure

OVERDUE = "Overdue"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What people know of a job: that it is `Overdue`, or how its last bad run ended; and since when."""

    kind: str
    since_at: datetime


@dataclass(frozen=True, slots=True)
class Hearing:
    """What two kinds of destinations hear of a run: the standard ones, and the additional ones."""

    standard: bool
    additional: bool

    def __bool__(self) -> bool:
        """Whether anybody hears of it."""
        return self.standard or self.additional


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who hears of a run by a message of its own, who hears that all is well again, and what trouble is left."""

    run: Hearing
    recovered: Hearing
    trouble: Trouble | None


NOBODY = Hearing(False, False)


def judge(
    *,
    status: str,
    error_count: int,
    began_at: datetime,
    is_newest: bool,
    has_saved: bool = True,
    standard_event: str,
    additional_event: str,
    trouble: Trouble | None,
) -> Verdict:
    """Who is to hear what of a run. Only the newest run of a job begins or ends trouble, unless it saved nothing.

    A good run ends it. So does one with warnings, if nobody is told of warnings, or if the job was only late: then
    those who are told of the warning know that it ran. Whoever hears "fine again" hears no second message of the run.
    """
    run = Hearing(is_told(standard_event, status, error_count), is_told(additional_event, status, error_count))
    if not (is_newest and has_saved):
        return Verdict(run, NOBODY, trouble)
    if is_failure(status) or error_count:
        told_now = Trouble(status, trouble.since_at if trouble else began_at)
        return Verdict(run, NOBODY, told_now if run and is_failure(status) else trouble)
    is_fine = status == SUCCESS
    if trouble is None or not (is_fine or trouble.kind == OVERDUE or not run.standard):
        return Verdict(run, NOBODY, trouble)
    # Lateness is told whatever the standard event says.
    knew = Hearing(trouble.kind == OVERDUE or standard_event != OFF, additional_event != OFF)
    recovered = Hearing(
        knew.standard and (is_fine or not run.standard), knew.additional and (is_fine or not run.additional)
    )
    rest = Hearing(run.standard and not recovered.standard, run.additional and not recovered.additional)
    return Verdict(rest, recovered, None)
