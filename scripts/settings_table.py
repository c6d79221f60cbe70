#!/usr/bin/env python3
"""Write the table of settings in docs/settings.md from their declarations.

.venv/bin/python scripts/settings_table.py
"""

from pathlib import Path
from typing import Any

import app.factory  # noqa: F401 (which declares all settings)
from app.core.settings.declarations import DECLARED, Setting

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
BEGIN, END = "<!-- scripts/settings_table.py: begin -->", "<!-- scripts/settings_table.py: end -->"
HEAD = ("| Setting | Stored as | Name in the API | Values | Default | Meaning |", "|---|---|---|---|---|---|")


def table() -> str:
    """Return the table of all settings, and parts of settings, that have a label, in the order of their labels."""
    named = [
        (f"{setting.name}.{part.name}" if part is not setting else setting.name, part)
        for setting in DECLARED.values()
        for part in (setting, *setting.parts)
        if part.label and "." not in setting.name  # one of a plugin
    ]
    return "\n".join([*HEAD, *(_row(name, part) for name, part in sorted(named, key=_order))])


def with_table(page: str) -> str:
    """Return the page with the present table between the two comments."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def _order(named: tuple[str, Setting[Any]]) -> tuple[str, str]:
    return named[1].label, named[0]


def _row(name: str, setting: Setting[Any]) -> str:
    wire = f"`{setting.wire}`" if setting.wire else ""
    return f"| {setting.label} | `{name}` | {wire} | {_values(setting)} | {_shown(setting.default)} | {setting.help} |"


def _values(setting: Setting[Any]) -> str:
    if setting.kind is bool:
        return "on, off"
    if setting.choices:
        return ", ".join("blank" if choice == "" else f"`{choice}`" for choice in setting.choices)
    if setting.kind is list:
        return "list"
    if setting.longest is not None:
        return f"text, at most {setting.longest} characters"
    return "text" if setting.minimum is None else f"{setting.minimum} to {setting.maximum}"


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    if default is None:
        return "from the environment"
    return "blank" if default in ("", [], ()) else f"`{default}`"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
