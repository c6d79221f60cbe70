"""Strips of recent runs as SVG: oldest left, newest right, each with its own shape besides its colour."""

from functools import lru_cache

from markupsafe import Markup

from app.domain.statuses import ERROR, FATAL, SUCCESS, UNKNOWN, WARNING

STATUSES = {"S": SUCCESS, "W": WARNING, "E": ERROR, "F": FATAL, "U": UNKNOWN}
SLOT_WIDTH = 9
BAR_WIDTH = 7
HEIGHT = 22


@lru_cache(maxsize=4096)
def strip(recent: str, slots: int) -> Markup:
    """The last `slots` runs of `recent` (letters, oldest first), padded on the left with empty slots.

    The shapes are symbols of the page: `run-S`, `run-W`, … and `run-none`.
    """
    runs = recent[-slots:]
    empty = slots - len(runs)
    width = slots * SLOT_WIDTH - (SLOT_WIDTH - BAR_WIDTH)
    parts = [
        f'<svg class="strip" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" role="img"'
        f' aria-label="{_label(runs)}">'
    ]
    parts += [f'<use href="#run-none" x="{slot * SLOT_WIDTH}"/>' for slot in range(empty)]
    parts += [
        f'<use href="#run-{letter}" x="{slot * SLOT_WIDTH}"><title>{_title(letter, slots - slot - 1)}</title></use>'
        for slot, letter in enumerate(runs, start=empty)
    ]
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 (letters of our own and numbers)


def _title(letter: str, runs_ago: int) -> str:
    status = STATUSES.get(letter, UNKNOWN)
    return f"{status}, newest run" if runs_ago == 0 else f"{status}, {runs_ago} before"


def _label(runs: str) -> str:
    if not runs:
        return "No runs yet"
    counts = [f"{runs.count(letter)} {status}" for letter, status in STATUSES.items() if letter in runs]
    return f"Last {len(runs)} runs: {', '.join(counts)}. Newest: {STATUSES.get(runs[-1], UNKNOWN)}"
