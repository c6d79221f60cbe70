"""SVG graphics: trend lines beside figures, the calendar of days, and heartbeat bars."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from statistics import median

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.backups.heartbeats import MISSED, Heartbeat, HeartbeatInput
from app.backups.overview import JobStatus
from app.backups.run_lists import DayState
from app.backups.words import LETTER_WORDS, letter_word
from app.reports.outcomes import BROKEN_OFF, RecentRun, unpack_runs
from app.web.formats import day_text, exact_text, number_text
from app.web.i18n import chosen_language, format_tag

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


# The heartbeat bar of a job as SVG: oldest left, newest right.
#
# Each kind of heartbeat has its own shape besides its colour. All heartbeats of a kind are one path, which keeps pages
# with hundreds of jobs small.

SLOT_WIDTH = 9
BAR_WIDTH = 7
BAR_HEIGHT = 22
EMPTY = ""
# Offset within the slot, and path. Drawn one unit smaller: the stroke makes the corners round.
BAR_SHAPES: dict[str, tuple[float, str]] = {
    "S": (1, " 1h5v20h-5z"),
    "W": (1, " 9l2.5-6 2.5 6v12h-5z"),
    "E": (1, " 1h5v6l-5 3zm0 13 5-3v10h-5z"),
    "F": (1, " 1h5v4h-5zm0 9h5v3h-5zm0 7h5v4h-5z"),
    "U": (1, " 12h5v9h-5z"),
    "A": (1, " 18h5v3h-5z"),
    "D": (1, " 18h5v3h-5z"),
    "B": (1.5, " 9l4 4m0-4-4 4m-.5 6h5"),
    MISSED: (1.5, " 9l4 4m0-4-4 4"),
    EMPTY: (0.5, " .5h6v21h-6z"),
}
TONES = {"S": "ok", "W": "warn", "E": "bad", "F": "bad", "U": "none", "A": "none", "D": "none", "B": "missed"}
TONES |= {MISSED: "missed", EMPTY: "empty"}


def heartbeat_bar(job: JobStatus, now: datetime, slots: int) -> Markup:
    """Return the newest heartbeats, padded on the left, with a summary as label."""
    return _cached_bar(job.heartbeat_input(now), slots, chosen_language())


def interactive_heartbeat_bar(job: JobStatus, now: datetime, slots: int) -> Markup:
    """Return the same with a title for each heartbeat: status and time."""
    return _svg(job.heartbeat_input(now).heartbeats(slots), slots, has_titles=True)


@lru_cache(maxsize=4096)
def _cached_bar(found: HeartbeatInput, slots: int, _language: str) -> Markup:
    return _svg(found.heartbeats(slots), slots)


def _svg(heartbeats: Sequence[Heartbeat], slots: int, *, has_titles: bool = False) -> Markup:
    width = slots * SLOT_WIDTH - (SLOT_WIDTH - BAR_WIDTH)
    empty = slots - len(heartbeats)
    paths: dict[str, list[str]] = {}
    for slot in range(empty):
        paths.setdefault(EMPTY, []).append(_bar_shape(EMPTY, slot))
    titled = []
    for slot, heartbeat in enumerate(heartbeats, start=empty):
        letter = heartbeat.letter if heartbeat.letter in BAR_SHAPES else "U"
        if has_titles:
            titled.append(
                f"<g>{_path(letter, _bar_shape(letter, slot))}<title>{escape(_bar_title(heartbeat))}</title></g>"
            )
        else:
            paths.setdefault(letter, []).append(_bar_shape(letter, slot))
    parts = [_path(letter, "".join(shapes)) for letter, shapes in paths.items()]
    return Markup(  # noqa: S704 (shapes of our own, and texts that are escaped)
        f'<svg class="strip" viewBox="0 0 {width} {BAR_HEIGHT}" width="{width}" height="{BAR_HEIGHT}" role="img"'
        f' aria-label="{escape(_bar_label(heartbeats))}">{"".join(parts)}{"".join(titled)}</svg>'
    )


def _bar_shape(letter: str, slot: int) -> str:
    begin, rest = BAR_SHAPES[letter]
    return f"M{slot * SLOT_WIDTH + begin:g}{rest}"


def _path(letter: str, shape: str) -> str:
    return f'<path class="beat-{TONES[letter]}" d="{shape}"/>'


def _bar_title(heartbeat: Heartbeat) -> str:
    at = exact_text(heartbeat.at)
    if heartbeat.letter == BROKEN_OFF:
        return _("The run of %(at)s was interrupted", at=at)
    if heartbeat.run_count > 1:
        return ngettext(
            "%(num)s run missed since %(at)s", "%(num)s runs missed since %(at)s", heartbeat.run_count, at=at
        )
    return _("%(status)s, %(at)s", status=letter_word(heartbeat.letter), at=at)


def _bar_label(heartbeats: Sequence[Heartbeat]) -> str:
    runs = [heartbeat for heartbeat in heartbeats if heartbeat.letter not in (MISSED, BROKEN_OFF)]
    if not runs:
        return _("No runs yet")
    counts = {
        letter: sum(heartbeat.run_count for heartbeat in heartbeats if heartbeat.letter == letter)
        for letter in LETTER_WORDS
    }
    summary = ", ".join(f"{count} {letter_word(letter)}" for letter, count in counts.items() if count)
    return ngettext(
        "Last %(num)s run: %(told)s. Newest: %(newest)s",
        "Last %(num)s runs: %(told)s. Newest: %(newest)s",
        len(runs),
        told=summary,
        newest=letter_word(runs[-1].letter),
    )
