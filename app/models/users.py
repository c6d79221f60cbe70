"""People who may sign in."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from flask_login import AnonymousUserMixin, UserMixin
from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.models.types import Bounded, Instant, Json, Recorded


class User(Model, UserMixin):
    """An account. `password_hash` is argon2id, or bcrypt until the next sign-in of an imported account.

    `failed_login_attempts` and `locked_until` sum up what `services.guesses` knows by network.
    """

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    username: Mapped[str] = mapped_column(Bounded(255), unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    is_admin: Mapped[bool] = mapped_column(default=False)
    must_change_password: Mapped[bool] = mapped_column(default=False)
    sees_all_servers: Mapped[bool] = mapped_column(default=True, server_default="1")
    language: Mapped[str | None] = mapped_column(Bounded(16))
    preferences: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}")
    failed_login_attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    locked_until: Mapped[datetime | None] = mapped_column(Instant)
    last_login_at: Mapped[datetime | None] = mapped_column(Instant)
    last_login_ip: Mapped[str | None] = mapped_column(Recorded(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)

    def is_locked(self, now: datetime) -> bool:
        """Whether some network has sent too many wrong passwords with this name, and may not sign in with it now."""
        return self.locked_until is not None and self.locked_until > now


class Visitor(AnonymousUserMixin):
    """Somebody who has not signed in, and may do nothing that an account may."""

    id = username = language = None
    is_admin = must_change_password = sees_all_servers = False
    preferences: Mapping[str, Any] = MappingProxyType({})
