"""The pulse of a job as SVG: oldest left, newest right, each kind of beat with its own shape besides its colour.

All beats of a kind are one path, so that a page with hundreds of jobs stays light for the browser.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.backups.heartbeats import MISSED, Beat, Pulse
from app.backups.overview import JobStatus
from app.backups.recent_runs import BROKEN_OFF
from app.backups.words import LETTER_WORDS, letter_word
from app.web.formats import exact_text
from app.web.i18n import chosen_language

BEAT_WIDTH = 9
BAR_WIDTH = 7
HEIGHT = 22
EMPTY = ""
# Where each begins within its bar, and how it goes on. They are drawn one unit within: the stroke makes corners round.
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
    """The newest beats of a job, padded on the left with empty slots, with a summary in words."""
    return _pulse(job.pulse(now), slots, chosen_language())


def read_heartbeat_bar(job: JobStatus, now: datetime, slots: int) -> Markup:
    """The same with beats to be pointed at: how each ended, and when."""
    return _svg(job.pulse(now).beats(slots), slots, has_titles=True)


@lru_cache(maxsize=4096)
def _pulse(found: Pulse, slots: int, _language: str) -> Markup:
    return _svg(found.beats(slots), slots)


def _svg(beats: Sequence[Beat], slots: int, *, has_titles: bool = False) -> Markup:
    width = slots * BEAT_WIDTH - (BEAT_WIDTH - BAR_WIDTH)
    empty = slots - len(beats)
    paths: dict[str, list[str]] = {}
    for slot in range(empty):
        paths.setdefault(EMPTY, []).append(_shape(EMPTY, slot))
    titled = []
    for slot, beat in enumerate(beats, start=empty):
        letter = beat.letter if beat.letter in SHAPES else "U"
        if has_titles:
            titled.append(f"<g>{_path(letter, _shape(letter, slot))}<title>{escape(_title(beat))}</title></g>")
        else:
            paths.setdefault(letter, []).append(_shape(letter, slot))
    parts = [_path(letter, "".join(shapes)) for letter, shapes in paths.items()]
    return Markup(  # noqa: S704 (shapes of our own, and texts that are escaped)
        f'<svg class="strip" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" role="img"'
        f' aria-label="{escape(_label(beats))}">{"".join(parts)}{"".join(titled)}</svg>'
    )


def _shape(letter: str, slot: int) -> str:
    begin, rest = SHAPES[letter]
    return f"M{slot * BEAT_WIDTH + begin:g}{rest}"


def _path(letter: str, shape: str) -> str:
    return f'<path class="beat-{TONES[letter]}" d="{shape}"/>'


def _title(beat: Beat) -> str:
    at = exact_text(beat.at)
    if beat.letter == BROKEN_OFF:
        return _("The run of %(at)s was interrupted", at=at)
    if beat.run_count > 1:
        return ngettext("%(num)s run missed since %(at)s", "%(num)s runs missed since %(at)s", beat.run_count, at=at)
    return _("%(status)s, %(at)s", status=letter_word(beat.letter), at=at)


def _label(beats: Sequence[Beat]) -> str:
    runs = [beat for beat in beats if beat.letter not in (MISSED, BROKEN_OFF)]
    if not runs:
        return _("No runs yet")
    counts = {letter: sum(beat.run_count for beat in beats if beat.letter == letter) for letter in LETTER_WORDS}
    told = ", ".join(f"{count} {letter_word(letter)}" for letter, count in counts.items() if count)
    return ngettext(
        "Last %(num)s run: %(told)s. Newest: %(newest)s",
        "Last %(num)s runs: %(told)s. Newest: %(newest)s",
        len(runs),
        told=told,
        newest=letter_word(runs[-1].letter),
    )
