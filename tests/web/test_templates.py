"""The sources of the templates."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST_LINE = 160


def test_template_lines_are_not_too_long():
    templates = sorted((ROOT / "app").rglob("*.html"))
    assert templates
    assert not [
        f"{path.relative_to(ROOT)}:{number}"
        for path in templates
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > LONGEST_LINE
    ]
