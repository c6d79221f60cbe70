"""An old database on its way to us: it comes in pieces, so that it may be large, and a broken connection loses little.

It lies in a folder of its own below the data directory until it is imported, for the owner of the data alone.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.contracts.errors import AppError, Conflict
from app.services import secrets
from app.services.deployment import settings
from app.services.transfer.source import HEADER, OLD_NAME

MOST_BYTES = 4 * 1024**3
MOST_PIECE_BYTES = 200 * 1024**2
MOST_KEY_BYTES = 1024
CHUNK_BYTES = 1024**2
KEY_NAME = secrets.KEY_FILE


@dataclass(frozen=True, slots=True)
class Received:
    """What has arrived so far."""

    size_bytes: int
    has_key: bool


def receive_piece(stream: BinaryIO, *, offset: int, total: int) -> Received:
    """Add a piece of a file of `total` bytes that begins at `offset`; 0 begins anew.

    Raises Conflict, with what has arrived as `receivedBytes`, for a piece that is not the next one, and AppError for
    what is no database of SQLite, too large, or has no room on the disk.
    """
    path = database_path()
    present = path.stat().st_size if path.exists() else 0
    if offset == 0:
        _prepare(total)
        present = 0
    elif offset != present:
        raise Conflict("This is not the next piece of the file", receivedBytes=present)
    with path.open("r+b" if offset else "wb") as file:
        path.chmod(0o600)
        file.seek(offset)
        for chunk in _chunks(stream):
            if offset == 0 and file.tell() == 0 and not chunk.startswith(HEADER):
                discard()
                raise AppError("The file is not a SQLite database")
            if file.tell() + len(chunk) > total:
                file.truncate(offset)
                raise AppError("The piece is longer than the file was said to be")
            file.write(chunk)
    return received()


def receive_key(content: bytes) -> Received:
    """Keep the key file that belongs to the database. Raises AppError for what is none."""
    if len(content) != secrets.KEY_BYTES:
        raise AppError(f"A key file holds {secrets.KEY_BYTES} bytes, this one holds {len(content)}")
    path = folder() / KEY_NAME
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
    return received()


def received() -> Received:
    """What has arrived so far."""
    path = database_path()
    return Received(path.stat().st_size if path.exists() else 0, (folder() / KEY_NAME).exists())


def discard() -> None:
    """Delete what has arrived."""
    for name in (OLD_NAME, KEY_NAME):
        (folder() / name).unlink(missing_ok=True)


def database_path() -> Path:
    """Where the database that arrives lies."""
    return folder() / OLD_NAME


def folder() -> Path:
    """Where it all lies."""
    place = settings().data_dir / "import"
    place.mkdir(exist_ok=True, mode=0o700)
    return place


def _prepare(total: int) -> None:
    if total > MOST_BYTES:
        raise AppError(f"The file is larger than {MOST_BYTES // 1024**3} GiB: import it with the command", 413)
    if total < len(HEADER):
        raise AppError("The file is not a SQLite database")
    if shutil.disk_usage(folder()).free < total * 1.1:
        raise AppError("There is not enough room on the disk for this file", 500)
    database_path().unlink(missing_ok=True)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk
