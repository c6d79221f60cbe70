"""The drawing of a badge; `badges` provides its content."""

from collections.abc import Collection
from html import escape
from math import ceil

from app.reports.outcomes import NONE, SUCCESS, WARNING, is_failure

PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" viewBox="0 0 {width} 20" \
role="img" aria-label="{label}: {word}">
<title>{label}: {word}</title>
<clipPath id="r"><rect width="{width}" height="20" rx="4"/></clipPath>
<g clip-path="url(#r)">
<rect width="{left}" height="20" fill="#24292f"/>
<rect x="{left}" width="{right}" height="20" fill="{colour}"/>
</g>
<g fill="#ffffff" font-family="Verdana, DejaVu Sans, Geneva, sans-serif" font-size="11" text-anchor="middle" \
aria-hidden="true">
<text x="{label_at}" y="14">{label}</text>
<text x="{word_at}" y="14">{word}</text>
</g>
</svg>
"""


# A badge: the status of backups as a small picture for web pages

# White text has a contrast of at least 4.5 to 1 on each of them.
GREEN, AMBER, RED, GREY = "#1a7f37", "#8a5d00", "#b3261e", "#57606a"
COLOURS = {"ok": GREEN, "warning": AMBER, "overdue": AMBER, "failed": RED, "unknown": GREY}
NARROW, WIDE = "ijlt.,:;|!'()[] fIr1/", "mwMW@%"
LONGEST_LABEL = 60
PADDING = 7


def badge_status(statuses: Collection[str], *, any_overdue: bool) -> str:
    """Return the status of the newest runs in one word.

    The worst counts; `unknown` if there are none.
    """
    known = set(statuses) - {NONE}
    if any(is_failure(status) for status in known):
        return "failed"
    if any_overdue:
        return "overdue"
    if WARNING in known:
        return "warning"
    return "ok" if known == {SUCCESS} else "unknown"


def draw(label: str, word: str) -> str:
    """Return the SVG picture, with an alternative text."""
    label = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
    label = "".join(char for char in label if char.isprintable())
    left, right = _width(label), _width(word)
    return PICTURE.format(
        label=escape(label),
        word=escape(word),
        colour=COLOURS[word],
        left=left,
        right=right,
        width=left + right,
        label_at=left / 2,
        word_at=left + right / 2,
    )


def _width(text: str) -> int:
    """Return the width of a text of 11 pixels height in pixels, with padding.

    Slightly too large.
    """
    width = sum(4 if char in NARROW else 11 if char in WIDE or ord(char) > 0x2E80 else 7.2 for char in text)
    return ceil(width) + 2 * PADDING
