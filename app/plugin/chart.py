"""What a chart is made from: a provider turns a run into one number per run, the host does the rest."""

from abc import ABC
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

Unit = Literal["bytes", "seconds", "count", "ratio"]
Combine = Literal["sum", "last", "max", "mean"]


@dataclass(frozen=True, slots=True)
class Run:
    """One finished backup as a chart provider sees it. Sizes in bytes, `began_at` in UTC."""

    server_id: str
    job_name: str
    began_at: datetime
    status: str
    duration_s: float
    examined_files: int
    examined_bytes: int
    uploaded_bytes: int
    storage_bytes: int
    version_count: int
    warning_count: int
    error_count: int
    added_files: int
    deleted_files: int
    modified_files: int


class ChartProvider(ABC):
    """One series of numbers over time. Subclass, set the class attributes, and either name a `column` or compute.

    `label` is English and marked with `N_`; pages translate it by the catalogues of the plugin, as those of a channel.
    `combine` says how several runs of one job within a day become one point; the points of several jobs are
    always summed, except for `mean` and `max`, which stay what they are. `column` names a stored figure of a run
    (one of `Run`'s numeric fields): then the database groups, of the days in `weekdays` (0 is Monday, UTC), where
    these are given. Otherwise `value` is called once for each run, in a request's thread; it must be pure and may
    return None to leave a gap.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    unit: ClassVar[Unit]
    combine: ClassVar[Combine]
    column: ClassVar[str | None] = None
    weekdays: ClassVar[frozenset[int] | None] = None

    def value(self, run: Run) -> float | None:
        """The number of this run, in `unit`; None leaves a gap."""
        if self.column is None:
            raise NotImplementedError(f"{type(self).__name__} names no column, so it must compute its value")
        if self.weekdays is not None and run.began_at.weekday() not in self.weekdays:
            return None
        number: float = getattr(run, self.column)
        return number
