"""From where people sign in, and where wrong passwords came from."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Instant, Recorded, RowId


class SignInNetwork(Model):
    """What one network has tried with one name, be there such an account or not.

    `network` is an IPv4 address or the /64 of an IPv6 one. `signed_in_at` is the last time that the password was right.
    """

    __tablename__ = "sign_in_networks"
    __table_args__ = (UniqueConstraint("username", "network"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    username: Mapped[str] = mapped_column(Recorded(255))
    network: Mapped[str] = mapped_column(Recorded(64))
    failed_count: Mapped[int] = mapped_column(default=0, server_default="0")
    failed_at: Mapped[datetime | None] = mapped_column(Instant, index=True)
    locked_until: Mapped[datetime | None] = mapped_column(Instant)
    signed_in_at: Mapped[datetime | None] = mapped_column(Instant)

    def is_locked(self, now: datetime) -> bool:
        """Whether sign-ins with this name from this network are stopped at this instant."""
        return self.locked_until is not None and self.locked_until > now
