"""Server-side sessions."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import USER_AGENT_LENGTH, Bounded, Instant, Json, Recorded, RecordedText


class Session(Model):
    """One browser. The cookie's value is kept as SHA-256 only, so that a stolen database opens no session."""

    __tablename__ = "sessions"

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(Instant)
    last_accessed_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    ip_address: Mapped[str | None] = mapped_column(Recorded(64))
    user_agent: Mapped[str | None] = mapped_column(RecordedText(USER_AGENT_LENGTH))
    csrf_token: Mapped[str | None] = mapped_column(Bounded(64))
    csrf_expires_at: Mapped[datetime | None] = mapped_column(Instant)
    data: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}")
