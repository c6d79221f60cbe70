"""Bodies that take long to read, or much memory, without limits; none is larger than an upload may be."""

import gzip
import json
from collections.abc import Iterator

JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain"
MULTIPART = "multipart/form-data; boundary=b"
RESULTS = {
    "MainOperation": "Backup",
    "ParsedResult": "Success",
    "BeginTime": "2026-11-30T02:00:00Z",
    "Duration": "00:10:00",
}
SOURCE = {"machine-id": "hostile", "machine-name": "hostile", "backup-name": "b", "backup-id": "DB-1"}
PART = b'Content-Disposition: form-data; name="message"'
FILE_LIST = "Backend event: Put - Completed: duplicati-20261130T020000Z.dlist.zip.aes (1 KB)"
VERSION = "2026-11-30 02:00:01 +01 - [Information-Duplicati]: All backups to consider: 11/20/2026 2:00:00 AM"


def report(lines: list[object], **more: object) -> bytes:
    """Return a report with these log lines."""
    return json.dumps({"Data": RESULTS, "Extra": SOURCE, "LogLines": lines, **more}).encode()


def log_of(line: str, size: int) -> bytes:
    """Return a report whose log repeats one line up to the size limit."""
    return report([line] * min(size // (len(line) + 5), 490_000))


def hostile_bodies(size: int) -> Iterator[tuple[str, bytes, str, str]]:
    """Return name, body, content type and content encoding of each kind, of about `size` bytes."""
    bodies = {
        ("log of lists of files", JSON): log_of(FILE_LIST, size),
        ("log of versions", JSON): log_of(VERSION, size),
        ("log of short lines", JSON): log_of("[Error-x]: y", size),
        ("log and exception", JSON): report(["[Error-x]: y"] * (size // 20), Exception="x" * 5_000),
        ("surrogates", JSON): report(["\ud800" * 6] * (size // 42)),
        ("numbers that are none", JSON): b'{"a":NaN'
        + b"".join(b',"%07d":1' % n for n in range(min(size // 12, 490_000)))
        + b"}",
        ("many values", JSON): b'{"Data":[' + b"[]," * (size // 3) + b"1]}",
        ("deep", JSON): b"[" * (size // 2) + b"]" * (size // 2),
        ("quotation marks", JSON): b'{"' + b'"' * size,
        ("escapes", JSON): b'{"' + b'\\"' * (size // 2),
        ("long number", JSON): b'{"Data":' + b"1" * size + b"}",
        ("no text", JSON): b"\x80" * size,
        ("title of blanks", TEXT): b"Duplicati Backup report for x" + b" " * size + b"y",
        ("title of brackets", TEXT): b"Duplicati Backup report for x" + b" (" * (size // 2) + b")",
        ("date of brackets", TEXT): b"Duplicati Backup report for x (m, DB-1, m)\nBeginTime: " + b"(" * size,
        ("lines", TEXT): b"Duplicati Backup report for x (m, DB-1, m)\nMainOperation: Backup\n"
        + b"a: b\n" * (size // 5),
        ("percent signs", FORM): b"message=" + b"%" * size,
        ("encoded brackets", FORM): b"message=" + b"%7B" * (size // 3),
        ("encoded address", FORM): b"message=%22RemoteUrl%22%3A%22" + b"%aa" * (size // 3),
        ("fields", FORM): b"a&" * (size // 2),
        ("empty parts", MULTIPART): b"--b\r\n" + b"\r\n--b\r\n" * (size // 7),
        ("parts", MULTIPART): (b"--b\r\n" + PART + b"\r\n\r\nx\r\n") * (size // 60) + b"--b--",
        ("headers of a part", MULTIPART): b"--b\r\n" + b"A: b\r\n" * (size // 6) + b"\r\nx\r\n--b--",
        ("header of a part", MULTIPART): b"--b\r\n" + PART + b"; a=b" * (size // 5) + b"\r\n\r\nx\r\n--b--",
        ("no first part", MULTIPART): b"\r\n" * (size // 2) + b"--b\r\n",
        ("nearly a boundary", MULTIPART): b"--b\r\n" + PART + b"\r\n\r\n" + b"\r\n--c" * (size // 5) + b"\r\n--b--",
    }
    for (name, kind), body in bodies.items():
        yield name, body, kind, ""
    yield "bomb of values", gzip.compress(b'{"Data":[' + b"[]," * (size // 3) + b"1]}"), JSON, "gzip"
    yield "bomb of lines", gzip.compress(log_of(FILE_LIST, size), 1), JSON, "gzip"
