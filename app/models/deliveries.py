"""The outbox and its history."""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Bounded, Instant, Json, RowId, UuidText


class DeliveryState(StrEnum):
    """Where a delivery stands. QUEUED covers the first try and every further one."""

    QUEUED = "queued"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Urgency(IntEnum):
    """What a message may do in the quiet hours of its channel: wait, pass where trouble may, or pass everywhere."""

    USUAL = 0
    TROUBLE = 1
    AT_ONCE = 2


class Delivery(Model):
    """One message for one destination of one channel; the unique key lets each event be told there once.

    `target` is empty for the channel's own destination. `payload` holds the rendered message. While a worker sends,
    `claimed_until` says when another may take over, so that a crash loses nothing. In a queued row it says until
    when the server asks not to be called, which may be longer than we would wait.
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
