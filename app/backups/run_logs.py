"""Compressed storage of a run's log, with a size limit.

Most lines of a log differ only in a date, a number or a file's id. Those are extracted; what remains is a pattern that
is stored once. A 20 KB log is stored in about 1.4 KB, where deflate with the same dictionary needs 2 KB. That takes
half a millisecond, which a sender need not wait for: a log is first packed quickly, in a fifth of the time, and later
densely (`app.backups.repairs.repack_logs`).
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

# Phrases of Duplicati's log, used as compression dictionary.
#
# `#` stands for a number or a file's id, `@` for a date. References to the end of the dictionary are shortest, so the
# most common phrases are last. Stored logs need exactly this text: to change it, add a new one beside it and a new
# version of the format.

_LOG = '","@ +01 - [{level}-Duplicati.Library.Main.{source}]: {text}'


def _line(source: str, text: str, level: str = "Information") -> str:
    """Return a phrase as in the packed document."""
    return _LOG.format(level=level, source=source, text=text)


_EVENT = "BasicResults-BackendEvent"
_RETENTION = "Operation.DeleteHandler:RetentionPolicy-"
_PATH_FAILED = "FileEntry-PathProcessingFailed"

PHRASES_1 = (
    "".join(
        [
            "System.IO.IOException: System.UnauthorizedAccessException: Access to the path '' is denied.",
            "The process cannot access the file because it is being used by another process.",
            "System.AggregateException: One or more errors occurred. System.Net.WebException: ",
            "System.Threading.Tasks.TaskCanceledException: A task was canceled.The operation has timed out",
            "\\n   at System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw()",
            "\\n   at System.Runtime.CompilerServices.TaskAwaiter.HandleNonSuccessAndDebuggerNotification(Task task)",
            "\\n   at CoCoL.AutomationExtensions.RunTask[T](T channels, Func`# method, Boolean catchRetiredExceptions)",
            "\\n--- End of stack trace from previous location ---",
            "\\n   at Duplicati.Library.Main.Controller.RunAction[T](T result, Action`# method)",
            "Duplicati.Library.Main.Database.DatabaseInconsistencyException: ",
            "Duplicati.Library.Interface.UserInformationException: ",
            _line("Operation.TestHandler-Test results", "Verified # remote files with # problem(s)", "Error"),
            _line("Operation.FilelistProcessor-MissingRemoteFiles", "Found # files that are missing", "Error"),
            _line("Operation.FilelistProcessor-ExtraUnknownFiles", "Found # remote files that are not", "Warning"),
            _line("Operation.FilelistProcessor-KeepIncompleteFile", "keeping protected incomplete remote file"),
            _line("Operation.Backup.BackendUploader-RetryPut", "Operation Put with file duplicati-b#.dblock", "Retry"),
            ".zip.aes attempt # of # failed with message: ",
            _line("Operation.Backup.MetadataGenerator.Metadata-MetadataProcessFailed", "Failed to process", "Warning"),
            ' metadata for \\"/, storing empty metadata',
            _line(f"Operation.Backup.FileBlockProcessor.{_PATH_FAILED}", "Failed to process path: C:\\\\", "Warning"),
            _line(f"Operation.Backup.{_PATH_FAILED}", "Failed to process path: /srv/", "Warning"),
            _line("Operation.CompactHandler-CompactReason", "Compacting not required"),
            _line("Operation.CompactHandler-CompactReason", "Compacting because there is #.#% wasted space and the"),
            _line("Database.LocalDeleteDatabase-FullyDeletableCount", "Found # fully deletable volume(s)"),
            _line("Database.LocalDeleteDatabase-SmallVolumeCount", "Found # small volumes(s) with a total size of # "),
            _line("Database.LocalDeleteDatabase-WastedSpaceVolumes", "Found # volume(s) with a total of #.#% wasted"),
            " space (#.# MiB of #.# GiB)",
            _line("Operation.DeleteHandler-DeleteRemoteFileset", "Deleting # remote fileset(s) ..."),
            _line("Operation.DeleteHandler-DeleteResults", "No remote filesets were deleted"),
            _line("Operation.DeleteHandler-DeleteResults", "Deleted # remote fileset(s)"),
            _line(f"{_RETENTION}StartCheck", "Start checking if backups can be removed"),
            _line(f"{_RETENTION}FramesAndIntervals", "Time frames and intervals pairs: #.#:#:# / #.#:#:#, #.#:#:#"),
            _line(f"{_RETENTION}BackupsOutsideFrames", "Backups outside of all time frames and thus getting deleted: "),
            _line(f"{_RETENTION}AllBackupsToDelete", "All backups to delete: #/#/# #:#:#"),
            _line(f"{_RETENTION}BackupsToDelete", "All backups to delete: #/#/# #:#:#"),
            _line(
                f"{_RETENTION}BackupList",
                "Backups to consider: #.#.# #:#:#, #/#/# #:#:# PM, #/#/# #:#:#, #/#/# #:#:#, ",
            ),
            _line("Controller-CompletedOperation", "The operation Backup has completed"),
            _line(_EVENT, "Backend event: Delete - Started: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Delete - Completed: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Get - Started: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Get - Completed: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Started: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Completed: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Started: duplicati-b#.dblock.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Completed: duplicati-b#.dblock.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Started: duplicati-i#.dindex.zip.aes (#.# MiB)"),
            _line(_EVENT, "Backend event: Put - Completed: duplicati-i#.dindex.zip.aes (#.# MiB)"),
            _line(_EVENT, "Backend event: Put - Started: duplicati-b#.dblock.zip.aes (#.# MiB)"),
            _line(_EVENT, "Backend event: Put - Completed: duplicati-b#.dblock.zip.aes (#.# MiB)"),
            _line(_EVENT, "Backend event: Put - Started: duplicati-i#.dindex.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Completed: duplicati-i#.dindex.zip.aes (#.# KiB)"),
            '[["@ +01 - [Information-Duplicati.Library.Main.Controller-StartingOperation]: ',
            "The operation Backup has started",
            _line(_EVENT, "Backend event: List - Started:  ()"),
            _line(_EVENT, "Backend event: List - Completed:  (#.# KiB)"),
            '],[0,1,2,3,4,5,6,5,6,3,4,3,4,5,6,7,8,7,8],"1,1,2,0,0,00,00,00,x,x1,x2,',
            "2024,00,00,00,2025,00,00,00,12,2026,00,00,00,2026,00,00,00,2026,00,00,00,2027,00,00,00,",
            '",[820000000,0,1,2,1,0,-86400,-86400,-86400,-86400],[0,100],[],[],["2026-11-2026-10-T00:00:00.000Z","2026-',
        ]
    )
    .replace("#", "\x7f")
    .encode()
)


# Limit of one run's log, in UTF-8 bytes. Duplicati sends 100 lines by default, about 15 KB.
TEXT_LIMIT_BYTES = 4 * 1024 * 1024
# Bytes counted per line besides its text, so that the number of empty lines is bounded, too.
_LINE_COST_BYTES = 32
# Longer lines are cut if the log exceeds the limit.
_LINE_LIMIT_CHARACTERS = 16 * 1024

_DENSE = b"\x01"
_QUICK = b"\x02"
# Of the levels 1 to 9, the first above which less than 1 % is gained (figures in tests/backups/test_run_logs.py).
_LEVEL = 6
_QUICK_LEVEL = 1
# 9 gives the same bytes and takes 0.08 ms longer to set up.
_MEMORY_LEVEL = 8

# Replaces a variable part in a pattern. If the text contains this character, it is extracted as well.
_GAP = "\x7f"
_VARIABLE = re.compile(r"([0-9a-f]{32}(?![0-9a-f])|[0-9]+|\x7f)")
_ID_BYTES = 16
_ID_LENGTH = 2 * _ID_BYTES
# The first character of a pattern says whether a date precedes it.
_DATED, _UNDATED = "@", "="
_DATE_LENGTH = len("2026-11-20 02:00:07")
# Only differences of dates matter, and these texts have no common zone.
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001
_SECONDS_A_DAY = 86_400
# Exceptions that invalid bytes raise.
NOT_UNPACKED = (ValueError, TypeError, LookupError, OverflowError, RuntimeError, zlib.error)


@dataclass(frozen=True, slots=True)
class RunLogTexts:
    """The log of a run: log lines, and the versions as ISO texts, newest first."""

    messages: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


def pack_log(messages: Sequence[str], warnings: Sequence[str], errors: Sequence[str], versions: Sequence[str]) -> bytes:
    """Pack the log of a run densely into bytes for `unpack_log`.

    Above `TEXT_LIMIT_BYTES` in total, the ends of messages, then of warnings, then of errors are dropped; a last line
    in each list then has the number of dropped lines.
    """
    messages, warnings, errors = bound_texts(messages, warnings, errors)
    writer = _LineWriter()
    lists = [writer.write(texts) for texts in (messages, warnings, errors)]
    document = orjson.dumps(
        [list(writer.patterns), writer.numbers, ",".join(writer.values), writer.seconds, *lists, list(versions)]
    )
    return _sealed(_DENSE, _deflated(document, _LEVEL) + b"".join(map(bytes.fromhex, writer.ids)))


def pack_log_quickly(messages: Sequence[str], warnings: Sequence[str], errors: Sequence[str]) -> bytes:
    """Pack the log of a run within the same limits: five times as fast, 50 % larger."""
    return _sealed(_QUICK, _deflated(orjson.dumps(bound_texts(messages, warnings, errors)), _QUICK_LEVEL))


def is_packed_quickly(packed: bytes) -> bool:
    """Return whether the bytes should be packed again densely."""
    return packed[:1] == _QUICK


def unpack_log(packed: bytes) -> RunLogTexts:
    """Unpack a log. Raise ValueError if damaged or of an unknown version."""
    if packed[:1] not in (_DENSE, _QUICK):
        raise ValueError("the stored log has a format that this version does not support")
    content = packed[5:]
    if zlib.crc32(content).to_bytes(4, "big") != packed[1:5]:
        raise ValueError("the stored log is damaged")
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS, zdict=PHRASES_1)
    document = orjson.loads(decompressor.decompress(content) + decompressor.flush())
    if is_packed_quickly(packed):
        return RunLogTexts(*(tuple(texts) for texts in document))
    patterns, numbers, values, seconds, *lists, versions = document
    lines = list(_LineReader(patterns, values.split(","), seconds, decompressor.unused_data).read(numbers))
    messages, warnings, errors = (tuple(lines[index] for index in _expand(indexes)) for indexes in lists)
    return RunLogTexts(messages, warnings, errors, tuple(versions))


def read_log(packed: bytes | None) -> RunLogTexts:
    """Unpack a log, if any; unreadable bytes become one line that says so."""
    try:
        return unpack_log(packed) if packed else RunLogTexts()
    except NOT_UNPACKED as error:
        return RunLogTexts(messages=(f"[duplistatus] The stored log cannot be read: {error}",))


def _deflated(document: bytes, level: int) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, _MEMORY_LEVEL, zdict=PHRASES_1)
    return compressor.compress(document) + compressor.flush()


def _sealed(version: bytes, content: bytes) -> bytes:
    return version + zlib.crc32(content).to_bytes(4, "big") + content


class _LineWriter:
    """Splits lines into pattern, date and variable parts; stores distinct lines once."""

    def __init__(self) -> None:
        self.patterns: dict[str, int] = {}
        # The pattern's index of each line.
        self.numbers: list[int] = []
        # For each date, the seconds since the previous one.
        self.seconds: list[int] = []
        # The variable parts. An id is `x` if new, else `x` and the distance back in the list of ids; `d` is the gap
        # character.
        self.values: list[str] = []
        # The new ids, in order.
        self.ids: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._moment = _EPOCH

    def write(self, lines: Sequence[str]) -> list[int]:
        """Add lines; return their indexes among all lines, as `_expand` reads them."""
        for line in lines:
            if line not in self._places:
                self._places[line] = len(self.numbers)
                self._add(line)
        return _shorten([self._places[line] for line in lines])

    def _add(self, line: str) -> None:
        mark = self._take_date(line)
        rest = line if mark == _UNDATED else line[_DATE_LENGTH:]
        # The search is the most expensive step, so long prefixes without variable parts are skipped.
        source, separator, text = rest.partition(" duplicati-")
        if not separator:
            source, separator, text = rest.partition("]: ")
        if not separator or _GAP in source:
            source, separator, text = "", "", rest
        parts = _VARIABLE.split(text)
        pattern = f"{mark}{source}{separator}{_GAP.join(parts[::2])}"
        self.numbers.append(self.patterns.setdefault(pattern, len(self.patterns)))
        self.values += [part if len(part) < _ID_LENGTH and part != _GAP else self._value(part) for part in parts[1::2]]

    def _take_date(self, line: str) -> str:
        """Store the date at the start of a line; return its marker."""
        head = line[:_DATE_LENGTH]
        try:
            moment = datetime.fromisoformat(head)
        except ValueError:
            return _UNDATED
        if str(moment) != head:
            return _UNDATED
        passed = moment - self._moment
        self.seconds.append(passed.days * _SECONDS_A_DAY + passed.seconds)
        self._moment = moment
        return _DATED

    def _value(self, part: str) -> str:
        if len(part) != _ID_LENGTH:
            return "d" if part == _GAP else part
        count = len(self.ids)
        index = self.ids.setdefault(part, count)
        return "x" if index == count else f"x{count - index}"


class _LineReader:
    """Rebuilds the lines."""

    def __init__(self, patterns: list[str], values: list[str], seconds: list[int], id_bytes: bytes) -> None:
        self._patterns = [(pattern[0], pattern[1:].split(_GAP)) for pattern in patterns]
        self._values = iter(values)
        self._seconds = iter(seconds)
        self._new_ids = (id_bytes[at : at + _ID_BYTES].hex() for at in range(0, len(id_bytes), _ID_BYTES))
        self._ids: list[str] = []
        self._moment = _EPOCH

    def read(self, numbers: list[int]) -> Iterator[str]:
        """Yield the line of each index, in the order of writing."""
        for number in numbers:
            mark, (first, *others) = self._patterns[number]
            line = first + "".join(f"{self._part(next(self._values))}{fixed}" for fixed in others)
            yield line if mark == _UNDATED else self._date() + line

    def _part(self, value: str) -> str:
        if value[0] == "x":
            return self._id(value)
        return _GAP if value == "d" else value

    def _id(self, value: str) -> str:
        if value != "x":
            return self._ids[-int(value[1:])]
        self._ids.append(next(self._new_ids))
        return self._ids[-1]

    def _date(self) -> str:
        self._moment += timedelta(seconds=next(self._seconds))
        return str(self._moment)


def _shorten(indexes: Sequence[int]) -> list[int]:
    """Encode indexes as a flat list of pairs: first index, number that follow it."""
    pairs: list[int] = []
    for index in indexes:
        if pairs and index == pairs[-2] + pairs[-1]:
            pairs[-1] += 1
        else:
            pairs += (index, 1)
    return pairs


def _expand(pairs: Sequence[int]) -> Iterator[int]:
    """Decode the result of `_shorten`."""
    for first, length in zip(pairs[::2], pairs[1::2], strict=True):
        yield from range(first, first + length)


def bound_texts(*lists: Sequence[str]) -> tuple[Sequence[str], ...]:
    """Cut the lists of texts of a run to `TEXT_LIMIT_BYTES`.

    The last list has priority.
    """
    # A character has at most four bytes, so nearly every run returns here without an exact measurement.
    cost_bytes = _LINE_COST_BYTES * sum(map(len, lists))
    if cost_bytes + 4 * sum(sum(map(len, texts)) for texts in lists) <= TEXT_LIMIT_BYTES:
        return lists
    if cost_bytes + sum(len(text.encode()) for texts in lists for text in texts) <= TEXT_LIMIT_BYTES:
        return lists
    kept = []
    room_bytes = TEXT_LIMIT_BYTES
    for texts in reversed(lists):
        some, room_bytes = _fitting(texts, room_bytes)
        kept.append(some)
    return tuple(reversed(kept))


def _fitting(texts: Sequence[str], room_bytes: int) -> tuple[list[str], int]:
    """Return the first texts that fit, and a line with the number of dropped ones."""
    kept: list[str] = []
    for text in texts:
        line = _shortened(text)
        size_bytes = len(line.encode()) + _LINE_COST_BYTES
        if size_bytes > room_bytes:
            kept.append(f"[duplistatus] {len(texts) - len(kept)} more lines omitted: the log is too long")
            break
        room_bytes -= size_bytes
        kept.append(line)
    return kept, room_bytes


def _shortened(text: str) -> str:
    """Cut an overlong line and say so at its end."""
    excess = len(text) - _LINE_LIMIT_CHARACTERS
    if excess <= 0:
        return text
    return f"{text[:_LINE_LIMIT_CHARACTERS]} [duplistatus: {excess} more characters omitted]"
