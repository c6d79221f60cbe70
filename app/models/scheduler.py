"""Scheduled work: who may run it, and how it went."""

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Bounded, Instant


class Lease(Model):
    """A right that one process holds until it expires; of several that share a database, the holder runs the jobs."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(Bounded(64))
    expires_at: Mapped[datetime] = mapped_column(Instant)


class Task(Model):
    """The last run of one scheduled task."""

    __tablename__ = "tasks"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    last_started_at: Mapped[datetime | None] = mapped_column(Instant)
    last_duration_s: Mapped[float | None]
    last_error: Mapped[str | None] = mapped_column(Text)
