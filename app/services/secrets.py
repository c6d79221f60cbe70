"""Secrets at rest: AES-256-GCM under a key file of the data directory, in the reference's own format.

A stored secret reads `hex(salt):hex(iv):hex(tag):hex(ciphertext)`; its key comes from the key file and the salt by
PBKDF2. So a database of the reference, imported together with its key file, keeps its secrets.
"""

import hashlib
import logging
import os
import re
import secrets as randomness
import tempfile
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import or_, select

from app.contracts import AppError
from app.extensions import db
from app.models import Channel, Server
from app.services import configuration
from app.services.audit import SYSTEM, record_entry
from app.services.deployment import settings
from app.services.transaction import writing

log = logging.getLogger(__name__)

KEY_FILE = ".duplistatus.key"
KEY_BYTES = 32
SALT_BYTES, IV_BYTES, TAG_BYTES = 32, 12, 16
ROUNDS = 100_000
FINGERPRINT = "master_key_fingerprint"
STORED_FORM = re.compile(r"[0-9a-f]{64}:[0-9a-f]{24}:[0-9a-f]{32}:(?:[0-9a-f]{2})*")


class Undecryptable(AppError):
    """A stored secret does not belong to the present key file."""

    status = 500


class KeyUnusable(AppError):
    """The key file is missing, unreadable or not a key."""

    status = 500


def ensure_key(data_dir: Path) -> Path:
    """Make the key file where there is none, readable by its owner alone; put wider permissions right.

    Raises KeyUnusable when the file is there and is no key.
    """
    path = data_dir / KEY_FILE
    if not path.exists():
        _make_key(path)
    if path.stat().st_mode & 0o777 != 0o400:
        log.warning("%s was open to others or to writing; it is now readable by its owner only", path.name)
        path.chmod(0o400)
    read_key(path)
    return path


def encrypt(text: str) -> str:
    """Encrypt a secret for storage; the empty text stays empty."""
    return seal(text) if text else ""


def seal(text: str) -> str:
    """Encrypt a secret for storage, also an empty one: a password that is empty is not one that is missing."""
    salt, iv = randomness.token_bytes(SALT_BYTES), randomness.token_bytes(IV_BYTES)
    sealed = AESGCM(_derive(_key(), salt)).encrypt(iv, text.encode(), None)
    return ":".join(part.hex() for part in (salt, iv, sealed[-TAG_BYTES:], sealed[:-TAG_BYTES]))


def decrypt(text: str) -> str:
    """Give a stored secret in clear; the empty text stays empty. Raises Undecryptable."""
    return decrypt_with(_key(), text) if text else ""


def decrypt_with(key: bytes, text: str) -> str:
    """Give a secret in clear that was stored under another key file, of which `key` is the content."""
    if not is_encrypted(text):
        raise Undecryptable("A stored secret has an unknown form")
    salt, iv, tag, ciphertext = (bytes.fromhex(part) for part in text.split(":"))
    try:
        return AESGCM(_derive(key, salt)).decrypt(iv, ciphertext + tag, None).decode()
    except (InvalidTag, UnicodeDecodeError) as error:
        raise Undecryptable("A stored secret was encrypted with another master key; please enter it again") from error


def is_encrypted(value: Any) -> bool:
    """Whether a value has the form of a stored secret."""
    return isinstance(value, str) and STORED_FORM.fullmatch(value) is not None


def fingerprint() -> str:
    """What a key file is known by: SHA-256 of its bytes, as hex."""
    return fingerprint_of(_key())


def fingerprint_of(key: bytes) -> str:
    """The fingerprint of the content of a key file."""
    return hashlib.sha256(key).hexdigest()


def check_key(user_id: str, username: str, *, now: datetime) -> bool:
    """Find out at a sign-in whether the key file was exchanged; if so, drop the secrets that it cannot open.

    True only when it was. Nothing else is lost with the secrets. Trouble with the file itself is recorded and
    changes nothing, since it may pass.
    """
    try:
        present, stored = fingerprint(), configuration.get(FINGERPRINT)
        if stored == present:
            return False
        if stored is None and _opens_something():
            configuration.save(FINGERPRINT, present, now=now)
            return False
    except (KeyUnusable, OSError) as error:
        details = {"user_id": user_id, "username": username, "error": str(error)}
        record_entry("master_key_check_failed", "system", now=now, status="error", details=details)
        return False
    with writing():
        _drop_unreadable()
        configuration.save(FINGERPRINT, present, now=now)
        details = {
            "user_id": user_id,
            "username": username,
            "action": "passwords_cleared",
            "reason": "the master key file is another one than before",
        }
        record_entry("master_key_changed", "system", now=now, actor=SYSTEM, details=details)
    log.warning("the master key has changed: stored secrets that it cannot open were removed")
    return True


def _opens_something() -> bool:
    """Whether the key opens one of the stored secrets; with none stored every key will do."""
    stored = [text for server in _servers_with_secrets() for text in secrets_of(server)]
    stored += [value for channel in _channels() for value in channel.settings.values() if is_encrypted(value)]
    return not stored or any(_opens(text) for text in stored)


def _drop_unreadable() -> None:
    for server in _servers_with_secrets():
        if not _opens(server.encrypted_password):
            server.encrypted_password = ""
        if not _opens(server.encrypted_headers):
            server.encrypted_headers = ""
    for channel in _channels():
        channel.settings = {
            name: "" if is_encrypted(value) and not _opens(value) else value for name, value in channel.settings.items()
        }


def _opens(text: str) -> bool:
    try:
        decrypt(text)
    except Undecryptable:
        return False
    return True


def secrets_of(server: Server) -> list[str]:
    """Return what is stored encrypted with a server."""
    return [text for text in (server.encrypted_password, server.encrypted_headers) if text]


def _servers_with_secrets() -> list[Server]:
    is_secret = or_(Server.encrypted_password != "", Server.encrypted_headers != "")
    return list(db.session.scalars(select(Server).where(is_secret)))


def _channels() -> list[Channel]:
    return list(db.session.scalars(select(Channel)))


def _key() -> bytes:
    return read_key(settings().data_dir / KEY_FILE)


def read_key(path: Path) -> bytes:
    """The content of a key file. Raises KeyUnusable."""
    try:
        key = path.read_bytes()
    except OSError as error:
        raise KeyUnusable(f"The master key file {path.name} cannot be read") from error
    if len(key) != KEY_BYTES:
        raise KeyUnusable(f"The master key file {path.name} has to hold {KEY_BYTES} bytes, it holds {len(key)}")
    return key


def _make_key(path: Path) -> None:
    # Linking a finished file: of two processes that start at once one wins, and neither reads half a key.
    handle, draft = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(randomness.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    Path(draft).chmod(0o400)
    try:
        os.link(draft, path)
        log.info("made a new master key: %s", path.name)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()


@lru_cache(maxsize=256)
def _derive(key: bytes, salt: bytes) -> bytes:
    """The key of one value. Kept in memory, since a hundred thousand rounds take some 30 ms."""
    return hashlib.pbkdf2_hmac("sha256", key, salt, ROUNDS, KEY_BYTES)
