"""Which servers an account may see."""

from typing import Final

from sqlalchemy import select

from app.extensions import db
from app.models import ServerAccess, User

# For work that nobody's account limits.
ALL_SERVERS: Final = None


def is_limited(user: User) -> bool:
    """Whether an account may see chosen servers only."""
    return not (user.is_admin or user.sees_all_servers)


def servers_visible_to(user: User) -> frozenset[str] | None:
    """The ids of the servers that a limited account may see; None for an account that sees all, future ones too."""
    if not is_limited(user):
        return None
    return frozenset(db.session.scalars(select(ServerAccess.server_id).where(ServerAccess.user_id == user.id)))
