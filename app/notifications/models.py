"""Database models of notification channels and deliveries."""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.orm import Bounded, Instant, Json, Model, RowId, UuidText


class Channel(Model):
    """A configured channel of a plugin; secrets in `settings` are encrypted.

    The channel whose name equals its kind is the standard one, which the original's settings describe.
    """

    __tablename__ = "channels"
    __table_args__ = (UniqueConstraint("kind", "name"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(Bounded(64))
    name: Mapped[str] = mapped_column(Bounded(64))
    is_enabled: Mapped[bool] = mapped_column(default=True, server_default="1")
    settings: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}")
    # Local times `HH:MM` between which messages wait, unless they are urgent and allowed.
    quiet_from: Mapped[str | None] = mapped_column(Bounded(5))
    quiet_until: Mapped[str | None] = mapped_column(Bounded(5))
    quiet_lets_trouble_pass: Mapped[bool] = mapped_column(default=False, server_default="0")
    # Since when deliveries fail and why, and when other channels were notified of it.
    failing_since_at: Mapped[datetime | None] = mapped_column(Instant)
    failing_error: Mapped[str | None] = mapped_column(Text)
    failure_told_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


# Deliveries: outbox and history.


class DeliveryState(StrEnum):
    """State of a delivery. QUEUED covers the first attempt and every retry."""

    QUEUED = "queued"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Urgency(IntEnum):
    """Whether a message waits during quiet hours.

    USUAL ones wait, URGENT ones pass where the channel allows it, AT_ONCE ones always pass.
    """

    USUAL = 0
    URGENT = 1
    AT_ONCE = 2


class Delivery(Model):
    """One message for one destination of a channel; unique per event and destination.

    `target` is empty for the channel's own destination. `payload` holds the rendered message. While a worker sends,
    `claimed_until` says when another may take over, so that a crash loses nothing. In a queued row it says until when
    the server asks not to be called, which may be longer than our own wait.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("event_key", "channel_id", "target"),
        Index("ix_deliveries_state_next_attempt_at", "state", "next_attempt_at"),
        Index("ix_deliveries_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(UuidText)
    event: Mapped[str] = mapped_column(Bounded(32))
    event_key: Mapped[str] = mapped_column(Text)
    channel_id: Mapped[int] = mapped_column(RowId, ForeignKey("channels.id", ondelete="CASCADE"))
    job_id: Mapped[int | None] = mapped_column(RowId, ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    target: Mapped[str] = mapped_column(Text, default="", server_default="")
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    state: Mapped[str] = mapped_column(Bounded(16), default=DeliveryState.QUEUED)
    urgency: Mapped[int] = mapped_column(default=Urgency.USUAL, server_default="0")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    next_attempt_at: Mapped[datetime] = mapped_column(Instant)
    claimed_until: Mapped[datetime | None] = mapped_column(Instant)
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
