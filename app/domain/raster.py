"""A small picture of flat colours, written as PNG: enough for a chart in a mail, where SVG is not shown.

https://www.w3.org/TR/png-3/: a header, a palette, and the rows of palette numbers, compressed.
"""

import struct
import zlib
from collections.abc import Sequence

Colour = tuple[int, int, int]
_GLYPH_WIDTH, _GLYPH_HEIGHT = 5, 7
# Each sign as seven rows of five dots, the leftmost the highest bit.
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


class Raster:
    """A picture of palette colours; colours are numbers of `palette`, the first is the ground."""

    def __init__(self, width: int, height: int, palette: Sequence[Colour]) -> None:
        self.width, self.height = width, height
        self._palette = tuple(palette)
        self._rows = [bytearray(width) for _ in range(height)]

    def fill(self, left: float, top: float, right: float, bottom: float, colour: int) -> None:
        """Fill from the left and top edge until before the right and bottom one; what lies outside is cut off."""
        first, last = max(round(left), 0), min(round(right), self.width)
        if last <= first:
            return
        strip = bytes([colour]) * (last - first)
        for row in self._rows[max(round(top), 0) : max(min(round(bottom), self.height), 0)]:
            row[first:last] = strip

    def frame(self, left: float, top: float, right: float, bottom: float, colour: int, thickness: int = 2) -> None:
        """Draw the edge of a rectangle, within it."""
        self.fill(left, top, right, top + thickness, colour)
        self.fill(left, bottom - thickness, right, bottom, colour)
        self.fill(left, top, left + thickness, bottom, colour)
        self.fill(right - thickness, top, right, bottom, colour)

    def line(self, start: tuple[float, float], end: tuple[float, float], colour: int, thickness: int = 4) -> None:
        """Draw a line as a row of dots, which join where it runs steeply."""
        steps = max(round(max(abs(end[0] - start[0]), abs(end[1] - start[1]))), 1)
        half = thickness / 2
        for step in range(steps + 1):
            x = start[0] + (end[0] - start[0]) * step / steps
            y = start[1] + (end[1] - start[1]) * step / steps
            self.fill(x - half, y - half, x + half, y + half, colour)

    def write(self, text: str, left: float, top: float, colour: int, size: int = 3) -> None:
        """Write digits, units and a few signs; others leave a gap. A dot of a sign is `size` pixels wide."""
        for place, sign in enumerate(text):
            x = left + place * (_GLYPH_WIDTH + 1) * size
            for row, bits in enumerate(_GLYPHS.get(sign, ())):
                for column in range(_GLYPH_WIDTH):
                    if bits >> (_GLYPH_WIDTH - 1 - column) & 1:
                        dot = (x + column * size, top + row * size)
                        self.fill(dot[0], dot[1], dot[0] + size, dot[1] + size, colour)

    def to_png(self) -> bytes:
        """The picture as a file."""
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 3, 0, 0, 0)
        palette = bytes(part for colour in self._palette for part in colour)
        rows = zlib.compress(b"".join(b"\0" + row for row in self._rows), 9)
        parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", rows), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def text_width(text: str, size: int = 3) -> int:
    """How wide a text is written."""
    return max(len(text) * (_GLYPH_WIDTH + 1) * size - size, 0)


def text_height(size: int = 3) -> int:
    """How high a text is written."""
    return _GLYPH_HEIGHT * size


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
