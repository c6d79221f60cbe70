"""Which servers an account may see."""

from sqlalchemy import select

from app.extensions import db
from app.models import ServerAccess, User


def servers_visible_to(user: User) -> frozenset[str] | None:
    """The ids of the servers that a limited account may see; None for an account that sees all, future ones too."""
    if user.is_admin or user.sees_all_servers:
        return None
    return frozenset(db.session.scalars(select(ServerAccess.server_id).where(ServerAccess.user_id == user.id)))
