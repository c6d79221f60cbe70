"""Models of accounts, API keys, sessions and failed sign-ins."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from flask_login import AnonymousUserMixin, UserMixin
from sqlalchemy import ForeignKey, String, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.orm import USER_AGENT_LENGTH, Bounded, Instant, Json, Model, Recorded, RecordedText, RowId, db


class User(Model, UserMixin):
    """An account.

    `password_hash` is argon2id, or bcrypt until the next sign-in of an imported account. `failed_login_attempts` and
    `locked_until` summarize the rows of `SignInNetwork` for this name.
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
        """Whether some network is locked for this name after too many wrong passwords."""
        return self.locked_until is not None and self.locked_until > now


class Visitor(AnonymousUserMixin):
    """A client that has not signed in; it has no permissions."""

    id = username = language = None
    is_admin = must_change_password = sees_all_servers = False
    preferences: Mapping[str, Any] = MappingProxyType({})


# Permissions besides signing in: API keys, and the servers of a limited account


class ApiKey(Model):
    """An API key, stored as SHA-256 of its secret.

    `fingerprint` is its first and last four characters.
    """

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
        """Whether the last valid day has passed."""
        return self.expires_at is not None and self.expires_at <= now


class ServerAccess(Model):
    """A server that a limited account may see."""

    __tablename__ = "server_access"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True)


# Server-side sessions


class Session(Model):
    """A session of one browser.

    The cookie is stored as SHA-256 only, so that a stolen database opens no session.
    """

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


# Networks of sign-ins and of wrong passwords


class SignInNetwork(Model):
    """Sign-in attempts of one network with one name.

    The account need not exist. `network` is an IPv4 address or the /64 network of an IPv6 address. `signed_in_at` is
    the last successful sign-in.
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
        """Whether this network may not sign in with this name at this time."""
        return self.locked_until is not None and self.locked_until > now


# Servers that an account may see

# For work that is not limited to the servers of an account.
ALL_SERVERS: Final = None


def is_limited(user: User) -> bool:
    """Whether an account is limited to some servers."""
    return not (user.is_admin or user.sees_all_servers)


def servers_visible_to(user: User) -> frozenset[str] | None:
    """Return the ids of the servers of a limited account.

    None for an account that sees all, also future ones.
    """
    if not is_limited(user):
        return None
    return frozenset(db.session.scalars(select(ServerAccess.server_id).where(ServerAccess.user_id == user.id)))
