"""Extract the reason of a failed run from Duplicati's log.

A log entry is `DATE - [LEVEL-TAG]: text`, often followed by an exception as .NET prints it: `Type: message`, inner
exceptions after `--->`, and stack traces. Text is in the language of the server; tags and types are not.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from app.notifications.rules import shorten

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
