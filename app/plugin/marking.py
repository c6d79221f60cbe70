"""Marks of texts that are translated later: a page or a message looks them up in a catalogue, in the reader's language.

The program works with the English text, so the API, the audit log and the application log stay English.
scripts/translations.py finds the marks in the sources.
"""


def N_(text: str) -> str:
    """Return a text unchanged, marked for translation."""
    return text


def NC_(context: str, text: str) -> str:
    """Return a text unchanged, marked for translation; `context` tells translators what a short word is about."""
    return text
