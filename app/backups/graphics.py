"""SVG graphics: trend lines beside figures, and the calendar of days."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from statistics import median

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.backups.recent_runs import RecentRun, unpack_runs
from app.backups.run_lists import DayState
from app.web.formats import day_text, number_text
from app.web.i18n import format_tag

WIDTH, HEIGHT, MARGIN = 48, 18, 2
LEAST_RUNS = 3
# As many as the heartbeat bar of a table; the median is over all packed runs.
RUNS_DRAWN = 16
TREND_VALUES: dict[str, Callable[[RecentRun], float]] = {
    "size": lambda run: run.examined_bytes,
    "duration": lambda run: run.duration_s,
}


def trend(recent_runs: bytes, figure: str) -> Markup:
    """Return a figure's trend line with the change of the last run; "" for few runs."""
    return _trend(recent_runs, figure, format_tag())


def change_text(values: Sequence[float]) -> str:
    """Return the difference of the last value from the median of those before.

    Examples: `+4 %`, `±0 %`; "" if the median is 0.
    """
    usual = median(values[:-1])
    if not usual:
        return ""
    percent = round((values[-1] - usual) / usual * 100)
    sign = "±" if percent == 0 else "+" if percent > 0 else "\u2212"
    return f"{sign}{number_text(abs(percent))} %"


@lru_cache(maxsize=4096)
def _trend(recent_runs: bytes, figure: str, _format: str) -> Markup:
    runs = [run for run in unpack_runs(recent_runs) if not run.has_failed]
    if len(runs) < LEAST_RUNS:
        return Markup()
    values = [TREND_VALUES[figure](run) for run in runs]
    change = change_text(values)
    line = _line(_coordinates(values[-RUNS_DRAWN:], WIDTH, HEIGHT)[0])
    return Markup(  # noqa: S704 (numbers)
        f'<span class="trend"><svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" aria-hidden="true"><path d="{line}"/></svg>{change}</span>'
    )


def _coordinates(values: Sequence[float | None], width: int, height: int) -> list[list[tuple[float, float]]]:
    """Return the coordinates of values, as segments without gaps.

    Equal values are in the middle.
    """
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    step = (width - 2 * MARGIN) / max(len(values) - 1, 1)
    rise = (height - 2 * MARGIN) / (high - low) if high > low else 0.0
    bottom = height - MARGIN if rise else height / 2
    stretches: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((MARGIN + index * step, bottom - (value - low) * rise))
    return [stretch for stretch in stretches if stretch]


def _line(points: Sequence[tuple[float, float]]) -> str:
    """Return an SVG path: the first point is absolute, the others are relative."""
    # A single point also has a line: its stroke has round ends, so it shows as a dot.
    placed = [(round(x), round(y)) for x, y in points]
    steps = [(x - before_x, y - before_y) for (before_x, before_y), (x, y) in pairwise(placed)] or [(0, 0)]
    # A minus sign separates numbers as well as a space.
    rest = "".join(f"{'' if dx < 0 else ' '}{dx}{'' if dy < 0 else ' '}{dy}" for dx, dy in steps)
    return f"M{placed[0][0]} {placed[0][1]}l{rest.lstrip()}"


def area(values: Sequence[float | None], *, width: int = 260, height: int = 56) -> Markup:
    """Return a small area chart from the lowest to the highest value, broken at gaps."""
    stretches = _coordinates(values, width, height)
    lines = "".join(map(_line, stretches))
    fills = "".join(f"{_line([(points[0][0], height), *points, (points[-1][0], height)])}z" for points in stretches)
    return Markup(  # noqa: S704 (numbers)
        f'<svg class="area" viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="area-fill" d="{fills}"/><path class="area-line" d="{lines}"/></svg>'
    )


# The calendar: a column per week, each day with the shape and colour of its status

CELL, PITCH = 11, 13
WEEK = 7
# Offset within the cell, and path. A day without runs is a dot, a successful one full, one with warnings lacks a
# corner, one with failures is cut through.
SHAPES: dict[str, tuple[float, str]] = {
    "empty": (4.5, "h2v2h-2z"),
    "ok": (1, "h9v9h-9z"),
    "warn": (1, "h5l4 4v5h-9z"),
    "bad": (1, "h9l-9 6.5zm9 2.5v6.5h-9z"),
}
# From this share of failed jobs on, a day is shown as failed.
BAD_SHARE = 0.2
A_DAY = "{day}"


def heatmap(days: Mapping[date, DayState], start_on: date, end_on: date, *, first_weekday: int = 0) -> Markup:
    """Return the days from `start_on` to `end_on`, both included, as SVG.

    Weeks begin on `first_weekday` (Monday is 0).
    """
    begin = start_on - timedelta(days=(start_on.weekday() - first_weekday) % WEEK)
    weeks = (end_on - begin).days // WEEK + 1
    width, height = weeks * PITCH - (PITCH - CELL), WEEK * PITCH - (PITCH - CELL)
    cells = []
    # Cached by state: many days are alike, and formatting takes longest.
    titles: dict[tuple[int, ...] | None, str] = {}
    for number in range((end_on - start_on).days + 1):
        day = start_on + timedelta(days=number)
        column, row = divmod((day - begin).days, WEEK)
        state = days.get(day)
        kind = _kind(state)
        counts = None if state is None else (state.run_count, state.failed_count, state.warned_count)
        if counts not in titles:
            titles[counts] = _title(state)
        title = titles[counts].replace(A_DAY, day_text(day))
        cells.append(
            f'<path class="day-{kind}" d="{_shape(kind, column * PITCH, row * PITCH)}">'
            f"<title>{escape(title)}</title></path>"
        )
    return Markup(  # noqa: S704 (shapes of our own, and texts that are escaped)
        f'<svg class="heatmap" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="{escape(_label(days, start_on, end_on))}">{"".join(cells)}</svg>'
    )


def heat_key(kind: str) -> Markup:
    """Return the symbol of a kind of day, for the legend below a calendar."""
    return Markup(  # noqa: S704 (shapes of our own)
        f'<svg class="heat-mark" viewBox="0 0 {CELL} {CELL}" width="{CELL}" height="{CELL}" aria-hidden="true">'
        f'<path class="day-{kind}" d="{_shape(kind, 0, 0)}"/></svg>'
    )


def _shape(kind: str, x: int, y: int) -> str:
    begin, rest = SHAPES[kind.removesuffix("-soft")]
    return f"M{x + begin:g} {y + begin:g}{rest}"


def _kind(state: DayState | None) -> str:
    if state is None:
        return "empty"
    if state.failed_count:
        return "bad" if state.failed_count >= state.job_count * BAD_SHARE else "bad-soft"
    return "warn" if state.warned_count else "ok"


def _title(state: DayState | None) -> str:
    """Return the title of days with a state; A_DAY is the placeholder of the date."""
    if state is None:
        return _("%(day)s: no runs", day=A_DAY)
    parts = [ngettext("%(num)s run", "%(num)s runs", state.run_count)]
    if state.failed_count:
        parts.append(ngettext("%(num)s job failed", "%(num)s jobs failed", state.failed_count))
    if state.warned_count:
        parts.append(ngettext("%(num)s job with warnings", "%(num)s jobs with warnings", state.warned_count))
    return _("%(day)s: %(told)s", day=A_DAY, told=", ".join(parts))


def _label(days: Mapping[date, DayState], start_on: date, end_on: date) -> str:
    failed = sum(1 for state in days.values() if state.failed_count)
    return _(
        "Days from %(start)s to %(end)s: %(count)s with runs, %(failed)s of them with failures",
        start=day_text(start_on),
        end=day_text(end_on),
        count=len(days),
        failed=failed,
    )
