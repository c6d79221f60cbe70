"""Rules for every page in a browser: accessible, and not wider than the window."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, TimeoutError

AXE = (Path(__file__).parent / "browser" / "vendor" / "axe.js").read_text(encoding="utf-8")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
CONTRAST = {"runOnly": ["color-contrast"]}


def barriers(page: Page, part: str = "", rules: dict[str, Any] = RULES) -> list[tuple[str, list[str]]]:
    """Return the rules that the page, or the part of a selector, violates, each with the first elements."""
    page.evaluate(AXE)
    place = json.dumps(part) if part else "document"
    found = page.evaluate(f"axe.run({place}, {json.dumps(rules)})")["violations"]
    return [(broken["id"], [node["html"][:200] for node in broken["nodes"][:3]]) for broken in found]


def expect_to_fit(page: Page, width: int) -> None:
    """Fail if the page stays wider than its window; charts take a moment to follow it."""
    try:
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
    except TimeoutError:
        wide = page.evaluate("document.documentElement.scrollWidth")
        raise AssertionError(f"{page.url} is {wide} pixels wide in a window of {width}") from None
