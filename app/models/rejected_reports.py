"""Uploads that were refused, kept for a person to look at and to replay."""

from datetime import datetime

from sqlalchemy import LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Instant, Recorded, RowId


class RejectedReport(Model):
    """A refused upload with the reason. `body` is compressed; the table is bounded by `services.rejections`."""

    __tablename__ = "rejected_reports"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(Instant, index=True)
    ip_address: Mapped[str] = mapped_column(Recorded(64))
    content_type: Mapped[str] = mapped_column(Text, default="")
    status_code: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    # SHA-256 of the body as it was sent: Duplicati sends a report that was rejected up to three times more.
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    attempts: Mapped[int] = mapped_column(default=1, server_default="1")
    replayed_at: Mapped[datetime | None] = mapped_column(Instant)
