"""A calendar of days as SVG: a column a week, each day in the shape and colour of how its backups went."""

from collections.abc import Mapping
from datetime import date, timedelta

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.pages.formats import day_text
from app.services.calendars import DayState

CELL, PITCH = 11, 13
WEEK = 7
# How far within its cell each begins, and how it goes on. A day without runs is a dot, a good one full, one with
# warnings has a corner off, one with failures is cut through.
SHAPES: dict[str, tuple[float, str]] = {
    "empty": (4.5, "h2v2h-2z"),
    "ok": (1, "h9v9h-9z"),
    "warn": (1, "h5l4 4v5h-9z"),
    "bad": (1, "h9l-9 6.5zm9 2.5v6.5h-9z"),
}
# From this share of failed jobs on a day is a bad one, and not one with a single trouble among many.
BAD_SHARE = 0.2
A_DAY = "{day}"


def heatmap(days: Mapping[date, DayState], start_on: date, end_on: date, *, first_weekday: int = 0) -> Markup:
    """The days from `start_on` to `end_on`, both included; weeks begin on `first_weekday` (Monday is 0)."""
    begin = start_on - timedelta(days=(start_on.weekday() - first_weekday) % WEEK)
    weeks = (end_on - begin).days // WEEK + 1
    width, height = weeks * PITCH - (PITCH - CELL), WEEK * PITCH - (PITCH - CELL)
    cells = []
    # Many days went alike, and finding their words takes longer than all else here.
    said: dict[tuple[int, ...] | None, str] = {}
    for number in range((end_on - start_on).days + 1):
        day = start_on + timedelta(days=number)
        column, row = divmod((day - begin).days, WEEK)
        state = days.get(day)
        kind = _kind(state)
        counts = None if state is None else (state.run_count, state.failed_count, state.warned_count)
        if counts not in said:
            said[counts] = _title(state)
        title = said[counts].replace(A_DAY, day_text(day))
        cells.append(
            f'<path class="day-{kind}" d="{_shape(kind, column * PITCH, row * PITCH)}">'
            f"<title>{escape(title)}</title></path>"
        )
    return Markup(  # noqa: S704 (shapes of our own, and texts that are escaped)
        f'<svg class="heatmap" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="{escape(_label(days, start_on, end_on))}">{"".join(cells)}</svg>'
    )


def heat_key(kind: str) -> Markup:
    """The mark of one kind of day, for the key below a calendar."""
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
    """What is said of each day that went so; A_DAY stands where it is named."""
    if state is None:
        return _("%(day)s: no runs", day=A_DAY)
    told = [ngettext("%(num)s run", "%(num)s runs", state.run_count)]
    if state.failed_count:
        told.append(ngettext("%(num)s job failed", "%(num)s jobs failed", state.failed_count))
    if state.warned_count:
        told.append(ngettext("%(num)s job with warnings", "%(num)s jobs with warnings", state.warned_count))
    return _("%(day)s: %(told)s", day=A_DAY, told=", ".join(told))


def _label(days: Mapping[date, DayState], start_on: date, end_on: date) -> str:
    failed = sum(1 for state in days.values() if state.failed_count)
    return _(
        "Days from %(start)s to %(end)s: %(count)s with backups, %(failed)s of them with failures",
        start=day_text(start_on),
        end=day_text(end_on),
        count=len(days),
        failed=failed,
    )
