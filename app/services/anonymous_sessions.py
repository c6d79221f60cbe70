"""Sessions of people who have not signed in. Their cookie holds all of it, so that nothing is stored for a visit.

The id reads like that of a stored session, 32 bytes in hex: when it began, random bytes, and a signature of both. A
CSRF token is a signature of the id and of a period; the periods are as long as tokens are handed out.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from app.services import configuration
from app.services.session_store import LIFETIME, TOKEN_LIFETIME, TOKEN_RESERVE, StoredSession, hash_of

KEY_SETTING = "anonymous_session_key"
BEGAN_BYTES, RANDOM_BYTES, SIGNATURE_BYTES = 4, 12, 16
PERIOD = TOKEN_LIFETIME - TOKEN_RESERVE


def ensure_key(now: datetime) -> None:
    """Make the key of the signatures where there is none. All processes share it."""
    if not configuration.get(KEY_SETTING):
        configuration.save(KEY_SETTING, secrets.token_hex(32), now=now)


def begin(now: datetime) -> str:
    """A new id, for the cookie."""
    content = int(now.timestamp()).to_bytes(BEGAN_BYTES) + secrets.token_bytes(RANDOM_BYTES)
    return (content + _sign(content)).hex()


def find(session_id: str, now: datetime) -> StoredSession | None:
    """The session of an id with a token that is good for a while; None for an id that is not ours or has expired."""
    return next(with_tokens(session_id, now), None)


def with_tokens(session_id: str, now: datetime) -> Iterator[StoredSession]:
    """The session with each token that may still come with a form, the newest first."""
    began_at = _read_beginning(session_id)
    if began_at is None or abs(now - began_at) >= LIFETIME:
        return
    period = max(0, (now - began_at) // PERIOD)
    for number in (period, period - 1):
        expires_at = began_at + number * PERIOD + TOKEN_LIFETIME
        if number >= 0 and expires_at > now:
            token = _sign(f"token {number} {session_id}".encode(), size=32).hex()
            yield StoredSession(
                id_hash=hash_of(session_id),
                user=None,
                last_accessed_at=now,
                csrf_token=token,
                csrf_expires_at=expires_at,
                expires_at=began_at + LIFETIME,
                data={},
                is_stored=False,
            )


def _read_beginning(session_id: str) -> datetime | None:
    """When the session of an id began; None unless we have signed it."""
    try:
        sent = bytes.fromhex(session_id)
    except ValueError:
        return None
    content, signature = sent[:-SIGNATURE_BYTES], sent[-SIGNATURE_BYTES:]
    if len(content) != BEGAN_BYTES + RANDOM_BYTES or not hmac.compare_digest(signature, _sign(content)):
        return None
    return datetime.fromtimestamp(int.from_bytes(content[:BEGAN_BYTES]), UTC)


def _sign(content: bytes, *, size: int = SIGNATURE_BYTES) -> bytes:
    # Hashed first: a restored database may hold a key of any length, or none until the next start.
    key = hashlib.sha256(str(configuration.get(KEY_SETTING)).encode()).digest()
    return hashlib.blake2b(content, key=key, digest_size=size).digest()
