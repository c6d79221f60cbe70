"""Whether an address still means the server that it meant before: what was kept for one must not reach another."""

import hashlib
import logging
import os
import re
import secrets as randomness
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import or_, select

from app.audit.log import SYSTEM, Actor, AuditEntry, record_entry
from app.backups.models import Server
from app.core.db.extensions import db
from app.core.db.transaction import writing
from app.core.settings import store as settings_store
from app.notifications.models import Channel
from app.plugin import AppError
from app.plugin.errors import Conflict
from app.runtime import settings

DEFAULT_PORTS = {"http": 80, "https": 443}


def leads_elsewhere(before: str, after: str) -> bool:
    """Whether what is sent to an address reaches another server now, or the same one without TLS.

    Addresses are URLs or bare host names. The path does not count, and neither does a change from http to https, each
    at its usual port. An address that cannot be read leads elsewhere, unless it stayed as it was.
    """
    if before.strip() == after.strip():
        return False
    try:
        old_scheme, *old_place = _parts(before)
        new_scheme, *new_place = _parts(after)
    except ValueError:
        return True
    is_upgrade = (old_scheme, new_scheme) == ("http", "https")
    if is_upgrade and (old_place[1], new_place[1]) == (DEFAULT_PORTS["http"], DEFAULT_PORTS["https"]):
        return old_place[0] != new_place[0]
    return old_place != new_place or not (is_upgrade or old_scheme == new_scheme)


def _parts(address: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; a bare host name has neither scheme nor port. Raises ValueError."""
    text = address.strip()
    parts = urlsplit(text if "://" in text else f"//{text}")
    if not parts.hostname:
        raise ValueError("the URL has no host")
    return parts.scheme, parts.hostname.rstrip("."), parts.port or DEFAULT_PORTS.get(parts.scheme)


# Secrets at rest: AES-256-GCM under a key file of the data directory, in the reference's own format.
#
# A stored secret reads `hex(salt):hex(iv):hex(tag):hex(ciphertext)`; its key comes from the key file and the salt by
# PBKDF2. So a database of the reference, imported together with its key file, keeps its secrets.

log = logging.getLogger(__name__)

KEY_FILE = ".duplistatus.key"
# The setting that holds a token: `services.external_monitor`.
MONITOR = "external_monitor"
KEY_BYTES = 32
SALT_BYTES, IV_BYTES, TAG_BYTES = 32, 12, 16
ROUNDS = 100_000
FINGERPRINT = "master_key_fingerprint"
# The fingerprint of a key that nobody has seen: stands for it where only the secrets are left.
UNKNOWN = "0" * 64
CHANGED = "master_key_changed"
STORED_FORM = re.compile(r"[0-9a-f]{64}:[0-9a-f]{24}:[0-9a-f]{32}:(?:[0-9a-f]{2})*")


class Undecryptable(AppError):
    """A stored secret does not belong to the present key file."""

    status = 500


class KeyUnusable(Undecryptable):
    """The key file is missing, unreadable or not a key: nothing can be opened, and nothing can be encrypted."""

    status = 503


MISSING, UNUSABLE, OTHER = "missing", "unusable", "other"
# What to do about each of them.
REMEDY = (
    "put the right one back, or give the stored passwords up in the settings under Database maintenance "
    "or by `duplistatus secrets give-up`"
)


@dataclass(frozen=True, slots=True)
class KeyTrouble:
    """What is wrong with the key file: `missing`, `unusable` (no key), or `other` than the one of stored secrets.

    `owners` are the servers and channels whose secrets cannot be opened.
    """

    state: str
    sentence: str
    owners: tuple[str, ...]


def ensure_key(data_dir: Path) -> Path:
    """Make the key file where there is none, readable by its owner alone; put wider permissions right.

    Raises KeyUnusable when the file is there and is no key.
    """
    path = data_dir / KEY_FILE
    if not path.exists():
        _make_key(path)
    if path.is_file() and path.stat().st_mode & 0o777 != 0o400:
        log.warning("permissions of %s were too open; it is now readable by its owner only", path.name)
        path.chmod(0o400)
    read_key(path)
    return path


def prepare_key(data_dir: Path) -> None:
    """See to the key file at a start, within the application; what is wrong with it is logged and stops nothing.

    A new key is made only where nothing is stored that needs the old one.
    """
    try:
        if (data_dir / KEY_FILE).exists() or not _stored():
            ensure_key(data_dir)
    except (KeyUnusable, OSError):
        pass  # logged below
    if (trouble := find_trouble()) is not None:
        log.error("%s", trouble.sentence)


def find_trouble() -> KeyTrouble | None:
    """What is wrong with the key file, as things stand; None while all is well, or no secret is concerned."""
    try:
        present, stored = fingerprint(), settings_store.get(FINGERPRINT)
    except KeyUnusable as error:
        state = UNUSABLE if (settings().data_dir / KEY_FILE).exists() else MISSING
        return KeyTrouble(state, f"{error.message}: {REMEDY}", _owners(_stored()))
    closed = [] if stored in (None, present) else _unreadable()
    if not closed:
        return None
    owners = _owners(closed)
    sentence = f"The master key file {KEY_FILE} has changed and cannot decrypt the secrets of {', '.join(owners[:10])}"
    return KeyTrouble(OTHER, f"{sentence}: {REMEDY}", owners)


def give_up(*, actor: Actor, now: datetime) -> tuple[str, ...]:
    """Clear the stored secrets that the key file cannot open, and make a new key where there is none.

    Returns whose they were. Raises Conflict while there is nothing to give up.
    """
    trouble = find_trouble()
    if trouble is None:
        raise Conflict("The key file decrypts all stored secrets: there is nothing to clear")
    path = settings().data_dir / KEY_FILE
    if trouble.state == UNUSABLE:
        path.rename(path.with_name(f"{KEY_FILE}.unusable-{now:%Y-%m-%dT%H-%M-%S}"))
    if trouble.state != OTHER:
        ensure_key(settings().data_dir)
    with writing():
        _drop_unreadable(now)
        settings_store.save(FINGERPRINT, fingerprint(), now=now)
        details = {"action": "passwords_cleared", "reason": trouble.sentence, "owners": list(trouble.owners)}
        record_entry(CHANGED, "system", now=now, actor=actor, details=details)
    log.warning("cleared the stored secrets that the key file cannot decrypt")
    return trouble.owners


def encrypt(text: str) -> str:
    """Encrypt a secret for storage; the empty text stays empty. Raises KeyUnusable."""
    return seal(text) if text else ""


def seal(text: str) -> str:
    """Encrypt a secret for storage, also an empty one: a password that is empty is not one that is missing.

    Raises KeyUnusable.
    """
    salt, iv = randomness.token_bytes(SALT_BYTES), randomness.token_bytes(IV_BYTES)
    try:
        key = _key()
    except KeyUnusable as error:
        raise KeyUnusable(f"{error.message}: {REMEDY}") from error
    sealed = AESGCM(_derive(key, salt)).encrypt(iv, text.encode(), None)
    return ":".join(part.hex() for part in (salt, iv, sealed[-TAG_BYTES:], sealed[:-TAG_BYTES]))


def decrypt(text: str) -> str:
    """Give a stored secret in clear; the empty text stays empty. Raises Undecryptable."""
    return decrypt_with(_key(), text) if text else ""


def decrypt_with(key: bytes, text: str) -> str:
    """Give a secret in clear that was stored under another key file, of which `key` is the content."""
    if not is_encrypted(text):
        raise Undecryptable("A stored secret has an unknown format")
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
    """Find out at a sign-in whether the key file was exchanged; what it cannot open is kept until it is given up.

    True as long as it is another one than that of stored secrets. Trouble with the file itself is recorded and changes
    nothing, since it may pass.
    """
    try:
        present, stored = fingerprint(), settings_store.get(FINGERPRINT)
        if stored == present:
            return False
        if stored is None and _opens_something():
            settings_store.save(FINGERPRINT, present, now=now)
            return False
    except (KeyUnusable, OSError) as error:
        details = {"user_id": user_id, "username": username, "error": str(error)}
        record_entry("master_key_check_failed", "system", now=now, status="error", details=details)
        return False
    is_kept = bool(_unreadable())
    with writing() as session:
        if not is_kept or stored is None:
            settings_store.save(FINGERPRINT, UNKNOWN if is_kept else present, now=now)
        newest = select(AuditEntry.details).where(AuditEntry.action == CHANGED).order_by(AuditEntry.id.desc()).limit(1)
        told = session.scalar(newest) or {}
        if told.get("fingerprint") != present:
            details = {
                "user_id": user_id,
                "username": username,
                "action": "passwords_kept" if is_kept else "nothing_to_clear",
                "reason": "the master key file is another one than before",
                "fingerprint": present,
            }
            record_entry(CHANGED, "system", now=now, actor=SYSTEM, details=details)
    if is_kept:
        log.warning("the master key has changed: stored secrets that it cannot decrypt are kept until they are cleared")
    return True


def _opens_something() -> bool:
    """Whether the key opens one of the stored secrets; with none stored every key will do."""
    stored = _stored()
    return not stored or any(_opens(text) for _owner, text in stored)


def unreadable_owners() -> tuple[str, ...]:
    """The servers, channels and others whose secrets the key does not open. Raises KeyUnusable."""
    return _owners(_unreadable())


def _unreadable() -> list[tuple[str, str]]:
    return [(owner, text) for owner, text in _stored() if not _opens(text)]


def _stored() -> list[tuple[str, str]]:
    """All stored secrets with what people call their owner."""
    found = [(server.display_name, text) for server in _servers_with_secrets() for text in secrets_of(server)]
    for channel in _channels():
        found += [(channel.name, value) for value in channel.settings.values() if is_encrypted(value)]
    if token := settings_store.get(MONITOR).get("token"):
        found.append(("the external monitor", token))
    return found


def _owners(stored: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(owner for owner, _text in stored))


def _drop_unreadable(now: datetime) -> None:
    for server in _servers_with_secrets():
        if not _opens(server.encrypted_password):
            server.encrypted_password = ""
        if not _opens(server.encrypted_headers):
            server.encrypted_headers = ""
    for channel in _channels():
        channel.settings = {
            name: "" if is_encrypted(value) and not _opens(value) else value for name, value in channel.settings.items()
        }
    monitor = settings_store.get(MONITOR)
    if not _opens(monitor.get("token", "")):
        settings_store.save(MONITOR, monitor | {"token": ""}, now=now)


def _opens(text: str) -> bool:
    return not text or _opens_with(_key(), text)


@lru_cache(maxsize=4096)
def _opens_with(key: bytes, text: str) -> bool:
    """Whether a key opens a secret. Kept in memory: every page of an administrator asks while a key is wrong."""
    try:
        decrypt_with(key, text)
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
        trouble = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise KeyUnusable(f"The master key file {path.name} {trouble}") from error
    if len(key) != KEY_BYTES:
        raise KeyUnusable(f"The master key file {path.name} must contain {KEY_BYTES} bytes, but contains {len(key)}")
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
        log.info("created a new master key: %s", path.name)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()


@lru_cache(maxsize=256)
def _derive(key: bytes, salt: bytes) -> bytes:
    """The key of one value. Kept in memory, since a hundred thousand rounds take some 30 ms."""
    return hashlib.pbkdf2_hmac("sha256", key, salt, ROUNDS, KEY_BYTES)
