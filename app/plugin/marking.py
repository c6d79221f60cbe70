"""Marks of texts that a page or a message translates later.

The program works with the English text, so the API, the audit log and the application log stay English.
scripts/translations.py finds the marks in the sources.
"""


def N_(text: str) -> str:
    """Return a text unchanged, marked for translation."""
    return text


def NC_(context: str, text: str) -> str:
    """Return a text unchanged, marked for translation.

    `context` explains a short word to translators.
    """
    return text


def NP_(one: str, many: str) -> tuple[str, str]:
    """Return the singular and the plural of a text unchanged, marked for translation."""
    return one, many
