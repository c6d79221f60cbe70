"""Every test that the table of the web UI's rules names exists."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "web-ui-coverage.md"
NAMED = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")


@cache
def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_rule_names_existing_tests():
    named = NAMED.findall(TABLE.read_text(encoding="utf-8"))
    files = {file: ROOT / (file if file.startswith(("plugins/", "tests/")) else f"tests/{file}") for file, _ in named}
    assert [file for file, path in files.items() if not path.is_file()] == []
    assert [f"{file}::{test}" for file, test in named if test and test not in functions_of(files[file])] == []


def test_every_section_of_the_contract_exists():
    """The sections of docs/compatibility/web-ui.md, 1.1 to 12, without those that have no rules of their own."""
    text = TABLE.read_text(encoding="utf-8")
    parts = {1: 7, 2: 2, 3: 7, 4: 7, 5: 4, 7: 12, 11: 6}
    sections = [f"{part}.{number}" for part, count in parts.items() for number in range(1, count + 1)]
    assert [section for section in (*sections, "3", "6", "8", "9", "10", "12") if f"\n| {section} |" not in text] == []
