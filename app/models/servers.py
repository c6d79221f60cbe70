"""Machines that back up."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Model
from app.models.types import Bounded, Instant, Json

if TYPE_CHECKING:
    from app.models.jobs import Job


class Server(Model):
    """One Duplicati installation, known by its machine-id. Holds the notification defaults of its jobs.

    One that has reported by its name alone so far has an id of ours, see `services.identities`.
    """

    __tablename__ = "servers"

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(Bounded(255), index=True)
    alias: Mapped[str] = mapped_column(Bounded(255), default="", server_default="")
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    url: Mapped[str] = mapped_column(Text, default="", server_default="")
    encrypted_password: Mapped[str] = mapped_column(Text, default="", server_default="")
    # Extra request headers for collecting, a JSON object, encrypted: they may hold credentials of a proxy.
    encrypted_headers: Mapped[str] = mapped_column(Text, default="", server_default="")
    verifies_certificate: Mapped[bool] = mapped_column(default=True, server_default="1")
    # Defaults that a job inherits as long as its own value is NULL.
    additional_event: Mapped[str | None] = mapped_column(Bounded(16))
    additional_emails: Mapped[str | None] = mapped_column(Text)
    additional_ntfy_topic: Mapped[str | None] = mapped_column(Text)
    muted_from: Mapped[datetime | None] = mapped_column(Instant)
    muted_until: Mapped[datetime | None] = mapped_column(Instant)
    mute_note: Mapped[str] = mapped_column(Text, default="", server_default="")
    tags: Mapped[list[str]] = mapped_column(Json, default=list, server_default="[]")
    # How often its logs are fetched, as an interval text; empty: never by itself.
    collect_interval: Mapped[str] = mapped_column(Bounded(16), default="", server_default="")
    next_collect_at: Mapped[datetime | None] = mapped_column(Instant)
    collected_at: Mapped[datetime | None] = mapped_column(Instant)
    collect_error: Mapped[str | None] = mapped_column(Text)
    # By how many seconds its clock was ahead at its newest report; NULL where it was not.
    clock_ahead_s: Mapped[int | None] = mapped_column(BigInteger)
    # Offsets to UTC of its local time, as its reports showed them; see `domain.seen_offsets`.
    seen_offsets: Mapped[list[Any]] = mapped_column(Json, default=list, server_default="[]")
    created_at: Mapped[datetime] = mapped_column(Instant)

    jobs: Mapped[list["Job"]] = relationship(
        back_populates="server", cascade="all, delete-orphan", passive_deletes=True, order_by="Job.name"
    )

    @property
    def display_name(self) -> str:
        """What people call it."""
        return self.alias or self.name

    @property
    def has_password(self) -> bool:
        """Whether a Duplicati password is stored."""
        return bool(self.encrypted_password)

    @property
    def has_headers(self) -> bool:
        """Whether extra request headers are stored."""
        return bool(self.encrypted_headers)
