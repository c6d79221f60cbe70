"""Tables as CSV that spreadsheets open without running anything: no cell is a formula."""

from collections.abc import Iterable

# What a spreadsheet takes for the beginning of a formula.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def csv_line(cells: Iterable[object]) -> str:
    """One line without its end; None is an empty cell, and numbers stay numbers, negative ones included."""
    return ",".join(_cell(cell) for cell in cells)


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return str(value)
    text = "" if value is None else str(value)
    if text.startswith(FORMULA_SIGNS):
        text = f"'{text}"
    # The csv module leaves a carriage return unquoted when it does not end its lines with one.
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\n\r') else text
