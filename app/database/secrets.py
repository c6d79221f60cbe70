"""Secrets at rest: encryption, the key file, and which server a stored secret belongs to."""

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
from marshmallow import fields, validate
from sqlalchemy import or_, select

from app.audit.log import SYSTEM, Actor, AuditEntry, record_entry
from app.backups.models import Server
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, declare
from app.notifications.models import Channel
from app.runtime import settings

KEY_FINGERPRINT = declare(
    Setting(
        "master_key_fingerprint", str, default=None, shape=fields.String(validate=validate.Regexp(r"[0-9a-f]{64}\Z"))
    )
)


DEFAULT_PORTS = {"http": 80, "https": 443}


def is_other_server(before: str, after: str) -> bool:
    """Whether requests to a URL now reach another server, or the same one without TLS.

    Addresses are URLs or bare host names. The path does not matter, nor does a change from http to https with default
    ports. An invalid address leads elsewhere, unless it is unchanged.
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
    """Return scheme, host and port; a bare host name has neither scheme nor port.

    Raises ValueError.
    """
    text = address.strip()
    parts = urlsplit(text if "://" in text else f"//{text}")
    if not parts.hostname:
        raise ValueError("the URL has no host")
    return parts.scheme, parts.hostname.rstrip("."), parts.port or DEFAULT_PORTS.get(parts.scheme)


# Encryption: AES-256-GCM with a key file in the data directory, in the format of the original.
#
# A stored secret is `hex(salt):hex(iv):hex(tag):hex(ciphertext)`; its key is derived from key file and salt by PBKDF2.
# So a database of the original, imported with its key file, keeps its secrets.

log = logging.getLogger(__name__)

KEY_FILE = ".duplistatus.key"
# Setting that holds a token: `external_monitor`.
MONITOR = "external_monitor"
KEY_BYTES = 32
SALT_BYTES, IV_BYTES, TAG_BYTES = 32, 12, 16
ROUNDS = 100_000
FINGERPRINT = "master_key_fingerprint"
# Placeholder fingerprint for an unknown key, where only encrypted secrets are left.
UNKNOWN = "0" * 64
CHANGED = "master_key_changed"
STORED_FORM = re.compile(r"[0-9a-f]{64}:[0-9a-f]{24}:[0-9a-f]{32}:(?:[0-9a-f]{2})*")


class Undecryptable(Refused):
    """A stored secret was encrypted with another key file."""


class KeyUnusable(Undecryptable):
    """The key file is missing, unreadable or invalid: nothing can be decrypted or encrypted."""


MISSING, UNUSABLE, OTHER = "missing", "unusable", "other"
# Advice for each problem.
REMEDY = (
    "put the right one back, or give the stored passwords up in the settings under Database maintenance "
    "or by `duplistatus secrets give-up`"
)


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """Problem of the key file.

    `missing`, `unusable` (not a key), or `other` than that of the secrets.

    `owners` are the servers and channels whose secrets cannot be decrypted.
    """

    state: str
    sentence: str
    owners: tuple[str, ...]


def ensure_key(data_dir: Path) -> Path:
    """Create the key file if missing, readable by its owner only.

    Wider permissions are tightened. Raises KeyUnusable if the file exists but is not a key.
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
    """Prepare the key file at the start of the application.

    Problems are logged and do not stop it. A new key is created only if no stored secret needs the old one.
    """
    try:
        if (data_dir / KEY_FILE).exists() or not _stored():
            ensure_key(data_dir)
    except (KeyUnusable, OSError):
        pass  # logged below
    if (problem := find_key_problem()) is not None:
        log.error("%s", problem.sentence)


def find_key_problem() -> KeyProblem | None:
    """Return the current problem of the key file.

    None if the file is OK or no secret is affected.
    """
    try:
        present, stored = fingerprint(), settings_store.get(FINGERPRINT)
    except KeyUnusable as error:
        state = UNUSABLE if (settings().data_dir / KEY_FILE).exists() else MISSING
        return KeyProblem(state, f"{error.message}: {REMEDY}", _owners(_stored()))
    closed = [] if stored in (None, present) else _unreadable()
    if not closed:
        return None
    owners = _owners(closed)
    sentence = f"The master key file {KEY_FILE} has changed and cannot decrypt the secrets of {', '.join(owners[:10])}"
    return KeyProblem(OTHER, f"{sentence}: {REMEDY}", owners)


def clear_unreadable(*, actor: Actor, now: datetime) -> tuple[str, ...]:
    """Clear the stored secrets that cannot be decrypted, and create a missing key file.

    Returns their owners. Raises Refused (409) if there are none.
    """
    problem = find_key_problem()
    if problem is None:
        raise Refused("no_secrets_to_clear")
    path = settings().data_dir / KEY_FILE
    if problem.state == UNUSABLE:
        path.rename(path.with_name(f"{KEY_FILE}.unusable-{now:%Y-%m-%dT%H-%M-%S}"))
    if problem.state != OTHER:
        ensure_key(settings().data_dir)
    with writing():
        _drop_unreadable(now)
        settings_store.save(FINGERPRINT, fingerprint(), now=now)
        details = {"action": "passwords_cleared", "reason": problem.sentence, "owners": list(problem.owners)}
        record_entry(CHANGED, "system", now=now, actor=actor, details=details)
    log.warning("cleared the stored secrets that the key file cannot decrypt")
    return problem.owners


def encrypt(text: str) -> str:
    """Encrypt a secret for storage; an empty text stays empty. Raises KeyUnusable."""
    return encrypt_any(text) if text else ""


def encrypt_any(text: str) -> str:
    """Encrypt a secret for storage, even an empty one: an empty password is not a missing one.

    Raises KeyUnusable.
    """
    salt, iv = randomness.token_bytes(SALT_BYTES), randomness.token_bytes(IV_BYTES)
    try:
        key = _key()
    except KeyUnusable as error:
        raise KeyUnusable("key_file_needed", reason=error, remedy=REMEDY) from error
    sealed = AESGCM(_derive(key, salt)).encrypt(iv, text.encode(), None)
    return ":".join(part.hex() for part in (salt, iv, sealed[-TAG_BYTES:], sealed[:-TAG_BYTES]))


def decrypt(text: str) -> str:
    """Decrypt a stored secret; an empty text stays empty. Raises Undecryptable."""
    return decrypt_with(_key(), text) if text else ""


def decrypt_with(key: bytes, text: str) -> str:
    """Decrypt a secret stored with another key file, of which `key` is the content."""
    if not is_encrypted(text):
        raise Undecryptable("secret_format_unknown")
    salt, iv, tag, ciphertext = (bytes.fromhex(part) for part in text.split(":"))
    try:
        return AESGCM(_derive(key, salt)).decrypt(iv, ciphertext + tag, None).decode()
    except (InvalidTag, UnicodeDecodeError) as error:
        raise Undecryptable("secret_of_another_key") from error


def is_encrypted(value: Any) -> bool:
    """Whether a value has the format of an encrypted secret."""
    return isinstance(value, str) and STORED_FORM.fullmatch(value) is not None


def fingerprint() -> str:
    """Return the fingerprint of the key file: SHA-256 of its bytes, as hex."""
    return fingerprint_of(_key())


def fingerprint_of(key: bytes) -> str:
    """Return the fingerprint of the content of a key file."""
    return hashlib.sha256(key).hexdigest()


def check_key(user_id: str, username: str, *, now: datetime) -> bool:
    """Check at sign-in whether the key file was exchanged.

    Secrets are kept until cleared. True as long as it is not the one that encrypted the stored secrets. Errors of the
    file itself are recorded and change nothing, since they may be temporary.
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
        recorded = session.scalar(newest) or {}
        if recorded.get("fingerprint") != present:
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
    """Whether the key decrypts one of the stored secrets; True if none are stored."""
    stored = _stored()
    return not stored or any(_opens(text) for _owner, text in stored)


def unreadable_owners() -> tuple[str, ...]:
    """Return the owners of secrets that the key does not decrypt. Raises KeyUnusable."""
    return _owners(_unreadable())


def _unreadable() -> list[tuple[str, str]]:
    return [(owner, text) for owner, text in _stored() if not _opens(text)]


def _stored() -> list[tuple[str, str]]:
    """Return all stored secrets with the display names of their owners."""
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
    """Whether a key decrypts a secret.

    Cached: every page of an administrator checks while the key is wrong.
    """
    try:
        decrypt_with(key, text)
    except Undecryptable:
        return False
    return True


def secrets_of(server: Server) -> list[str]:
    """Return the encrypted values stored with a server."""
    return [text for text in (server.encrypted_password, server.encrypted_headers) if text]


def _servers_with_secrets() -> list[Server]:
    is_secret = or_(Server.encrypted_password != "", Server.encrypted_headers != "")
    return list(db.session.scalars(select(Server).where(is_secret)))


def _channels() -> list[Channel]:
    return list(db.session.scalars(select(Channel)))


def _key() -> bytes:
    return read_key(settings().data_dir / KEY_FILE)


def read_key(path: Path) -> bytes:
    """Return the content of a key file. Raises KeyUnusable."""
    try:
        key = path.read_bytes()
    except OSError as error:
        code = "key_file_missing" if isinstance(error, FileNotFoundError) else "key_file_unreadable"
        raise KeyUnusable(code, name=path.name) from error
    if len(key) != KEY_BYTES:
        raise KeyUnusable("key_file_length", name=path.name, expected=KEY_BYTES, length=len(key))
    return key


def _make_key(path: Path) -> None:
    # Links a finished file: of two processes starting at once one wins, and neither reads half a key.
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
    """Derive the key of one value. Cached, since 100 000 rounds take about 30 ms."""
    return hashlib.pbkdf2_hmac("sha256", key, salt, ROUNDS, KEY_BYTES)
