"""Small lines beside a figure: how it went over the newest runs, and how far the last one is from their median."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import median

from markupsafe import Markup

from app.domain.recent_runs import RecentRun, unpack_runs
from app.pages.formats import number_text
from app.pages.languages import format_tag

WIDTH, HEIGHT, MARGIN = 48, 18, 2
LEAST_RUNS = 3
# As many as a table's strip has beats; the median is that of all runs that are kept.
RUNS_DRAWN = 16
FIGURES: dict[str, Callable[[RecentRun], float]] = {
    "size": lambda run: run.examined_bytes,
    "duration": lambda run: run.duration_s,
}


def trend(recent_runs: bytes, figure: str) -> Markup:
    """The line of a figure over a job's packed runs and the change of the last; nothing where there are few runs."""
    return _trend(recent_runs, figure, format_tag())


def change_text(values: Sequence[float]) -> str:
    """How far the last value is from the median of those before it: `+4 %`, `±0 %`; empty where that is 0."""
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
    values = [FIGURES[figure](run) for run in runs]
    change = change_text(values)
    line = _line(_place(values[-RUNS_DRAWN:], WIDTH, HEIGHT)[0])
    return Markup(  # noqa: S704 (numbers)
        f'<span class="trend"><svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" aria-hidden="true"><path d="{line}"/></svg>{change}</span>'
    )


def _place(values: Sequence[float | None], width: int, height: int) -> list[list[tuple[float, float]]]:
    """Where the values lie in a drawing, in stretches without gaps; equal values lie in the middle."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    step = (width - 2 * MARGIN) / max(len(values) - 1, 1)
    rise = (height - 2 * MARGIN) / (high - low) if high > low else 0.0
    bottom = height - MARGIN if rise else height / 2
    stretches: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((MARGIN + place * step, bottom - (value - low) * rise))
    return [stretch for stretch in stretches if stretch]


def _line(points: Sequence[tuple[float, float]]) -> str:
    """The path through some points: the first where it is, each other by its distance from the one before."""
    # A single point has a line as well: the round ends of its stroke are a dot.
    placed = [(round(x), round(y)) for x, y in points]
    steps = [(x - before_x, y - before_y) for (before_x, before_y), (x, y) in pairwise(placed)] or [(0, 0)]
    # A minus sign parts two numbers as well as a space does.
    rest = "".join(f"{'' if dx < 0 else ' '}{dx}{'' if dy < 0 else ' '}{dy}" for dx, dy in steps)
    return f"M{placed[0][0]} {placed[0][1]}l{rest.lstrip()}"


def area(values: Sequence[float | None], *, width: int = 260, height: int = 56) -> Markup:
    """A small chart of a series: its line from the lowest to the highest value, broken where nothing is known."""
    stretches = _place(values, width, height)
    lines = "".join(map(_line, stretches))
    fills = "".join(f"{_line([(points[0][0], height), *points, (points[-1][0], height)])}z" for points in stretches)
    return Markup(  # noqa: S704 (numbers)
        f'<svg class="area" viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="area-fill" d="{fills}"/><path class="area-line" d="{lines}"/></svg>'
    )
