"""API keys: create, find, enable and check them.

Only a hash of the secret is stored.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from sqlalchemy import select

from app.accounts.models import ApiKey
from app.audit.log import SYSTEM, Actor, record_entry, save_group
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, SettingGroup, declare
from app.plugin.marking import N_

REQUIRES_API_KEYS = declare(
    Setting(
        "requires_api_keys",
        bool,
        default=False,
        wire="required",
        attribute="is_required",
        is_required=True,
        label=N_("Require API keys"),
    )
)
REQUIREMENT = SettingGroup("api_key_requirement_updated", "requires_api_keys", (REQUIRES_API_KEYS,))


SCOPES = ("upload", "read", "admin")
LONGEST_NAME = 100
USE_NOTED_EVERY = timedelta(minutes=1)


class KeyStatus(Enum):
    """Result of checking the key of a request."""

    ABSENT = "absent"
    GOOD = "good"
    BAD = "bad"
    WRONG_SCOPE = "wrong scope"


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Result of checking a secret; `key` is the key that it belongs to if it is valid."""

    status: KeyStatus
    key: ApiKey | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just created; the secret is not available later."""

    key: ApiKey
    secret: str


def create_key(
    name: str, scope: str, *, now: datetime, expires_at: datetime | None = None, actor: Actor = SYSTEM
) -> NewKey:
    """Create a key. Raise Refused for a blank or overlong name or an unknown scope."""
    if not name.strip():
        raise Refused("key_name_missing", "name")
    if len(name.strip()) > LONGEST_NAME:
        raise Refused("key_name_too_long", "name", most=LONGEST_NAME)
    if scope not in SCOPES:
        raise Refused("key_scope_unknown", "scope", scopes=", ".join(SCOPES))
    secret = secrets.token_urlsafe(32)
    with writing() as session:
        key = ApiKey(
            name=name.strip(),
            scope=scope,
            secret_hash=_hash(secret),
            fingerprint=f"{secret[:4]}…{secret[-4:]}",
            expires_at=expires_at,
            created_by=actor.username,
            created_at=now,
        )
        session.add(key)
        session.flush()
        _audit("api_key_created", key, now, actor)
    return NewKey(key, secret)


def list_keys() -> list[ApiKey]:
    """Return all keys, oldest first."""
    return list(db.session.scalars(select(ApiKey).order_by(ApiKey.id)))


def find_key(key_id: int) -> ApiKey:
    """Return a key by its id. Raise Refused (404)."""
    key = db.session.get(ApiKey, key_id)
    if key is None:
        raise Refused("key_not_found")
    return key


def set_enabled(key_id: int, is_enabled: bool, *, now: datetime, actor: Actor = SYSTEM) -> ApiKey:
    """Enable or disable a key. Raise Refused (404), and Refused to enable an expired key."""
    with writing():
        key = find_key(key_id)
        if is_enabled and key.is_expired(now):
            raise Refused("key_expired")
        key.is_enabled = is_enabled
        _audit("api_key_enabled" if is_enabled else "api_key_disabled", key, now, actor)
    return key


def delete_key(key_id: int, *, now: datetime, actor: Actor = SYSTEM) -> None:
    """Delete a key. Raise Refused (404)."""
    with writing() as session:
        key = find_key(key_id)
        _audit("api_key_deleted", key, now, actor)
        session.delete(key)


def end_of(last_day: date, zone: ZoneInfo, now: datetime) -> datetime:
    """Return when a key with this last valid day expires.

    It is the next midnight of the zone, in UTC. Raise Refused for a day in the past and for the last day of the
    calendar.
    """
    if last_day == date.max:
        raise Refused("key_day_too_late", "last_valid_day")
    ends_at = datetime.combine(last_day + timedelta(days=1), time.min, zone).astimezone(UTC)
    if ends_at <= now:
        raise Refused("key_day_passed", "last_valid_day")
    return ends_at


def are_required() -> bool:
    """Whether API keys are required for sending reports and reading."""
    return settings_store.read(REQUIRES_API_KEYS)


def require(is_required: bool, *, now: datetime, actor: Actor = SYSTEM) -> None:
    """Set whether API keys are required."""
    save_group(REQUIREMENT, {REQUIRES_API_KEYS.key: is_required}, actor=actor, now=now)


def check_key(secret: str | None, scope: str, *, now: datetime, ip_address: str | None) -> KeyCheck:
    """Check a secret for a scope.

    The use of a valid key is recorded, at most once a minute.
    """
    if not secret:
        return KeyCheck(KeyStatus.ABSENT)
    # Found by hash, so the time of the look-up reveals nothing about the secret.
    key = db.session.scalar(select(ApiKey).where(ApiKey.secret_hash == _hash(secret)))
    if key is None or not key.is_enabled or key.is_expired(now):
        return KeyCheck(KeyStatus.BAD)
    if key.scope != scope:
        return KeyCheck(KeyStatus.WRONG_SCOPE)
    if key.last_used_at is None or now - key.last_used_at >= USE_NOTED_EVERY:
        with writing():
            key.last_used_at = now
            key.last_used_ip = ip_address
    return KeyCheck(KeyStatus.GOOD, key)


def key_status(secret: str | None, scope: str, *, now: datetime, ip_address: str | None) -> KeyStatus:
    """Return the status alone of `check_key`."""
    return check_key(secret, scope, now=now, ip_address=ip_address).status


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _audit(action: str, key: ApiKey, now: datetime, actor: Actor) -> None:
    details = {"name": key.name, "scope": key.scope, "fingerprint": key.fingerprint}
    record_entry(action, "config", now=now, actor=actor, target_type="api_key", target_id=str(key.id), details=details)
