"""Texts as QR codes."""

import re

import pytest

from app.navigation.palette import QUIET_ZONE_MODULES, qr_code

FINDER = [(0, 7), (6, 7)]  # first and last row of the square in the corner: seven dark modules


def rows_of(picture: str) -> dict[int, list[tuple[int, int]]]:
    """Return the dark strokes of each row as (begin, length), from the path."""
    rows, x, y = {}, 0.0, 0.0
    for command, numbers in re.findall(r"([MmhH])([-\d. ]+)", re.search(r' d="([^"]+)"', picture).group(1)):
        values = [float(number) for number in re.findall(r"-?[\d.]+", numbers)]
        if command == "M":
            x, y = values
        elif command == "m":
            x, y = x + values[0], y + values[1]
        else:
            rows.setdefault(int(y), []).append((int(x), int(values[0])))
            x += values[0]
    return rows


def test_the_finder_patterns_have_a_quiet_zone():
    rows = rows_of(qr_code("ntfy://ntfy.example/backups"))
    for row, length in FINDER:
        assert (QUIET_ZONE_MODULES, length) in rows[row + QUIET_ZONE_MODULES]
    assert min(rows) == QUIET_ZONE_MODULES


@pytest.mark.parametrize("text", ["x", "ntfy://ntfy.example/backups", "ntfy://ntfy.example/" + "t" * 64, "ä ☎"])
def test_it_is_square_and_contains_no_text_or_styles(text):
    picture = qr_code(text)
    width, height = re.search(r'viewBox="0 0 (\d+) (\d+)"', picture).groups()
    assert width == height
    assert (int(width) - 2 * QUIET_ZONE_MODULES - 17) % 4 == 0  # 17 + 4 times its version
    assert "style" not in picture
    assert text not in picture or text == "x"


def test_other_texts_have_other_images():
    assert qr_code("ntfy://a/b") != qr_code("ntfy://a/c")
