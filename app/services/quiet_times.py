"""The quiet hours of channels: when each is quiet, which messages it lets through, and how people set them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select

from app.domain.quiet_hours import QuietHours
from app.extensions import db
from app.models import Channel, Delivery, Urgency
from app.services import channels, deployment
from app.services.audit import Actor, record_entry
from app.services.transaction import writing


@dataclass(frozen=True, slots=True)
class Quiet:
    """A channel that is quiet now: until when, and whether messages about trouble pass."""

    ends_at: datetime
    lets_trouble_pass: bool

    def holds_back(self, urgency: int) -> bool:
        """Whether a message waits until the end."""
        return urgency < (Urgency.TROUBLE if self.lets_trouble_pass else Urgency.AT_ONCE)


def hours_of(row: Channel) -> QuietHours | None:
    """The quiet hours of a channel."""
    return QuietHours.read(row.quiet_from, row.quiet_until)


def quiet_channels(now: datetime) -> dict[int, Quiet]:
    """The channels that are quiet at this time, by their numbers."""
    zone = deployment.settings().zone
    columns = (Channel.id, Channel.quiet_from, Channel.quiet_until, Channel.quiet_lets_trouble_pass)
    found = {}
    for row in db.session.execute(select(*columns).where(Channel.quiet_from.is_not(None))):
        hours = QuietHours.read(row.quiet_from, row.quiet_until)
        ends_at = hours.ends_at(now, zone) if hours else None
        if ends_at is not None:
            found[row.id] = Quiet(ends_at, row.quiet_lets_trouble_pass)
    return found


def may_go(now: datetime, deliveries: type[Delivery] = Delivery) -> ColumnElement[bool]:
    """Of deliveries, or an alias of them: no quiet hours hold them back at this time.

    Asked when a message would be sent, not when it is queued: so hours that are changed, and clocks that are set, count
    for what waits already.
    """
    quiet = quiet_channels(now)
    if not quiet:
        return deliveries.id.is_not(None)
    lenient = [channel_id for channel_id, found in quiet.items() if found.lets_trouble_pass]
    return or_(
        deliveries.channel_id.not_in(quiet),
        deliveries.urgency == Urgency.AT_ONCE,
        and_(deliveries.urgency == Urgency.TROUBLE, deliveries.channel_id.in_(lenient)),
    )


def set_quiet_hours(
    channel_id: int, hours: QuietHours | None, *, lets_trouble_pass: bool, actor: Actor, now: datetime
) -> Channel:
    """Choose when a channel is quiet; None is never. Raises NotFound."""
    with writing():
        row = channels.find_channel(channel_id)
        before = _shown(row)
        row.quiet_from = f"{hours.begin:%H:%M}" if hours else None
        row.quiet_until = f"{hours.end:%H:%M}" if hours else None
        row.quiet_lets_trouble_pass, row.updated_at = lets_trouble_pass, now
        details = {"kind": row.kind, "name": row.name, "old": before, "new": _shown(row)}
        place = {"target_type": "channel", "target_id": row.name}
        record_entry("quiet_hours_updated", "config", now=now, actor=actor, details=details, **place)
    return row


def _shown(row: Channel) -> dict[str, str | bool | None]:
    return {"from": row.quiet_from, "until": row.quiet_until, "letsTroublePass": row.quiet_lets_trouble_pass}
