"""Whether messages get through a channel: kept with it at each try, so that anybody may ask at any time for nothing.

`services.alarms` tells people about a channel that has failed for long.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, literal, select, update
from sqlalchemy.orm import Session

from app.extensions import db
from app.models import Channel, Delivery, DeliveryState
from app.services import channels
from app.services.freshness import cache

UNSYNCHRONISED = {"synchronize_session": False}
# A channel that works again after so long is believed: a single message that fails between good ones burns no tries.
LONG = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class ChannelTrouble:
    """A channel whose newest try failed, for those who can do something about it."""

    channel_id: int
    kind: str
    name: str
    error: str
    since_at: datetime
    waiting: int

    @property
    def title(self) -> str:
        """What people call the channel."""
        return channels.full_name(self.kind, self.name)


def channel_troubles() -> tuple[ChannelTrouble, ...]:
    """The channels in use whose newest try did not get through, with the reason and the number of waiting messages.

    For every page to ask: it costs no statement while nothing was written, and one on a handful of rows after that.
    """
    return cache().get("channel_troubles", _read_troubles)


def note_failure(session: Session, channel_id: int, error: str, now: datetime) -> None:
    """Keep the reason of a failed try, and when the first one of a row of failures was."""
    since_at = func.coalesce(Channel.failing_since_at, literal(now, Channel.failing_since_at.type))
    statement = update(Channel).where(Channel.id == channel_id).values(failing_since_at=since_at, failing_error=error)
    session.execute(statement, execution_options=UNSYNCHRONISED)


def note_success(session: Session, channel_id: int, now: datetime) -> None:
    """Have a channel count as working; whether people were told that it did not stays, so that they hear of it.

    What waited for a further try while it failed for long is due now, and not in some hours.
    """
    since_at = session.scalar(select(Channel.failing_since_at).where(Channel.id == channel_id))
    if since_at is None:
        return
    works = update(Channel).where(Channel.id == channel_id).values(failing_since_at=None, failing_error=None)
    session.execute(works, execution_options=UNSYNCHRONISED)
    if since_at <= now - LONG:
        waits = (Delivery.state == DeliveryState.QUEUED, Delivery.next_attempt_at > now)
        hurry = update(Delivery).where(Delivery.channel_id == channel_id, *waits).values(next_attempt_at=now)
        session.execute(hurry, execution_options=UNSYNCHRONISED)


def _read_troubles() -> tuple[ChannelTrouble, ...]:
    failing = db.session.execute(
        select(Channel.id, Channel.kind, Channel.name, Channel.failing_error, Channel.failing_since_at)
        .where(Channel.failing_since_at.is_not(None), Channel.is_enabled)
        .order_by(Channel.kind, Channel.name)
    ).all()
    if not failing:
        return ()
    counted = select(Delivery.channel_id, func.count().label("waiting")).group_by(Delivery.channel_id)
    unfinished = Delivery.state.in_((DeliveryState.QUEUED, DeliveryState.SENDING))
    waiting = {row.channel_id: row.waiting for row in db.session.execute(counted.where(unfinished))}
    return tuple(
        ChannelTrouble(
            row.id, row.kind, row.name, row.failing_error or "", row.failing_since_at, waiting.get(row.id, 0)
        )
        for row in failing
    )
