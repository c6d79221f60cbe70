"""What is not usual about a run: a soft flag beside its status, by the median of the runs before it.

The spread is the median absolute deviation, which a few odd runs do not move: an attack that encrypts all files shows
as many modified files and a large upload, even when there was a holiday in between. Runs that failed are neither judged
nor compared with, since their figures tell of a part, and their status says more; nor are figures that a run does not
tell.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from statistics import median
from typing import Any, NamedTuple

from app.backups.recent_runs import RecentRun
from app.reports.report import Figure

MODIFIED, DELETED, UPLOAD, DURATION, SIZE, FILES = "modified", "deleted", "upload", "duration", "size", "files"
ALL_FIGURES = (MODIFIED, DELETED, UPLOAD, DURATION, SIZE, FILES)
# What the deviation of a normal distribution is in median absolute deviations.
_MADS_IN_DEVIATION = 1.4826
# Figures that never change have no spread; a hundredth of the usual is no surprise for any.
_LEAST_SPREAD = 0.01
# Modified and deleted files count from this share of all files on.
_LEAST_SHARE = 0.1
# A value is a habit, as of a weekly full backup, when so many earlier runs were at least this part as far from usual.
_HABIT_RUNS = 2
_HABIT_PART = 2 / 3


class _Measure(NamedTuple):
    """How one figure of a run is judged.

    Below `least_difference`, and below `_LEAST_SHARE` of `whole`, nobody needs to look, however small the usual value
    is. `is_work` says that it counts what a run did, and not what there is: less is a quiet day. `told` is 0 for what
    every run tells.
    """

    figure: str
    value: Callable[[RecentRun], float]
    least_difference: float
    is_work: bool
    told: int = 0
    whole: Callable[[RecentRun], int] = lambda run: 0


# The first one found is what a list shows.
# As numbers: to ask an enumeration for each run took as long as the judging.
_FILES_TOLD, _UPLOADED_TOLD = int(Figure.FILES), int(Figure.UPLOADED)
_MEASURES = (
    _Measure(MODIFIED, lambda run: run.modified_files, 20, True, _FILES_TOLD, lambda run: run.examined_files),
    _Measure(
        DELETED,
        lambda run: run.deleted_files,
        20,
        True,
        _FILES_TOLD,
        lambda run: run.examined_files + run.deleted_files,
    ),
    _Measure(UPLOAD, lambda run: run.uploaded_bytes, 50 * 1024**2, True, _UPLOADED_TOLD),
    _Measure(DURATION, lambda run: run.duration_s, 300, True),
    _Measure(SIZE, lambda run: run.examined_bytes, 10 * 1024**2, False, _FILES_TOLD),
    _Measure(FILES, lambda run: run.examined_files, 20, False, _FILES_TOLD),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on a figure counts as unusual; all three have to be exceeded.

    `least_runs` is how many good runs there have to be to speak of usual, `deviations` the distance from the median in
    deviations, `times` the factor for what a run did (upload, duration, modified and deleted files), `percent` the
    change of size and files in either direction. `tells` has people notified.
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
    """One figure of a run that is far from what is usual: upload and size in bytes, duration in seconds, files.

    With `is_notified` a message was sent of it, about this run or an earlier one since which it has stayed unusual.
    With `is_past` it is that of an earlier run, kept over one that says nothing of it: nobody is notified again.
    """

    figure: str
    value: float
    usual: float
    is_notified: bool = False
    is_past: bool = False

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
        """As a JSON value; what is false is left out."""
        return {name: value for name, value in asdict(self).items() if value is not False}


def find_anomalies(runs: Sequence[RecentRun], limits: Limits) -> list[Anomaly]:
    """What is unusual about the last of some runs, given oldest first; those that saved nothing are passed over."""
    runs = [run for run in runs if run.counts]
    if not limits.is_enabled or not runs or runs[-1].has_failed:
        return []
    newest, earlier = runs[-1], [run for run in runs[:-1] if not run.has_failed]
    if len(earlier) < limits.least_runs:
        return []
    found = [_judge(measure, newest, earlier, limits) for measure in _MEASURES]
    return [anomaly for anomaly in found if anomaly]


def follow_anomalies(runs: Sequence[RecentRun], limits: Limits, before: Iterable[Anomaly]) -> list[Anomaly]:
    """Find what is unusual about the last of some runs, and keep of which figures people were notified `before`.

    A figure that is usual again is forgotten. A run that failed, or does not tell a figure, says nothing of it: there
    it is kept.
    """
    notified = {anomaly.figure: anomaly for anomaly in before if anomaly.is_notified}
    counting = [run for run in runs if run.counts]
    found = find_anomalies(counting, limits)
    open_figures = _figures_left_open(counting[-1]) & notified.keys() if counting else ()
    return [
        *(replace(anomaly, is_notified=anomaly.figure in notified) for anomaly in found),
        *(replace(notified[figure], is_past=True) for figure in sorted(open_figures)),
    ]


def _figures_left_open(run: RecentRun) -> set[str]:
    return {measure.figure for measure in _MEASURES if run.has_failed or run.not_told & measure.told}


def describe(anomaly: Anomaly) -> str:
    """Describe an anomaly in English, for the API."""
    if anomaly.figure in (MODIFIED, DELETED):
        if not anomaly.usual:
            return f"{anomaly.figure} files, although there usually are none"
        return f"{anomaly.times:.0f} times as many {anomaly.figure} files as usual"
    if anomaly.figure in (UPLOAD, DURATION):
        what = "upload" if anomaly.figure == UPLOAD else "duration"
        if not anomaly.usual:
            return f"{what}, although there usually is none"
        return f"{what} {anomaly.times:.0f} times the usual value"
    noun = "files" if anomaly.figure == FILES else "data"
    less = "fewer" if anomaly.figure == FILES else "less"
    return f"{anomaly.percent} % {'more' if anomaly.is_more else less} {noun}"


def _judge(measure: _Measure, newest: RecentRun, earlier: Sequence[RecentRun], limits: Limits) -> Anomaly | None:
    values = [measure.value(run) for run in earlier if not run.not_told & measure.told]
    if newest.not_told & measure.told or len(values) < limits.least_runs:
        return None
    value, usual = measure.value(newest), median(values)
    difference = abs(value - usual)
    if difference < max(measure.least_difference, _LEAST_SHARE * measure.whole(newest)):
        return None
    if measure.is_work:
        if value < usual * limits.times or _is_habit(value - usual, usual, values):
            return None
    elif difference < usual * limits.percent / 100:
        return None
    spread = _MADS_IN_DEVIATION * median(abs(other - usual) for other in values)
    if difference <= limits.deviations * max(spread, usual * _LEAST_SPREAD):
        return None
    return Anomaly(measure.figure, round(value, 1), round(usual, 1))


def _is_habit(excess: float, usual: float, values: Iterable[float]) -> bool:
    """Say whether several earlier values were about as far above the usual one."""
    return sum(other - usual >= _HABIT_PART * excess for other in values) >= _HABIT_RUNS
