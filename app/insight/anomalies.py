"""Detect anomalies: figures of a run far from the median of earlier runs.

The spread is the median absolute deviation, which a few outliers do not change: an attack that encrypts all files shows
as many modified files and a large upload, even with a holiday in between. Failed runs are neither checked nor compared
with, since their figures are incomplete; nor are unknown figures.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from statistics import median
from typing import Any, NamedTuple

from app.core.settings.declarations import Setting, declare
from app.plugin.marking import N_
from app.reports.outcomes import RecentRun
from app.reports.parser import Figure

MODIFIED, DELETED, UPLOAD, DURATION, SIZE, FILES = "modified", "deleted", "upload", "duration", "size", "files"
ALL_FIGURES = (MODIFIED, DELETED, UPLOAD, DURATION, SIZE, FILES)
# Standard deviation of a normal distribution in median absolute deviations.
_MADS_IN_DEVIATION = 1.4826
# Constant figures have no spread; a hundredth of the usual value is assumed.
_LEAST_SPREAD = 0.01
# Modified and deleted files count from this share of all files on.
_LEAST_SHARE = 0.1
# A value is recurring, like a weekly full backup, if this many earlier runs deviated at least this part as much.
_HABIT_RUNS = 2
_HABIT_PART = 2 / 3


class _Measure(NamedTuple):
    """How one figure of a run is checked.

    Deviations below `least_difference`, and below `_LEAST_SHARE` of `whole`, are ignored. `is_work` means that it
    counts what a run did, not what exists: a low value is only a quiet day. `needed` is the `Figure` that the run must
    have, or 0.
    """

    figure: str
    value: Callable[[RecentRun], float]
    least_difference: float
    is_work: bool
    needed: int = 0
    whole: Callable[[RecentRun], int] = lambda run: 0


# As integers: using the enumeration for each run took as long as the check.
_FILES, _UPLOADED = int(Figure.FILES), int(Figure.UPLOADED)
# The first one found is shown in lists.
_MEASURES = (
    _Measure(MODIFIED, lambda run: run.modified_files, 20, True, _FILES, lambda run: run.examined_files),
    _Measure(
        DELETED,
        lambda run: run.deleted_files,
        20,
        True,
        _FILES,
        lambda run: run.examined_files + run.deleted_files,
    ),
    _Measure(UPLOAD, lambda run: run.uploaded_bytes, 50 * 1024**2, True, _UPLOADED),
    _Measure(DURATION, lambda run: run.duration_s, 300, True),
    _Measure(SIZE, lambda run: run.examined_bytes, 10 * 1024**2, False, _FILES),
    _Measure(FILES, lambda run: run.examined_files, 20, False, _FILES),
)


IS_ENABLED = Setting("is_enabled", bool, default=True, wire="enabled")
TELLS = Setting(
    "tells",
    bool,
    default=False,
    wire="notify",
    label=N_("Notify about unusual runs"),
    help=N_("When a metric of a run, such as the number of modified files, differs greatly from previous runs."),
)
LEAST_RUNS = Setting("least_runs", int, default=8, minimum=3, maximum=30, wire="minRuns")
DEVIATIONS = Setting("deviations", float, default=5.0, minimum=1, maximum=100, wire="deviations")
TIMES = Setting("times", float, default=3.0, minimum=1.1, maximum=1000, wire="times")
PERCENT = Setting("percent", float, default=30.0, minimum=1, maximum=1000, wire="percent")
ANOMALY_LIMITS = declare(
    Setting("anomaly_limits", dict, default={}, parts=(IS_ENABLED, TELLS, LEAST_RUNS, DEVIATIONS, TIMES, PERCENT))
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits from which on a figure is unusual; all three must be exceeded.

    `least_runs` is the minimum number of successful runs, `deviations` the distance from the median in deviations,
    `times` the factor for what a run did (upload, duration, modified and deleted files), `percent` the change of size
    and files in either direction. `tells` enables notifications.
    """

    is_enabled: bool = IS_ENABLED.default
    tells: bool = TELLS.default
    least_runs: int = LEAST_RUNS.default
    deviations: float = DEVIATIONS.default
    times: float = TIMES.default
    percent: float = PERCENT.default

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Limits":
        """Return the limits of a setting, with defaults for missing ones."""
        return cls(**{field.name: stored[field.name] for field in fields(cls) if field.name in stored})


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A figure of a run that is far from usual: bytes, seconds, or files.

    With `is_notified` a message was sent about it, for this run or an earlier one since which it has remained unusual.
    With `is_past` it belongs to an earlier run, and the newest one lacks the figure: no further notification.
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
        """The factor to the usual value; infinite if that is 0."""
        return self.value / self.usual if self.usual else float("inf")

    @property
    def percent(self) -> int:
        """The absolute difference in percent of the usual value."""
        return round(abs(self.value - self.usual) / self.usual * 100) if self.usual else 100

    def stored(self) -> dict[str, Any]:
        """Return it as a JSON value without false members."""
        return {name: value for name, value in asdict(self).items() if value is not False}


def find_anomalies(runs: Sequence[RecentRun], limits: Limits) -> list[Anomaly]:
    """Return the anomalies of the last run, given oldest first.

    Runs that saved nothing are ignored.
    """
    runs = [run for run in runs if run.counts]
    if not limits.is_enabled or not runs or runs[-1].has_failed:
        return []
    newest, earlier = runs[-1], [run for run in runs[:-1] if not run.has_failed]
    if len(earlier) < limits.least_runs:
        return []
    found = [_judge(measure, newest, earlier, limits) for measure in _MEASURES]
    return [anomaly for anomaly in found if anomaly]


def follow_anomalies(runs: Sequence[RecentRun], limits: Limits, before: Iterable[Anomaly]) -> list[Anomaly]:
    """Return the anomalies of the last run, with the notified state of `before`.

    A figure that is usual again is dropped. It is retained if the run failed or lacks the figure.
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
    return {measure.figure for measure in _MEASURES if run.has_failed or run.not_told & measure.needed}


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
    values = [measure.value(run) for run in earlier if not run.not_told & measure.needed]
    if newest.not_told & measure.needed or len(values) < limits.least_runs:
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
    """Return whether several earlier values deviated upwards about as much."""
    return sum(other - usual >= _HABIT_PART * excess for other in values) >= _HABIT_RUNS
