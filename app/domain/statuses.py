"""The words for how a run ended: their letters in a strip, their order of gravity, and the roll-up of many."""

from collections.abc import Iterable

SUCCESS, WARNING, ERROR, FATAL, UNKNOWN, NONE = "Success", "Warning", "Error", "Fatal", "Unknown", "N/A"
STRIP_LENGTH = 100

_LETTERS = {SUCCESS: "S", WARNING: "W", ERROR: "E", FATAL: "F"}
_WORDS = {letter: word for word, letter in _LETTERS.items()}
_SEVERITIES = {SUCCESS: 0, UNKNOWN: 1, WARNING: 2, ERROR: 3, FATAL: 4}


def strip_letter(status: str) -> str:
    """The letter of a status in a strip; U for every word that we do not know."""
    return _LETTERS.get(status, "U")


def strip_words(strip: str) -> list[str]:
    """The statuses that a strip of letters stands for, in its order."""
    return [_WORDS.get(letter, UNKNOWN) for letter in strip]


def severity_of(status: str) -> int:
    """How grave a status is, from 0 (Success) to 4 (Fatal); unknown words are between Success and Warning."""
    return _SEVERITIES.get(status, _SEVERITIES[UNKNOWN])


def is_failure(status: str) -> bool:
    """Whether the backup did not come about as it should."""
    return status in (ERROR, FATAL)


def roll_up(statuses: Iterable[str], *, any_overdue: bool) -> str:
    """One status for a server: its worst job counts, and an overdue job counts as a warning."""
    found = set(statuses) - {NONE}
    if found & {ERROR, FATAL}:
        return ERROR
    if WARNING in found or any_overdue:
        return WARNING
    return SUCCESS if found == {SUCCESS} else UNKNOWN
