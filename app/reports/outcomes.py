"""Statuses of runs, what a run's log says about it and the run before it, and figures of a job's newest runs.

Facts 9, 11 and 13 of the recordings of a real Duplicati (tests/data/duplicati/README.md).
"""

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise
from statistics import median
from typing import NamedTuple

from app.core.instants import from_milliseconds, to_milliseconds
from app.reports.decoding import shorten

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


# The reason of a failed run, from Duplicati's log
#
# A log entry is `DATE - [LEVEL-TAG]: text`, often followed by an exception as .NET prints it: `Type: message`, inner
# exceptions after `--->`, and stack traces. Text is in the language of the server; tags and types are not.

REASON_LIMIT, LINE_LIMIT = 500, 2_000
# Limit per entry: the message is at the start; the stack trace behind it can be long.
_ENTRY_LIMIT = 20_000
_MOST_WRAPPINGS = 10
# Limit of entries: the reason of a failure is among the first.
_MOST_ENTRIES = 500
_HEAD = re.compile(
    r"(?:[^\[\n]{8,40} - )?\[[A-Z][a-z]{2,20}-(?P<tag>[^\]\n]{1,300})\]: ?"
    r"|\d{4}-\d\d-\d\d[T ][\d:.]{7,16} ?(?:Z|[+-]\d\d(?::?\d\d)?)? - "
)
_TYPE_NAME = (
    r"(?:(?:[A-Za-z_]\w{0,99}[.+]){1,20}\w{0,99}(?:Exception|Error)|\w{1,99}Exception)"
    r"(?:`\d+)?(?:\[[^\]\n]{0,300}\])?(?: \((?:0x)?[0-9A-Fa-f]{1,10}\))?"
)
_EXCEPTION = re.compile(rf"(?P<type>{_TYPE_NAME})(?::[ \t]*(?P<message>.*)|[ \t]*)")
# Match from the first of several blanks only; otherwise each blank of a run starts a match of its own.
_INNER = re.compile(rf"(?<![ \t\n])[ \t\n]*---> ?(?:\([^()\n]{{1,40}} #\d+\) ?)?(?={_TYPE_NAME}(?::|\s|$))")
# "at" is "bei", "à" or "в" in .NET of other languages.
_STACK_LINE = re.compile(r"[ \t]{2,}\S{1,10} [\w.`<>\[\],+|$@&*]+\(.*|[ \t]*---.*---[ \t]*")
# Messages that only refer to another message.
_GENERIC = re.compile(
    r"One or more errors occurred"
    r"|Exception of type '[^']*' was thrown"
    r"|Exception has been thrown by the target of an invocation"
    r"|The type initializer for '[^']*' threw an exception"
    r"|An (?:unexpected )?error occurred(?: while sending the request)?"
    r"|Fatal error"
    r"|The operation \w+ has failed",
    re.IGNORECASE,
)
_SEE_INNER = re.compile(r",? (?:please )?see (?:the )?inner exceptions?(?: for (?:more )?details)?\.?$", re.IGNORECASE)
_WITH_ERROR = re.compile(r"The operation \w+ has failed with error: ", re.IGNORECASE)
_AGGREGATED = re.compile(r"One or more errors occurred\.? ?\((.*)\)", re.IGNORECASE | re.DOTALL)
# An AggregateException lists its exceptions in brackets after a localised sentence.
_ANY_AGGREGATED = re.compile(r"[^()]{3,200}[.。] ?\((.*)\)", re.DOTALL)
# Logged when the whole operation ends: the text before the exception adds nothing to it.
_FINAL_TAGS = ("-FailedOperation", "-FatalError")
# Consequences of a failure, questionable options, and failures to send reports: rarely the reason.
_NOISE_TAG = re.compile(r"-(?:FailedWriteOperation|UnsupportedOption)$|\.Modules\.Builtin\.(?:HttpReport|Send)\w*-")
_NOISE_TEXT = re.compile(r"LocalDatabase does not contain a previous operation", re.IGNORECASE)
_FIRST, _USUAL, _EMPTY, _NOISE = range(4)


class _Entry(NamedTuple):
    """One log entry: messages, outermost exception first, and rank as the reason."""

    rank: int
    messages: tuple[str, ...]

    @property
    def line(self) -> str:
        """Return all messages in one line."""
        return shorten(_joined([" ".join(message.split()) for message in self.messages]), LINE_LIMIT)

    @property
    def reason(self) -> str:
        """Return the first paragraph of each message in one line."""
        paragraphs = (message.partition("\n\n")[0] for message in self.messages)
        return shorten(_joined([" ".join(paragraph.split()) for paragraph in paragraphs]), REASON_LIMIT)


def find_reason(errors: Sequence[str], warnings: Sequence[str] = ()) -> str:
    """Return the reason of a failure in one line of at most 500 characters, or "".

    Exceptions and entries that ended the operation rank before other errors, and errors before warnings. Noise is
    skipped.
    """
    for entries in (errors, warnings):
        found = min(_read_all(entries), key=_rank, default=None)
        if found is not None and found.reason and found.rank != _NOISE:
            return found.reason
    return ""


def list_lines(errors: Sequence[str], warnings: Sequence[str], *, limit: int | None = None) -> list[str]:
    """Return errors, then warnings, one line each, without duplicates.

    The reason is first, noise last. Stops after the line that exceeds `limit` characters in total.
    """
    lines: dict[str, None] = {}
    length = 0
    for entries in (errors, warnings):
        for entry in sorted(_read_all(entries), key=_rank):
            if not entry.line or entry.line in lines:
                continue
            lines[entry.line] = None
            length += len(entry.line)
            if limit is not None and length > limit:
                return list(lines)
    return list(lines)


def plain_line(text: str) -> str:
    """Return an entry or exception in one line, without date, tag, types and stack."""
    return _read(text).line


def _read_all(entries: Iterable[str]) -> Iterator[_Entry]:
    return map(_read, islice(filter(None, entries), _MOST_ENTRIES))


def _rank(entry: _Entry) -> int:
    return entry.rank


def _read(text: str) -> _Entry:
    text = text[:_ENTRY_LIMIT].replace("\r\n", "\n")
    head = _HEAD.match(text)
    tag = (head["tag"] or "") if head else ""
    is_final = tag.endswith(_FINAL_TAGS)
    spoken, exceptions = _parts(text[head.end() :] if head else text)
    if is_final and exceptions:
        spoken = ""
    found = [_plain(message, kind) for kind, message in (("", spoken), *exceptions)]
    messages = tuple(message for message in found if message and not _GENERIC.fullmatch(message.rstrip(". ")))
    if not messages:  # only generic text or type names are left
        names = [kind.partition(" (")[0].rpartition(".")[2] for kind, _ in exceptions]
        return _Entry(_EMPTY, tuple([message for message in found if message][-1:] or names[-1:]))
    if _NOISE_TAG.search(tag) or _NOISE_TEXT.match(messages[0]):
        return _Entry(_NOISE, messages)
    return _Entry(_FIRST if is_final or not head else _USUAL, messages)


def _parts(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the text before any exception, and each exception's type and message.

    Exceptions are listed outermost first.
    """
    spoken: list[str] = []
    exceptions: list[tuple[str, list[str]]] = []
    current: list[str] | None = spoken
    for line in _INNER.sub("\n", text).split("\n"):
        if _STACK_LINE.fullmatch(line):
            current = None
        elif found := _EXCEPTION.fullmatch(line):
            current = [(found["message"] or "").removesuffix("<---")]
            exceptions.append((found["type"], current))
        elif current is not None:
            current.append(line)
    return "\n".join(spoken).strip(), [(kind, "\n".join(lines).strip()) for kind, lines in exceptions]


def _plain(message: str, kind: str, depth: int = 0) -> str:
    """Return a message without the text that wraps it."""
    message = _SEE_INNER.sub("", _WITH_ERROR.sub("", message))
    found = _AGGREGATED.fullmatch(message)
    if found is None and "AggregateException" in kind:
        found = _ANY_AGGREGATED.fullmatch(message)
    if found is None or depth > _MOST_WRAPPINGS:
        return message
    parts = [_plain(part, "", depth + 1) for part in found[1].split(") (")]
    return "; ".join(dict.fromkeys(parts))


def _joined(messages: Iterable[str]) -> str:
    """Join the outermost and the innermost message; one if the other adds nothing."""
    texts = [message for message in messages if message]
    if not texts:
        return ""
    outer, inner = texts[0], texts[-1]
    if inner.rstrip(".") in outer:
        return outer
    return inner if outer.rstrip(".") in inner else f"{outer.rstrip('.: ')}: {inner}"


# A few figures of a job's newest runs, packed in one column of the job
#
# Heartbeat bars, trends and anomalies read them, instead of a query for the runs at each upload and for each dashboard.

# The newest run, and the thirty that it is compared with.
MAX_RUNS = 31
# Lengths of the previous format, 37 bytes per run, differ from all lengths of this one.
_FORM = struct.Struct("<qcfqqqqqB")
DAY = timedelta(days=1)
# Letters of runs that saved nothing, and of one that was interrupted and sent no report.
ABORTED, DRY_RUN, BROKEN_OFF = "A", "D", "B"
NOT_COUNTED = ABORTED + DRY_RUN + BROKEN_OFF
OUTCOME_LETTERS: dict[str, str] = {Outcome.ABORTED: ABORTED, Outcome.DRY_RUN: DRY_RUN}


class RecentRun(NamedTuple):
    """One run. `letter` is its status in a heartbeat bar or one of `NOT_COUNTED`.

    `not_told` are the figures that its report lacks: bits of `app.reports.parser.Figure`.
    """

    began_at_ms: int
    letter: str
    duration_s: float
    examined_files: int
    examined_bytes: int
    uploaded_bytes: int
    modified_files: int = 0
    deleted_files: int = 0
    not_told: int = 0

    @property
    def began_at(self) -> datetime:
        """The start, in UTC."""
        return from_milliseconds(self.began_at_ms)

    @property
    def counts(self) -> bool:
        """Whether the run decides the state of its job and satisfies its schedule."""
        return self.letter not in NOT_COUNTED

    @property
    def has_failed(self) -> bool:
        """Whether the run failed or saved nothing, so that its figures are incomplete."""
        return self.letter in "EF" or not self.counts


def recent_runs(
    began_at: datetime,
    status: str,
    duration_s: float,
    examined_files: int,
    examined_bytes: int,
    uploaded_bytes: int,
    outcome: str = "",
    broken_off_at: datetime | None = None,
    modified_files: int = 0,
    deleted_files: int = 0,
    not_told: int = 0,
) -> list[RecentRun]:
    """Return the run with these columns of `Run`, after an interrupted one if any."""
    letter = OUTCOME_LETTERS.get(outcome) or status_letter(status)
    run = RecentRun(
        to_milliseconds(began_at),
        letter,
        duration_s,
        examined_files,
        examined_bytes,
        uploaded_bytes,
        modified_files,
        deleted_files,
        not_told,
    )
    if broken_off_at is None or broken_off_at >= began_at:
        return [run]
    return [RecentRun(to_milliseconds(broken_off_at), BROKEN_OFF, 0.0, 0, 0, 0), run]


def pack_runs(runs: Iterable[RecentRun]) -> bytes:
    """Pack the newest of some runs, given oldest first: 54 bytes each."""
    packed = b"".join(_FORM.pack(run[0], run[1].encode(), *run[2:]) for run in runs)
    return packed[-MAX_RUNS * _FORM.size :]


def add_packed(packed: bytes | None, runs: Sequence[RecentRun]) -> bytes:
    """Append newer runs to packed runs; the oldest are dropped."""
    return ((packed or b"") + pack_runs(runs))[-MAX_RUNS * _FORM.size :]


def usual_interval(runs: Sequence[RecentRun]) -> timedelta:
    """Return the median time between runs that count, at least a day.

    A day if there are too few runs.
    """
    begins = [run.began_at_ms for run in runs if run.counts]
    gaps = [later - earlier for earlier, later in pairwise(begins)]
    return max(timedelta(milliseconds=median(gaps)), DAY) if len(gaps) > 1 else DAY


def unpack_runs(packed: bytes | None) -> list[RecentRun]:
    """Return the runs, oldest first."""
    return [RecentRun(began, letter.decode(), *rest) for began, letter, *rest in _FORM.iter_unpack(packed or b"")]
