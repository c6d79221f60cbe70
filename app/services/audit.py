"""The audit log: who did what. An entry is written in the transaction of the deed it tells of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.models import AuditEntry
from app.services.transaction import writing

REDACTED = "[REDACTED]"
SECRET_WORDS = ("password", "secret", "token", "apikey", "api_key", "sessionid", "session_id")
NOT_SECRET = frozenset({"must_change_password", "mustChangePassword", "hasPassword", "hasAccessToken"})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from where."""

    user_id: str | None = None
    username: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None


SYSTEM = Actor(username="system")


def record_entry(
    action: str,
    category: str,
    *,
    now: datetime,
    actor: Actor = SYSTEM,
    status: str = "success",
    target_type: str | None = None,
    target_id: str | None = None,
    details: Mapping[str, Any] | None = None,
    error_message: str | None = None,
) -> None:
    """Add one entry; joins the transaction that is open, else makes its own. Secrets in `details` are masked."""
    with writing() as session:
        session.add(
            AuditEntry(
                at=now,
                user_id=actor.user_id,
                username=actor.username,
                action=action,
                category=category,
                status=status,
                target_type=target_type,
                target_id=target_id,
                details=None if details is None else redact(details),
                ip_address=actor.ip_address,
                user_agent=actor.user_agent,
                error_message=error_message,
            )
        )


def redact(value: Any) -> Any:
    """Mask what stands under a key that speaks of a secret, however deep."""
    if isinstance(value, Mapping):
        return {key: REDACTED if _is_secret(str(key)) else redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _is_secret(key: str) -> bool:
    return key not in NOT_SECRET and any(word in key.lower() for word in SECRET_WORDS)
