"""The chart of a digest: runs of each day by how they ended, and below them the storage in use.

Twice as large as it is shown, for screens with small dots. It holds digits and units alone, so it is the same in all
languages; the words stand in the message.
"""

from collections.abc import Sequence

from app.domain.digests import DigestDay
from app.domain.raster import Raster, text_height, text_width

WIDTH, HEIGHT = 1200, 460
GROUND, INK, QUIET, LINE, FINE, WARNED, FAILED, AREA, SERIES = range(9)
PALETTE = (
    (255, 255, 255),
    (29, 39, 51),
    (105, 118, 134),
    (226, 231, 237),
    (53, 165, 102),
    (226, 162, 18),
    (210, 60, 71),
    (222, 234, 251),
    (47, 118, 223),
)
LEFT, RIGHT = 150, WIDTH - 30
RUNS_TOP, RUNS_BOTTOM = 30, 230
STORAGE_TOP, STORAGE_BOTTOM = 280, 400
DAYS_TOP = 418
UNITS = ("B", "KB", "MB", "GB", "TB", "PB", "EB")


def draw_digest(days: Sequence[DigestDay]) -> bytes:
    """The chart as a PNG file."""
    picture = Raster(WIDTH, HEIGHT, PALETTE)
    slot = (RIGHT - LEFT) / max(len(days), 1)
    _draw_runs(picture, days, slot)
    _draw_storage(picture, days, slot)
    _draw_days(picture, days, slot)
    return picture.to_png()


def short_size(size_bytes: float) -> str:
    """A size in few signs: `1.2TB`, `640GB`."""
    power = 0
    while size_bytes >= 1000 and power < len(UNITS) - 1:
        size_bytes /= 1024
        power += 1
    return f"{size_bytes:.1f}{UNITS[power]}" if 0 < size_bytes < 10 else f"{size_bytes:.0f}{UNITS[power]}"


def _draw_runs(picture: Raster, days: Sequence[DigestDay], slot: float) -> None:
    highest = max((d.fine_count + d.warning_count + d.failed_count + d.missed_count for d in days), default=0) or 1
    _draw_axis(picture, RUNS_TOP, RUNS_BOTTOM, str(highest), "0")
    unit = (RUNS_BOTTOM - RUNS_TOP) / highest
    for place, day in enumerate(days):
        left, right = LEFT + place * slot + slot * 0.16, LEFT + (place + 1) * slot - slot * 0.16
        bottom = float(RUNS_BOTTOM)
        for count, colour in ((day.fine_count, FINE), (day.warning_count, WARNED), (day.failed_count, FAILED)):
            picture.fill(left, bottom - count * unit, right, bottom, colour)
            bottom -= count * unit
        if day.missed_count:
            picture.frame(left, bottom - day.missed_count * unit, right, bottom, QUIET, 3)


def _draw_storage(picture: Raster, days: Sequence[DigestDay], slot: float) -> None:
    known = [day.storage_bytes for day in days if day.storage_bytes is not None]
    highest = max(known, default=0.0) or 1.0
    _draw_axis(picture, STORAGE_TOP, STORAGE_BOTTOM, short_size(highest) if known else "", "0")
    previous: tuple[float, float] | None = None
    for place, day in enumerate(days):
        if day.storage_bytes is None:
            continue
        height = (STORAGE_BOTTOM - STORAGE_TOP) * day.storage_bytes / highest
        picture.fill(LEFT + place * slot, STORAGE_BOTTOM - height, LEFT + (place + 1) * slot, STORAGE_BOTTOM, AREA)
    for place, day in enumerate(days):
        if day.storage_bytes is None:
            previous = None
            continue
        height = (STORAGE_BOTTOM - STORAGE_TOP) * day.storage_bytes / highest
        point = (LEFT + (place + 0.5) * slot, STORAGE_BOTTOM - height)
        picture.line(previous or (LEFT + place * slot, point[1]), point, SERIES)
        previous = point
    if previous:
        picture.line(previous, (RIGHT, previous[1]), SERIES)


def _draw_axis(picture: Raster, top: int, bottom: int, highest: str, lowest: str) -> None:
    for y, label in ((top, highest), (bottom, lowest)):
        picture.fill(LEFT, y, RIGHT, y + 2, LINE)
        picture.write(label, LEFT - 18 - text_width(label), y - text_height() / 2, QUIET)


def _draw_days(picture: Raster, days: Sequence[DigestDay], slot: float) -> None:
    """A label below as many days as there is room for."""
    labels = [f"{day.day.day:02}.{day.day.month:02}." for day in days]
    room = text_width("00.00.") + 30
    step = max(round(room / slot + 0.5), 1)
    for place in range(0, len(days), step):
        width = text_width(labels[place])
        left = LEFT + (place + 0.5) * slot - width / 2
        picture.write(labels[place], min(left, WIDTH - 6 - width), DAYS_TOP, QUIET)
