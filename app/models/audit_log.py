"""Who did what, when, from where."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import USER_AGENT_LENGTH, Bounded, Instant, Json, Recorded, RecordedText, RowId


class AuditEntry(Model):
    """One entry of the audit log; the user's name outlives the account."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, index=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    username: Mapped[str | None] = mapped_column(Recorded(255))
    action: Mapped[str] = mapped_column(Bounded(64), index=True)
    category: Mapped[str] = mapped_column(Bounded(32))
    status: Mapped[str] = mapped_column(Bounded(16))
    target_type: Mapped[str | None] = mapped_column(Recorded(64))
    target_id: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any] | None] = mapped_column(Json)
    ip_address: Mapped[str | None] = mapped_column(Recorded(64))
    user_agent: Mapped[str | None] = mapped_column(RecordedText(USER_AGENT_LENGTH))
    error_message: Mapped[str | None] = mapped_column(Text)
