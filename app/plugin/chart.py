"""Chart providers: each returns one number per run, the application does the rest."""

from abc import ABC
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

Unit = Literal["bytes", "seconds", "count", "ratio"]
Combine = Literal["sum", "last", "max", "mean"]


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run as a chart provider gets it. Sizes in bytes, `began_at` in UTC."""

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
    """One series of numbers over time.

    Subclass, set the class attributes, and either name a `column` or compute. `label` is English and marked with
    `N_`; pages translate it by the catalogues of the plugin, as those of a channel. `combine` is how several runs of
    one job within a day become one point; the points of several jobs are added, except for `mean` and `max`, which
    are applied again. `column` names a stored metric of a run (a numeric field of `Run`): then the database groups,
    only the days in `weekdays` (0 is Monday, UTC) if given. Otherwise `value` is called once per run, in a request's
    thread; it must be pure and may return None to leave a gap.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    unit: ClassVar[Unit]
    combine: ClassVar[Combine]
    column: ClassVar[str | None] = None
    weekdays: ClassVar[frozenset[int] | None] = None

    def value(self, run: Run) -> float | None:
        """Return the number of this run, in `unit`; None leaves a gap."""
        if self.column is None:
            raise NotImplementedError(f"{type(self).__name__} names no column, so it must compute its value")
        if self.weekdays is not None and run.began_at.weekday() not in self.weekdays:
            return None
        number: float = getattr(run, self.column)
        return number
