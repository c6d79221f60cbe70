"""A few figures of a job's newest runs, packed in one column of the job.

Heartbeat bars, trends and anomalies read them, instead of a query for the runs at each upload and for each dashboard.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from app.core.instants import from_milliseconds, to_milliseconds
from app.reports.outcomes import Outcome, status_letter

# The newest run, and the thirty that it is compared with.
MAX_RUNS = 31
# Lengths of the previous format, 37 bytes per run, differ from all lengths of this one.
_FORM = struct.Struct("<qcfqqqqqB")
DAY = timedelta(days=1)
# Letters of runs that saved nothing, and of one that was interrupted and sent no report.
ABORTED, DRY_RUN, BROKEN_OFF = "A", "D", "B"
NOT_COUNTED = ABORTED + DRY_RUN + BROKEN_OFF
OUTCOME_LETTERS: dict[str, str] = {Outcome.ABORTED: ABORTED, Outcome.DRY_RUN: DRY_RUN}


class RecentRun(NamedTuple):
    """One run. `letter` is its status in a heartbeat bar or one of `NOT_COUNTED`.

    `not_told` are the figures that its report lacks: bits of `app.reports.report.Figure`.
    """

    began_at_ms: int
    letter: str
    duration_s: float
    examined_files: int
    examined_bytes: int
    uploaded_bytes: int
    modified_files: int = 0
    deleted_files: int = 0
    not_told: int = 0

    @property
    def began_at(self) -> datetime:
        """The start, in UTC."""
        return from_milliseconds(self.began_at_ms)

    @property
    def counts(self) -> bool:
        """Whether the run decides the state of its job and satisfies its schedule."""
        return self.letter not in NOT_COUNTED

    @property
    def has_failed(self) -> bool:
        """Whether the run failed or saved nothing, so that its figures are incomplete."""
        return self.letter in "EF" or not self.counts


def recent_runs(
    began_at: datetime,
    status: str,
    duration_s: float,
    examined_files: int,
    examined_bytes: int,
    uploaded_bytes: int,
    outcome: str = "",
    broken_off_at: datetime | None = None,
    modified_files: int = 0,
    deleted_files: int = 0,
    not_told: int = 0,
) -> list[RecentRun]:
    """Return the run with these columns of `Run`, after an interrupted one if any."""
    letter = OUTCOME_LETTERS.get(outcome) or status_letter(status)
    run = RecentRun(
        to_milliseconds(began_at),
        letter,
        duration_s,
        examined_files,
        examined_bytes,
        uploaded_bytes,
        modified_files,
        deleted_files,
        not_told,
    )
    if broken_off_at is None or broken_off_at >= began_at:
        return [run]
    return [RecentRun(to_milliseconds(broken_off_at), BROKEN_OFF, 0.0, 0, 0, 0), run]


def pack_runs(runs: Iterable[RecentRun]) -> bytes:
    """Pack the newest of some runs, given oldest first: 54 bytes each."""
    packed = b"".join(_FORM.pack(run[0], run[1].encode(), *run[2:]) for run in runs)
    return packed[-MAX_RUNS * _FORM.size :]


def add_packed(packed: bytes | None, runs: Sequence[RecentRun]) -> bytes:
    """Append newer runs to packed runs; the oldest are dropped."""
    return ((packed or b"") + pack_runs(runs))[-MAX_RUNS * _FORM.size :]


def usual_interval(runs: Sequence[RecentRun]) -> timedelta:
    """Return the median time between runs that count, at least a day.

    A day if there are too few runs.
    """
    begins = [run.began_at_ms for run in runs if run.counts]
    gaps = [later - earlier for earlier, later in pairwise(begins)]
    return max(timedelta(milliseconds=median(gaps)), DAY) if len(gaps) > 1 else DAY


def unpack_runs(packed: bytes | None) -> list[RecentRun]:
    """Return the runs, oldest first."""
    return [RecentRun(began, letter.decode(), *rest) for began, letter, *rest in _FORM.iter_unpack(packed or b"")]
