"""Who may do a piece of scheduled work: of several processes that share a database, one at a time."""

from datetime import datetime, timedelta

from sqlalchemy import or_, update

from app.models import Lease
from app.services.transaction import insert_for, writing

LEASES = Lease.__table__
# Longer than any scheduled work takes; whoever dies while holding a lease blocks the work no longer than this.
HOLD = timedelta(minutes=10)


def take_lease(name: str, holder: str, now: datetime) -> bool:
    """Take the lease when it is free, ours, or over; false when another process holds it.

    One that ends later than any lease can was written before the clock was set back, and counts as over.
    """
    values = {"holder": holder, "expires_at": now + HOLD}
    is_free = or_(LEASES.c.holder == holder, LEASES.c.expires_at <= now, LEASES.c.expires_at > now + 2 * HOLD)
    with writing() as session:
        connection = session.connection()
        statement = insert_for(connection.dialect.name)(LEASES).values(name=name, **values)
        statement = statement.on_conflict_do_update(index_elements=["name"], set_=values, where=is_free)
        return connection.scalar(statement.returning(LEASES.c.name)) is not None


def keep_lease(name: str, holder: str, until: datetime) -> None:
    """Let our lease end at another instant; one that we lost meanwhile is left alone."""
    with writing() as session:
        is_ours = (LEASES.c.name == name) & (LEASES.c.holder == holder)
        session.connection().execute(update(LEASES).where(is_ours).values(expires_at=until))
