"""What is not usual about a run: a soft flag beside its status, by the median of the runs before it.

The spread is the median absolute deviation, which a few odd runs do not move: an attack that encrypts all files shows
as a large upload, even when there was a holiday in between. Runs that failed are neither judged nor compared with,
since their figures tell of a part, and their status says more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Any

from app.domain.recent_runs import RecentRun

UPLOAD, DURATION, SIZE, FILES = "upload", "duration", "size", "files"
# What the deviation of a normal distribution is in median absolute deviations.
_MADS_IN_DEVIATION = 1.4826
# Figures that never change have no spread; a hundredth of the usual is no surprise for any.
_LEAST_SPREAD = 0.01
# Below these differences nobody needs to look, however small the usual value is.
_LEAST_DIFFERENCE = {UPLOAD: 50 * 1024**2, DURATION: 300.0, SIZE: 10 * 1024**2, FILES: 20.0}


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on a figure counts as unusual; all three have to be exceeded.

    `least_runs` is how many good runs there have to be to speak of usual, `deviations` the distance from the median in
    deviations, `times` the factor for upload and duration, `percent` the change of size and files in either direction.
    """

    is_enabled: bool = True
    tells: bool = False
    least_runs: int = 8
    deviations: float = 5.0
    times: float = 3.0
    percent: float = 30.0

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Limits":
        """The limits that a setting holds; what it does not name is as by default."""
        return cls(**{field.name: stored[field.name] for field in fields(cls) if field.name in stored})


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One figure of a run that is far from what is usual: upload and size in bytes, duration in seconds, files."""

    figure: str
    value: float
    usual: float

    @property
    def is_more(self) -> bool:
        """Whether it is more than usual."""
        return self.value > self.usual

    @property
    def times(self) -> float:
        """How many times the usual it is; infinite where the usual is nothing."""
        return self.value / self.usual if self.usual else float("inf")

    @property
    def percent(self) -> int:
        """By how much of the usual it differs, as a positive number."""
        return round(abs(self.value - self.usual) / self.usual * 100) if self.usual else 100

    def stored(self) -> dict[str, Any]:
        """As a JSON value."""
        return asdict(self)


def find_anomalies(runs: Sequence[RecentRun], limits: Limits) -> list[Anomaly]:
    """What is unusual about the last of some runs, given oldest first; those that saved nothing are passed over."""
    runs = [run for run in runs if run.counts]
    if not limits.is_enabled or not runs or runs[-1].has_failed:
        return []
    newest, earlier = runs[-1], [run for run in runs[:-1] if not run.has_failed]
    if len(earlier) < limits.least_runs:
        return []
    figures = (
        (UPLOAD, newest.uploaded_bytes, [run.uploaded_bytes for run in earlier]),
        (DURATION, newest.duration_s, [run.duration_s for run in earlier]),
        (SIZE, newest.examined_bytes, [run.examined_bytes for run in earlier]),
        (FILES, newest.examined_files, [run.examined_files for run in earlier]),
    )
    found = [_judge(figure, value, values, limits) for figure, value, values in figures]
    return [anomaly for anomaly in found if anomaly]


def describe(anomaly: Anomaly) -> str:
    """An anomaly in a few English words, as an API tells it."""
    if anomaly.figure in (UPLOAD, DURATION):
        what = "upload" if anomaly.figure == UPLOAD else "duration"
        if not anomaly.usual:
            return f"{what} where there usually is none"
        return f"{what} {anomaly.times:.0f} times as usual"
    noun = "files" if anomaly.figure == FILES else "data"
    less = "fewer" if anomaly.figure == FILES else "less"
    return f"{anomaly.percent} % {'more' if anomaly.is_more else less} {noun}"


def _judge(figure: str, value: float, values: list[Any], limits: Limits) -> Anomaly | None:
    usual = median(values)
    difference = value - usual
    if abs(difference) < _LEAST_DIFFERENCE[figure]:
        return None
    if figure in (UPLOAD, DURATION):
        # Less of these is a quiet day.
        if value < usual * limits.times:
            return None
    elif abs(difference) < usual * limits.percent / 100:
        return None
    spread = _MADS_IN_DEVIATION * median(abs(other - usual) for other in values)
    if abs(difference) <= limits.deviations * max(spread, usual * _LEAST_SPREAD):
        return None
    return Anomaly(figure, round(value, 1), round(usual, 1))
