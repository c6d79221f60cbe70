"""docs/errors.md lists every error code, and every code is declared once and used.

After a change of the codes run `PYTHONPATH=. python` with this file.
"""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from app.core.errors import TEXTS, ErrorText, declare_errors

ROOT = Path(__file__).resolve().parents[2]
MANUAL = ROOT / "docs" / "errors.md"
TABLE_OF_TEXTS = ROOT / "app" / "core" / "errors.py"
HEAD = "| Code | Status | Field | Sentence |\n|---|---|---|---|\n"
DEPRECATED = {
    "AppError",
    "NotFound",
    "Conflict",
    "Forbidden",
    "Unauthorized",
    "Unavailable",
    "TooLarge",
    "TooManyRequests",
}


@cache
def trees() -> dict[Path, ast.Module]:
    """Return the sources of the application and of the bundled plugins, without their tests and the table of texts."""
    files = [path for folder in ("app", "plugins") for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path: ast.parse(path.read_text()) for path in files if path != TABLE_OF_TEXTS and "tests" not in path.parts}


@cache
def rejections() -> tuple[tuple[str, ast.Call], ...]:
    """Return every call of Refused or a subclass, with its location."""
    names = {"Refused"}
    for _ in range(3):  # subclasses of subclasses may precede their bases
        for tree in trees().values():
            names |= {
                node.name
                for node in ast.walk(tree)
                if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") in names for base in node.bases)
            }
    names -= DEPRECATED
    return tuple(
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names and node.args
    )


def literals(node: ast.expr) -> set[str]:
    """Return the strings that an argument may be; none for a variable."""
    if isinstance(node, ast.IfExp):
        return literals(node.body) | literals(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def fields_by_code() -> dict[str, set[str]]:
    """Return the fields of each raised code; `…` represents one that depends on the value."""
    found = defaultdict(set)
    for _place, call in rejections():
        for code in literals(call.args[0]):
            for node in call.args[1:2]:
                found[code] |= literals(node) or {"…"}
    return found


def table() -> str:
    """Return the table of docs/errors.md."""
    fields = fields_by_code()
    rows = [
        f"| `{code}` | {text.status} | {', '.join(f'`{name}`' for name in sorted(fields[code]))} | "
        f"{text.sentence.replace('%%', '%').replace('|', chr(92) + '|')} |".replace("|  |", "| |")
        for code, text in sorted(TEXTS.items())
    ]
    return HEAD + "\n".join(rows) + "\n"


def test_every_code_that_is_raised_is_declared():
    unknown = {place: codes for place, call in rejections() if (codes := literals(call.args[0]) - TEXTS.keys())}
    assert unknown == {}


def test_every_declared_code_is_used():
    used = {
        node.value
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert TEXTS.keys() - used == set()


def test_no_source_raises_a_deprecated_error():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in trees().items()
        if path != ROOT / "app" / "plugin" / "errors.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in DEPRECATED
    ]
    assert found == []


def test_codes_are_in_snake_case():
    assert [code for code in TEXTS if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", code)] == []


def test_texts_use_the_parameters_of_the_sources():
    lacking = {}
    for place, call in rejections():
        if any(keyword.arg is None for keyword in call.keywords):
            continue
        given = {keyword.arg for keyword in call.keywords} | {"field"}
        for code in literals(call.args[0]) & TEXTS.keys():
            text = TEXTS[code]
            pages = text.page if isinstance(text.page, tuple) else (text.page,)
            needed = set(re.findall(r"%\((\w+)\)", " ".join((text.sentence, *pages))))
            if needed - given:
                lacking[place] = sorted(needed - given)
    assert lacking == {}


def test_manual_lists_every_code():
    assert table() in MANUAL.read_text()


def test_a_code_cannot_be_declared_with_another_text():
    with pytest.raises(ValueError, match="server_not_found is declared twice"):
        declare_errors({"server_not_found": ErrorText("Something else")})


if __name__ == "__main__":
    text = MANUAL.read_text()
    MANUAL.write_text(text[: text.index(HEAD)] + table())
