"""The newest runs of a job in a few figures each, packed beside the job: what strips, trends and anomalies are made of.

A row of the job's own then answers what would else be a query over the runs, at each upload and for each dashboard.
"""

import struct
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from app.domain.statuses import strip_letter

# The newest run, and the thirty that it is compared with.
KEPT = 31
_FORM = struct.Struct("<qcfqqq")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MILLISECOND = timedelta(milliseconds=1)


class RecentRun(NamedTuple):
    """One run. `letter` is that of its status in a strip."""

    began_at_ms: int
    letter: str
    duration_s: float
    examined_files: int
    examined_bytes: int
    uploaded_bytes: int

    @property
    def began_at(self) -> datetime:
        """When it began, in UTC."""
        return _EPOCH + self.began_at_ms * _MILLISECOND

    @property
    def has_failed(self) -> bool:
        """Whether the backup did not come about, so that its figures tell of a part."""
        return self.letter in "EF"


def recent_run(
    began_at: datetime, status: str, duration_s: float, examined_files: int, examined_bytes: int, uploaded_bytes: int
) -> RecentRun:
    """The run with these columns of `Run`."""
    began_at_ms = (began_at - _EPOCH) // _MILLISECOND
    return RecentRun(began_at_ms, strip_letter(status), duration_s, examined_files, examined_bytes, uploaded_bytes)


def pack_runs(runs: Iterable[RecentRun]) -> bytes:
    """The newest of some runs, given oldest first, as bytes: 37 each."""
    packed = b"".join(_FORM.pack(run[0], run[1].encode(), *run[2:]) for run in runs)
    return packed[-KEPT * _FORM.size :]


def add_packed(packed: bytes | None, run: RecentRun) -> bytes:
    """The packed runs with a newer one at their end; the oldest makes room."""
    return (packed or b"")[-(KEPT - 1) * _FORM.size :] + pack_runs((run,))


def unpack_runs(packed: bytes | None) -> list[RecentRun]:
    """The runs, oldest first."""
    return [RecentRun(began, letter.decode(), *rest) for began, letter, *rest in _FORM.iter_unpack(packed or b"")]
