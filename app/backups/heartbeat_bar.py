"""The heartbeat bar of a job as SVG: oldest left, newest right.

Each kind of heartbeat has its own shape besides its colour. All heartbeats of a kind are one path, which keeps pages
with hundreds of jobs small.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.backups.heartbeats import MISSED, Heartbeat, HeartbeatInput
from app.backups.overview import JobStatus
from app.backups.recent_runs import BROKEN_OFF
from app.backups.words import LETTER_WORDS, letter_word
from app.web.formats import exact_text
from app.web.i18n import chosen_language

SLOT_WIDTH = 9
BAR_WIDTH = 7
HEIGHT = 22
EMPTY = ""
# Offset within the slot, and path. Drawn one unit smaller: the stroke makes the corners round.
SHAPES: dict[str, tuple[float, str]] = {
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
        paths.setdefault(EMPTY, []).append(_shape(EMPTY, slot))
    titled = []
    for slot, heartbeat in enumerate(heartbeats, start=empty):
        letter = heartbeat.letter if heartbeat.letter in SHAPES else "U"
        if has_titles:
            titled.append(f"<g>{_path(letter, _shape(letter, slot))}<title>{escape(_title(heartbeat))}</title></g>")
        else:
            paths.setdefault(letter, []).append(_shape(letter, slot))
    parts = [_path(letter, "".join(shapes)) for letter, shapes in paths.items()]
    return Markup(  # noqa: S704 (shapes of our own, and texts that are escaped)
        f'<svg class="strip" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" role="img"'
        f' aria-label="{escape(_label(heartbeats))}">{"".join(parts)}{"".join(titled)}</svg>'
    )


def _shape(letter: str, slot: int) -> str:
    begin, rest = SHAPES[letter]
    return f"M{slot * SLOT_WIDTH + begin:g}{rest}"


def _path(letter: str, shape: str) -> str:
    return f'<path class="beat-{TONES[letter]}" d="{shape}"/>'


def _title(heartbeat: Heartbeat) -> str:
    at = exact_text(heartbeat.at)
    if heartbeat.letter == BROKEN_OFF:
        return _("The run of %(at)s was interrupted", at=at)
    if heartbeat.run_count > 1:
        return ngettext(
            "%(num)s run missed since %(at)s", "%(num)s runs missed since %(at)s", heartbeat.run_count, at=at
        )
    return _("%(status)s, %(at)s", status=letter_word(heartbeat.letter), at=at)


def _label(heartbeats: Sequence[Heartbeat]) -> str:
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
