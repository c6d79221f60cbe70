"""Statuses of runs, and what a run's log says about it and the run before it.

Facts 9, 11 and 13 of the recordings of a real Duplicati (tests/data/duplicati/README.md).
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

# Statuses: their letters in a heartbeat bar, their severity, and the combined status of many

SUCCESS, WARNING, ERROR, FATAL, UNKNOWN, NONE = "Success", "Warning", "Error", "Fatal", "Unknown", "N/A"
BAR_LENGTH = 100

_LETTERS = {SUCCESS: "S", WARNING: "W", ERROR: "E", FATAL: "F"}
_WORDS = {letter: word for word, letter in _LETTERS.items()}
_SEVERITIES = {SUCCESS: 0, UNKNOWN: 1, WARNING: 2, ERROR: 3, FATAL: 4}


def status_letter(status: str) -> str:
    """Return the letter of a status in a heartbeat bar; U for unknown words."""
    return _LETTERS.get(status, "U")


def statuses_of(letters: str) -> list[str]:
    """Return the statuses of a string of letters, in order."""
    return [_WORDS.get(letter, UNKNOWN) for letter in letters]


def severity_of(status: str) -> int:
    """Return the severity from 0 (Success) to 4 (Fatal).

    Unknown words are between Success and Warning.
    """
    return _SEVERITIES.get(status, _SEVERITIES[UNKNOWN])


def is_failure(status: str) -> bool:
    """Return whether a status means that the backup failed."""
    return status in (ERROR, FATAL)


def roll_up(statuses: Iterable[str], *, any_overdue: bool) -> str:
    """Return a server's status: its worst job's; an overdue job counts as a warning."""
    found = set(statuses) - {NONE}
    if found & {ERROR, FATAL}:
        return ERROR
    if WARNING in found or any_overdue:
        return WARNING
    return SUCCESS if found == {SUCCESS} else UNKNOWN


ONE_SECOND = timedelta(seconds=1)
# A list of files is uploaded for each version; its name has the version's time in UTC.
_FILE_LIST = re.compile(r"-(\d{8}T\d{6}Z)\.dlist\.", re.ASCII)
_FILE_LIST_ENDING = ".dlist."
_BACKEND_EVENT = "Backend event:"
_FILE_LIST_SAVED = "Put - Completed:"
# The tag is the same in every language of Duplicati; the text is for logs without tags.
_PREVIOUS_MARK = "PreviousBackupFilelistUpload"
_PREVIOUS_TEXT = "Uploading filelist from previous interrupted backup"
_KEPT_FILE_LIST = "KeepIncompleteFile"
# If the name is taken, Duplicati names an interrupted run's list a second later.
_RENAMED_BY = timedelta(seconds=2)
_OMITTED_LINES = re.compile(r"\.\.\. \D{0,40}\d{1,9}\D{0,40}")


class Outcome(StrEnum):
    """How a run ended, apart from its status."""

    NORMAL = ""
    DRY_RUN = "dry_run"
    ABORTED = "aborted"
    STOPPED = "stopped"
    PARTIAL = "partial"


# Runs that saved nothing: they satisfy no slot of a schedule and do not change the state of their job.
UNSAVED = frozenset({Outcome.DRY_RUN, Outcome.ABORTED})


def find_outcome(
    *,
    is_dry_run: bool,
    was_interrupted: bool,
    is_partial: bool,
    parsed_result: str,
    uploaded_files: int,
    messages: Sequence[str],
    is_cut: bool,
) -> Outcome:
    """Return whether a run was a dry run, or stopped with or without a version.

    A stopped run saved a version if its log says that the list of files was uploaded. If the log has no backend events
    or was cut (`is_cut`), it saved one if files were uploaded and the result is not a failure.
    """
    if is_dry_run:
        return Outcome.DRY_RUN
    if not was_interrupted:
        return Outcome.PARTIAL if is_partial else Outcome.NORMAL
    has_saved = is_partial or _has_saved_file_list(messages)
    if not has_saved:
        is_log_whole = not is_cut and not _is_cut(messages) and any(_BACKEND_EVENT in line for line in messages)
        has_saved = not is_log_whole and uploaded_files > 0 and not is_failure(parsed_result)
    if not has_saved:
        return Outcome.ABORTED
    return Outcome.PARTIAL if is_partial else Outcome.STOPPED


def find_version_time(
    last_backup_at: datetime | None,
    messages: Sequence[str],
    began_at: datetime,
    ended_at: datetime,
    *,
    is_good: bool,
) -> datetime | None:
    """Return the second of the version that a run saved, None if it saved none.

    The newest version that the backend reports is the run's own if its time is within the run; so is an uploaded list
    of files. Without either, a successful run is assumed to have saved a version at its start.
    """
    if last_backup_at is not None and _is_within(last_backup_at, began_at, ended_at):
        return last_backup_at.replace(microsecond=0)
    saved = [at for at in _saved_file_lists(messages) if _is_within(at, began_at, ended_at)]
    if saved:
        return saved[-1]
    return began_at.replace(microsecond=0) if is_good else None


def find_broken_off(messages: Sequence[str], began_at: datetime) -> datetime | None:
    """Return when the previous run began, if the log says it was interrupted.

    Else None.

    An interrupted run sends no report. The next run uploads its list of files, named for its start. None also if the
    log lacks the time.
    """
    found = _find_mark(messages)
    if found < 0:
        return None
    kept = [at for line in messages[:found] if _KEPT_FILE_LIST in line for at in _file_list_times(line)]
    saved = _saved_file_lists(messages[found + 1 :])
    if saved and saved[0] < began_at.replace(microsecond=0):
        near = [at for at in kept if timedelta() <= saved[0] - at <= _RENAMED_BY]
        return min(near, default=saved[0])
    earlier = [at for at in kept if at < began_at.replace(microsecond=0)]
    return max(earlier, default=None)


def _has_saved_file_list(messages: Sequence[str]) -> bool:
    """Return whether the run uploaded its own list of files.

    The first list after the marker belongs to the previous run.
    """
    count = sum(_FILE_LIST_SAVED in line and _FILE_LIST_ENDING in line for line in messages)
    return count > (_find_mark(messages) >= 0)


def _find_mark(messages: Sequence[str]) -> int:
    """Return the index of the line about an interrupted previous run, or -1."""
    for index, line in enumerate(messages):
        if _PREVIOUS_MARK in line or _PREVIOUS_TEXT in line:
            return index
    return -1


def _saved_file_lists(messages: Sequence[str]) -> list[datetime]:
    return [at for line in messages if _FILE_LIST_SAVED in line for at in _file_list_times(line)]


def _file_list_times(line: str) -> list[datetime]:
    found = _FILE_LIST.search(line)
    if found is None:
        return []
    try:
        return [datetime.fromisoformat(found[1])]
    except ValueError:
        return []


def _is_within(at: datetime, began_at: datetime, ended_at: datetime) -> bool:
    return began_at - ONE_SECOND <= at <= ended_at + ONE_SECOND


def _is_cut(messages: Sequence[str]) -> bool:
    """Return whether lines were dropped at the end (`--send-http-max-log-lines`)."""
    return bool(messages) and _OMITTED_LINES.fullmatch(messages[-1].strip()) is not None
