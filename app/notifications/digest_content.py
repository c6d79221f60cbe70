"""Content of a digest: missed runs, growth, a text sparkline and the chart as PNG."""

import struct
import zlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app.schedules.intervals import BadInterval, NoSlot, Schedule, parse_interval

# A run that begins up to this share of the interval before a slot counts for that slot.
EARLY = 0.25
BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class DigestDay:
    """One day of a digest: counts, and bytes in use at its end (None if unknown)."""

    day: date
    fine_count: int
    warning_count: int
    failed_count: int
    missed_count: int
    storage_bytes: float | None


def missed_slots(runs: Sequence[datetime], start_at: datetime, end_at: datetime, schedule: Schedule) -> list[datetime]:
    """Return the scheduled slots from `start_at` until before `end_at` that have no run.

    `runs` are sorted and extend a little beyond both ends. A slot's run begins between shortly before it and shortly
    before the next one. An invalid schedule has no missed slots.
    """
    try:
        interval = parse_interval(schedule.interval_text)
        early = max(interval.size * EARLY, schedule.early)
        slots = schedule.slots_between(start_at, end_at + interval.size + timedelta(days=7))
    except (BadInterval, NoSlot, OverflowError):
        return []
    missed = []
    for slot, following in zip(slots, [*slots[1:], None], strict=True):
        if slot >= end_at:
            break
        first = bisect_left(runs, slot - early)
        has_run = first < len(runs) and (following is None or runs[first] < following - early)
        if not has_run:
            missed.append(slot)
    return missed


def sparkline(values: Sequence[float | None]) -> str:
    """Return a series as block characters, scaled to its range.

    It is empty with fewer than two known values.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    low, span = min(known), max(known) - min(known)
    top = len(BLOCKS) - 1
    return "".join(
        BLOCKS[0] if value is None else BLOCKS[round((value - low) / span * top) if span else 0] for value in values
    )


def largest_growth(
    before: Mapping[int, float], after: Mapping[int, float], *, limit: int
) -> list[tuple[int, float, float]]:
    """Return the jobs that grew most: key, growth and current value, the largest first."""
    grown = [(key, now - before.get(key, 0.0), now) for key, now in after.items() if now > before.get(key, 0.0)]
    return sorted(grown, key=lambda row: (-row[1], row[0]))[:limit]


# A minimal PNG writer for images with a palette: email clients do not show SVG.
#
# Format: https://www.w3.org/TR/png-3/ (header, palette, compressed rows of palette indexes).

Colour = tuple[int, int, int]
_GLYPH_WIDTH, _GLYPH_HEIGHT = 5, 7
# Each character as seven rows of five pixels, the leftmost is the highest bit.
_GLYPHS = {
    "0": (14, 17, 19, 21, 25, 17, 14),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
    ".": (0, 0, 0, 0, 0, 12, 12),
    ",": (0, 0, 0, 0, 12, 4, 8),
    "-": (0, 0, 0, 31, 0, 0, 0),
    "/": (0, 1, 2, 4, 8, 16, 0),
    ":": (0, 12, 12, 0, 12, 12, 0),
    "%": (24, 25, 2, 4, 8, 19, 3),
    "+": (0, 4, 4, 31, 4, 4, 0),
    "B": (30, 17, 17, 30, 17, 17, 30),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "G": (14, 17, 16, 23, 17, 17, 15),
    "K": (17, 18, 20, 24, 20, 18, 17),
    "M": (17, 27, 21, 21, 17, 17, 17),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "T": (31, 4, 4, 4, 4, 4, 4),
}


class Bitmap:
    """An image of palette indexes; the first colour is the background."""

    def __init__(self, width: int, height: int, palette: Sequence[Colour]) -> None:
        self.width, self.height = width, height
        self._palette = tuple(palette)
        self._rows = [bytearray(width) for _ in range(height)]

    def fill(self, left: float, top: float, right: float, bottom: float, colour: int) -> None:
        """Fill from the left and top edge until before the right and bottom one.

        The area is clipped to the image.
        """
        first, last = max(round(left), 0), min(round(right), self.width)
        if last <= first:
            return
        strip = bytes([colour]) * (last - first)
        for row in self._rows[max(round(top), 0) : max(min(round(bottom), self.height), 0)]:
            row[first:last] = strip

    def frame(self, left: float, top: float, right: float, bottom: float, colour: int, thickness: int = 2) -> None:
        """Draw the edge of a rectangle, inside it."""
        self.fill(left, top, right, top + thickness, colour)
        self.fill(left, bottom - thickness, right, bottom, colour)
        self.fill(left, top, left + thickness, bottom, colour)
        self.fill(right - thickness, top, right, bottom, colour)

    def line(self, start: tuple[float, float], end: tuple[float, float], colour: int, thickness: int = 4) -> None:
        """Draw a line with square dots, continuous where it is steep."""
        steps = max(round(max(abs(end[0] - start[0]), abs(end[1] - start[1]))), 1)
        half = thickness / 2
        for step in range(steps + 1):
            x = start[0] + (end[0] - start[0]) * step / steps
            y = start[1] + (end[1] - start[1]) * step / steps
            self.fill(x - half, y - half, x + half, y + half, colour)

    def write(self, text: str, left: float, top: float, colour: int, size: int = 3) -> None:
        """Draw digits, units and a few symbols; unknown ones leave a gap.

        `size` is the pixels per dot.
        """
        for index, char in enumerate(text):
            x = left + index * (_GLYPH_WIDTH + 1) * size
            for row, bits in enumerate(_GLYPHS.get(char, ())):
                for column in range(_GLYPH_WIDTH):
                    if bits >> (_GLYPH_WIDTH - 1 - column) & 1:
                        dot = (x + column * size, top + row * size)
                        self.fill(dot[0], dot[1], dot[0] + size, dot[1] + size, colour)

    def to_png(self) -> bytes:
        """Return the image as a PNG file."""
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 3, 0, 0, 0)
        palette = bytes(part for colour in self._palette for part in colour)
        rows = zlib.compress(b"".join(b"\0" + row for row in self._rows), 9)
        parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", rows), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def text_width(text: str, size: int = 3) -> int:
    """Return the width of a text in pixels."""
    return max(len(text) * (_GLYPH_WIDTH + 1) * size - size, 0)


def text_height(size: int = 3) -> int:
    """Return the height of a text in pixels."""
    return _GLYPH_HEIGHT * size


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# The chart of a digest: runs of each day by status, and below them the storage in use.
#
# Twice as large as shown, for high-resolution screens. It contains digits and units only, so it is the same in all
# languages; the words are in the message.

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
    """Return the chart as a PNG file."""
    picture = Bitmap(WIDTH, HEIGHT, PALETTE)
    slot = (RIGHT - LEFT) / max(len(days), 1)
    _draw_runs(picture, days, slot)
    _draw_storage(picture, days, slot)
    _draw_days(picture, days, slot)
    return picture.to_png()


def short_size(size_bytes: float) -> str:
    """Return a size in few characters: `1.2TB`, `640GB`."""
    power = 0
    while size_bytes >= 1000 and power < len(UNITS) - 1:
        size_bytes /= 1024
        power += 1
    return f"{size_bytes:.1f}{UNITS[power]}" if 0 < size_bytes < 10 else f"{size_bytes:.0f}{UNITS[power]}"


def _draw_runs(picture: Bitmap, days: Sequence[DigestDay], slot: float) -> None:
    highest = max((d.fine_count + d.warning_count + d.failed_count + d.missed_count for d in days), default=0) or 1
    _draw_axis(picture, RUNS_TOP, RUNS_BOTTOM, str(highest), "0")
    unit = (RUNS_BOTTOM - RUNS_TOP) / highest
    for index, day in enumerate(days):
        left, right = LEFT + index * slot + slot * 0.16, LEFT + (index + 1) * slot - slot * 0.16
        bottom = float(RUNS_BOTTOM)
        for count, colour in ((day.fine_count, FINE), (day.warning_count, WARNED), (day.failed_count, FAILED)):
            picture.fill(left, bottom - count * unit, right, bottom, colour)
            bottom -= count * unit
        if day.missed_count:
            picture.frame(left, bottom - day.missed_count * unit, right, bottom, QUIET, 3)


def _draw_storage(picture: Bitmap, days: Sequence[DigestDay], slot: float) -> None:
    known = [day.storage_bytes for day in days if day.storage_bytes is not None]
    highest = max(known, default=0.0) or 1.0
    _draw_axis(picture, STORAGE_TOP, STORAGE_BOTTOM, short_size(highest) if known else "", "0")
    previous: tuple[float, float] | None = None
    for index, day in enumerate(days):
        if day.storage_bytes is None:
            continue
        height = (STORAGE_BOTTOM - STORAGE_TOP) * day.storage_bytes / highest
        picture.fill(LEFT + index * slot, STORAGE_BOTTOM - height, LEFT + (index + 1) * slot, STORAGE_BOTTOM, AREA)
    for index, day in enumerate(days):
        if day.storage_bytes is None:
            previous = None
            continue
        height = (STORAGE_BOTTOM - STORAGE_TOP) * day.storage_bytes / highest
        point = (LEFT + (index + 0.5) * slot, STORAGE_BOTTOM - height)
        picture.line(previous or (LEFT + index * slot, point[1]), point, SERIES)
        previous = point
    if previous:
        picture.line(previous, (RIGHT, previous[1]), SERIES)


def _draw_axis(picture: Bitmap, top: int, bottom: int, highest: str, lowest: str) -> None:
    for y, label in ((top, highest), (bottom, lowest)):
        picture.fill(LEFT, y, RIGHT, y + 2, LINE)
        picture.write(label, LEFT - 18 - text_width(label), y - text_height() / 2, QUIET)


def _draw_days(picture: Bitmap, days: Sequence[DigestDay], slot: float) -> None:
    """Draw labels below as many days as fit."""
    labels = [f"{day.day.day:02}.{day.day.month:02}." for day in days]
    room = text_width("00.00.") + 30
    step = max(round(room / slot + 0.5), 1)
    for index in range(0, len(days), step):
        width = text_width(labels[index])
        left = LEFT + (index + 0.5) * slot - width / 2
        picture.write(labels[index], min(left, WIDTH - 6 - width), DAYS_TOP, QUIET)
