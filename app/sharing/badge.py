"""The drawing of a badge; `badges` fills it in."""

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


# A badge: one glance at how backups are, as a small picture that any web page can show.

# White text has a contrast of at least 4.5 to 1 on each of them.
GREEN, AMBER, RED, GREY = "#1a7f37", "#8a5d00", "#b3261e", "#57606a"
COLOURS = {"ok": GREEN, "warning": AMBER, "overdue": AMBER, "failed": RED, "unknown": GREY}
NARROW, WIDE = "ijlt.,:;|!'()[] fIr1/", "mwMW@%"
LONGEST_LABEL = 60
PADDING = 7


def badge_status(statuses: Collection[str], *, any_overdue: bool) -> str:
    """The one word for newest runs: the worst counts, and nothing known is `unknown`."""
    known = set(statuses) - {NONE}
    if any(is_failure(status) for status in known):
        return "failed"
    if any_overdue:
        return "overdue"
    if WARNING in known:
        return "warning"
    return "ok" if known == {SUCCESS} else "unknown"


def draw(label: str, word: str) -> str:
    """The picture, as SVG with a text for those who do not see it."""
    label = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
    label = "".join(sign for sign in label if sign.isprintable())
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
    """Pixels that a text takes at 11 pixels of height, with its padding; a little generous."""
    signs = sum(4 if sign in NARROW else 11 if sign in WIDE or ord(sign) > 0x2E80 else 7.2 for sign in text)
    return ceil(signs) + 2 * PADDING
