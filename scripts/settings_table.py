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
HEAD = ("| Setting | Name in the API | Values | Default | Meaning |", "|---|---|---|---|---|")


def table() -> str:
    """Return the table of all settings that have a label, in the order of their labels."""
    rows = sorted((setting for setting in DECLARED.values() if setting.label), key=lambda each: each.label)
    return "\n".join([*HEAD, *map(_row, rows)])


def with_table(page: str) -> str:
    """Return the page with the present table between the two comments."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def _row(setting: Setting[Any]) -> str:
    wire = f"`{setting.wire}`" if setting.wire else ""
    return f"| {setting.label} | {wire} | {_values(setting)} | {_shown(setting.default)} | {setting.help} |"


def _values(setting: Setting[Any]) -> str:
    if setting.kind is bool:
        return "on, off"
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    return "text" if setting.minimum is None else f"{setting.minimum} to {setting.maximum}"


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return "from the environment" if default is None else f"`{default}`" if default != "" else "blank"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
