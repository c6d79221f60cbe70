"""Invented log lines in the form of Duplicati's, for demonstration and measuring."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

_MARK = "Duplicati.Library.Main"
_FOLDERS = ("/srv/share", "/home/anna", "/var/lib", "/mnt/pool/media", "/etc", "/opt/app/data")
_WARNINGS = (
    "Operation.Backup.FileEntry-PathProcessingFailed]: Failed to process path: {path}",
    "Operation.FilelistProcessor-MissingFile]: Missing file: duplicati-b{hash}.dblock.zip.aes",
    "Operation.Backup.MetadataGenerator.Metadata-MetadataProcessFailed]: Failed to read metadata of {path}",
)
_ERRORS = (
    "Operation.Backup.UploadSyntheticFilelist-SyntheticError]: The upload of {path} timed out",
    "Controller-FailedOperation]: The operation Backup failed: no space left at the destination",
    "Backends.BackendManager-PutError]: The remote server closed the connection while {path} was sent",
)


def invent_log(run: dict[str, Any], rng: Random, *, least_bytes: int = 0) -> tuple[list[str], list[str], list[str]]:
    """Messages, warnings and errors of an invented run; filled with upload events up to `least_bytes`."""
    at: datetime = run["began_at"]
    messages = [_line(at, "Information", "Controller-StartingOperation]: The operation Backup has started")]
    messages.append(_event(at + timedelta(seconds=1), "List - Started:  ()"))
    messages.append(_event(at + timedelta(seconds=2), f"List - Completed:  ({rng.randrange(90, 4000)} bytes)"))
    written = sum(map(len, messages))
    index = 0
    while index < min(6, 1 + run["uploaded_bytes"] // (50 * 1024**2)) or written < least_bytes:
        name = f"duplicati-b{_hex(rng)}.dblock.zip.aes"
        moment = at + timedelta(seconds=3 + index * 4)
        pair = [
            _event(moment, f"Put - Started: {name} (49.{rng.randrange(10, 99)} MiB)"),
            _event(moment + timedelta(seconds=3), f"Put - Completed: {name} (49.{rng.randrange(10, 99)} MiB)"),
        ]
        messages += pair
        written += sum(map(len, pair))
        index += 1
    listed = ", ".join(
        f"{datetime.fromisoformat(version):%m/%d/%Y %-I:%M:%S %p}" for version in run["available_versions"]
    )
    end = run["ended_at"]
    messages.append(_line(end, "Information", "Operation.DeleteHandler:RetentionPolicy-StartCheck]: Start checking"))
    messages.append(
        _line(end, "Information", f"Operation.DeleteHandler:RetentionPolicy-BackupList]: Backups to consider: {listed}")
    )
    messages.append(_line(end, "Information", "Controller-CompletedOperation]: The operation Backup has completed"))
    warnings = [_trouble(at, "Warning", _WARNINGS, rng) for _ in range(run["warning_count"])]
    errors = [_trouble(at, "Error", _ERRORS, rng) for _ in range(run["error_count"])]
    return messages, warnings, errors


def _line(at: datetime, level: str, text: str) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} +00 - [{level}-{_MARK}.{text}"


def _event(at: datetime, text: str) -> str:
    return _line(at, "Information", f"BasicResults-BackendEvent]: Backend event: {text}")


def _trouble(at: datetime, level: str, texts: tuple[str, ...], rng: Random) -> str:
    path = f"{rng.choice(_FOLDERS)}/{_hex(rng)[:8]}.dat"
    return _line(at + timedelta(seconds=20), level, rng.choice(texts).format(path=path, hash=_hex(rng)))


def _hex(rng: Random) -> str:
    return f"{rng.getrandbits(128):032x}"
