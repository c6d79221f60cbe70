"""Configured notification channels: any number of instances of each kind."""

from datetime import datetime
from typing import Any

from sqlalchemy import Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Bounded, Instant, Json, RowId


class Channel(Model):
    """One instance of a channel plugin with its settings; secrets inside `settings` are encrypted.

    The instance whose name equals its kind is the standard one: the reference's settings speak of it.
    """

    __tablename__ = "channels"
    __table_args__ = (UniqueConstraint("kind", "name"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(Bounded(64))
    name: Mapped[str] = mapped_column(Bounded(64))
    is_enabled: Mapped[bool] = mapped_column(default=True, server_default="1")
    settings: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}")
    # Local times of day `HH:MM` between which messages wait, unless they tell of trouble and may pass.
    quiet_from: Mapped[str | None] = mapped_column(Bounded(5))
    quiet_until: Mapped[str | None] = mapped_column(Bounded(5))
    quiet_lets_trouble_pass: Mapped[bool] = mapped_column(default=False, server_default="0")
    # Since when nothing got through and why, and when people were told of it on another way.
    failing_since_at: Mapped[datetime | None] = mapped_column(Instant)
    failing_error: Mapped[str | None] = mapped_column(Text)
    failure_told_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
