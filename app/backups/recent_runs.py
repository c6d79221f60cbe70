"""The newest runs of a job in a few figures each, packed beside the job: what strips, trends and anomalies are made of.

A row of the job's own then answers what would else be a query over the runs, at each upload and for each dashboard.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from app.core.instants import from_milliseconds, to_milliseconds
from app.reports.outcomes import Outcome, strip_letter

# The newest run, and the thirty that it is compared with.
KEPT = 31
# Bytes of the form before this one, 37 for each run, never have a length that this one takes.
_FORM = struct.Struct("<qcfqqqqqB")
DAY = timedelta(days=1)
# Letters of runs that saved nothing, and of one that was broken off and sent no report.
ABORTED, DRY_RUN, BROKEN_OFF = "A", "D", "B"
NOT_COUNTED = ABORTED + DRY_RUN + BROKEN_OFF
OUTCOME_LETTERS: dict[str, str] = {Outcome.ABORTED: ABORTED, Outcome.DRY_RUN: DRY_RUN}


class RecentRun(NamedTuple):
    """One run. `letter` is that of its status in a heartbeat bar, or says that it saved nothing (`NOT_COUNTED`).

    `not_told` holds the figures that its report does not tell: bits of `domain.reports.Figure`.
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
        """When it began, in UTC."""
        return from_milliseconds(self.began_at_ms)

    @property
    def counts(self) -> bool:
        """Whether the run decides the state of its job and fulfils its schedule."""
        return self.letter not in NOT_COUNTED

    @property
    def has_failed(self) -> bool:
        """Whether the run saved nothing or failed, so that its figures tell of a part."""
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
    """The run with these columns of `Run`; before it the one that was broken off, where the run tells of one."""
    letter = OUTCOME_LETTERS.get(outcome) or strip_letter(status)
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
    """The newest of some runs, given oldest first, as bytes: 54 each."""
    packed = b"".join(_FORM.pack(run[0], run[1].encode(), *run[2:]) for run in runs)
    return packed[-KEPT * _FORM.size :]


def add_packed(packed: bytes | None, runs: Sequence[RecentRun]) -> bytes:
    """The packed runs with newer ones at their end; the oldest make room."""
    return ((packed or b"") + pack_runs(runs))[-KEPT * _FORM.size :]


def usual_interval(runs: Sequence[RecentRun]) -> timedelta:
    """The median of the times between runs that count, at least a day; a day where there are too few to tell."""
    begins = [run.began_at_ms for run in runs if run.counts]
    gaps = [later - earlier for earlier, later in pairwise(begins)]
    return max(timedelta(milliseconds=median(gaps)), DAY) if len(gaps) > 1 else DAY


def unpack_runs(packed: bytes | None) -> list[RecentRun]:
    """The runs, oldest first."""
    return [RecentRun(began, letter.decode(), *rest) for began, letter, *rest in _FORM.iter_unpack(packed or b"")]
