"""The text of a badge, and its contrast."""

import pytest

from app.sharing.badges import COLOURS, badge_status, draw


@pytest.mark.parametrize(
    ("statuses", "any_overdue", "word"),
    [
        ([], False, "unknown"),
        (["N/A"], False, "unknown"),
        (["Success"], False, "ok"),
        (["Success", "Unknown"], False, "unknown"),
        (["Success", "Warning"], False, "warning"),
        (["Success"], True, "overdue"),
        (["Warning"], True, "overdue"),
        (["Error"], True, "failed"),
        (["Fatal", "Success"], False, "failed"),
    ],
)
def test_worst_state_counts(statuses, any_overdue, word):
    assert badge_status(statuses, any_overdue=any_overdue) == word


@pytest.mark.parametrize("colour", [*COLOURS.values(), "#24292f"])
def test_white_text_has_contrast(colour):
    def part(text: str) -> float:
        value = int(text, 16) / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (part(colour[at : at + 2]) for at in (1, 3, 5))
    assert 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 4.5


def test_control_characters_do_not_break_the_image():
    assert "\x00" not in draw("a\x00b", "ok")
