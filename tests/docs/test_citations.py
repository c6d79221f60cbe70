"""What comments and documents cite exists in the repository."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("app", "plugins", "tests", "migrations")
SUFFIXES = {".py", ".html", ".js", ".css", ".txt", ".toml", ".cfg"}
# Folders of recorded data and of libraries.
FOREIGN = {"vendor", "data", "node_modules"}
CITATION = re.compile(r"\b(docs/[\w./-]*\w\.md)(?:#([\w-]+))?")
LINK = re.compile(r"\]\(([^)\s]*)#([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)
# The folder and the numbers of the documents from which docs/compatibility was made.
OUTSIDE = re.compile(r"\.\./(?:shared|contract)\b|\b[Cc]ontract,? \d\d\b|\bsection \d\d\b|\b00-conventions\b")


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page; a heading that occurs again has a number behind."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        anchor, number = slug(heading), 0
        while (name := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(name)
    return found


def is_there(page: Path, anchor: str) -> bool:
    return page.is_file() and (not anchor or page.suffix != ".md" or anchor in anchors(page))


@cache
def sources() -> dict[str, str]:
    """Return the text of every source file by its path."""
    paths = [path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES]
    ours = [path for path in paths if not FOREIGN & set(path.relative_to(ROOT).parts) and path != Path(__file__)]
    assert len(ours) > 100, "too few sources"
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in ours}


def test_citations_in_sources_link_to_headings():
    broken = [
        f"{path}: {page}#{anchor}"
        for path, text in sources().items()
        for page, anchor in CITATION.findall(text)
        if not is_there(ROOT / page, anchor)
    ]
    assert broken == []


def test_links_in_documents_link_to_headings():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "tests").rglob("*.md"))]
    broken = []
    for page in pages:
        for target, anchor in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
            if "://" not in target and not is_there(page.parent / target if target else page, anchor):
                broken.append(f"{page.relative_to(ROOT)}: {target}#{anchor}")
    assert broken == []


def test_nothing_outside_the_repository_is_cited():
    cited = [f"{path}: {found[0]}" for path, text in sources().items() for found in OUTSIDE.finditer(text)]
    assert cited == []


def test_every_rule_of_the_original_can_be_cited():
    rules = {"overdue": "abcdef", "core-api": ("n", "o", "e"), "notifications": "r", "conventions": "l"}
    pages = {page: anchors(ROOT / "docs" / "compatibility" / f"{page}.md") for page in [*rules, "configuration"]}
    assert [
        f"{page}: {letter}" for page in rules for letter in rules[page] if f"rule-{letter}" not in pages[page]
    ] == []
    assert "rule-s1" in pages["configuration"]
