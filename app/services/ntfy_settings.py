"""The standard ntfy destination, as the reference's settings speak of it; stored like every channel."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from app.services import channels
from app.services.audit import Actor, record_entry
from app.services.channels import NTFY
from app.services.transaction import writing


@dataclass(frozen=True, slots=True)
class NtfySettings:
    """Server and topic, and whether there is a token; the token itself stays where it is."""

    url: str
    topic: str
    has_token: bool


def read() -> NtfySettings:
    """The standard destination; the public server and no topic where somebody deleted it."""
    row = channels.standard(NTFY)
    stored = {} if row is None else row.settings
    url = str(stored.get("url") or channels.DEFAULT_NTFY_URL)
    return NtfySettings(url, str(stored.get("topic") or ""), bool(stored.get("token")))


def topic_address() -> str | None:
    """Where the messages of the standard destination can be read; None while it has no topic."""
    stored = read()
    return f"{stored.url.rstrip('/')}/{quote(stored.topic, safe='')}" if stored.topic else None


def save(values: Mapping[str, Any], *, actor: Actor, now: datetime) -> NtfySettings:
    """Store server, topic and token; one that is not named stays, and a blank topic becomes a random one.

    Raises AppError for a server or topic that cannot be right.
    """
    with writing():
        before = read()
        topic = (values.get("topic", before.topic) or "").strip() or channels.random_topic()
        channels.save_settings(NTFY, NTFY, {"url": before.url, **values, "topic": topic}, now=now)
        after = read()
        if before != after:
            record_entry(
                "ntfy_config_updated",
                "config",
                now=now,
                actor=actor,
                target_type="configuration",
                target_id="ntfy_config",
                details={"changes": _changes(before, after)},
            )
    return after


def _changes(before: NtfySettings, after: NtfySettings) -> dict[str, Any]:
    names = {"url": "url", "topic": "topic", "has_token": "hasAccessToken"}
    pairs = {wire: (getattr(before, name), getattr(after, name)) for name, wire in names.items()}
    return {wire: {"old": old, "new": new} for wire, (old, new) in pairs.items() if old != new}
