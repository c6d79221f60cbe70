"""Who may do what besides signing in: keys for programs, and the servers a limited account may see."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Bounded, Instant, Recorded, RowId


class ApiKey(Model):
    """A key for a program, kept as SHA-256 of its secret. `fingerprint` is its first and last four characters."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(Bounded(255))
    scope: Mapped[str] = mapped_column(Bounded(16))
    secret_hash: Mapped[str] = mapped_column(Bounded(64), unique=True)
    fingerprint: Mapped[str] = mapped_column(Bounded(16))
    is_enabled: Mapped[bool] = mapped_column(default=True, server_default="1")
    expires_at: Mapped[datetime | None] = mapped_column(Instant)
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    last_used_ip: Mapped[str | None] = mapped_column(Recorded(64))
    created_by: Mapped[str | None] = mapped_column(Recorded(255))
    created_at: Mapped[datetime] = mapped_column(Instant)

    def is_expired(self, now: datetime) -> bool:
        """Whether its last day of validity has passed."""
        return self.expires_at is not None and self.expires_at <= now


class ServerAccess(Model):
    """A server that a limited account may see."""

    __tablename__ = "server_access"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True)
