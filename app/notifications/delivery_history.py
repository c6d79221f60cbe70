"""What became of messages, and a further try for one that did not get through."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.audit.log import Actor, record_entry
from app.backups.models import Job, Server
from app.core.db.extensions import db
from app.core.db.transaction import writing
from app.notifications import mutes
from app.notifications.models import Channel, Delivery, DeliveryState, Urgency
from app.notifications.mutes import Quiet
from app.notifications.outbox import queued
from app.plugin.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class PastDelivery:
    """A delivery with its channel and, unless that was deleted, the job that it tells of."""

    delivery: Delivery
    channel: Channel
    job: Job | None
    server: Server | None
    # When the quiet hours end that hold it back now.
    quiet_until: datetime | None = None

    @property
    def next_attempt_at(self) -> datetime:
        """When it is tried next, if it still waits."""
        return max(self.delivery.next_attempt_at, self.quiet_until or self.delivery.next_attempt_at)

    @property
    def title(self) -> str:
        """The first line of the message."""
        return str(self.delivery.payload.get("title", ""))

    @property
    def server_id(self) -> str | None:
        """The server that it tells of."""
        return None if self.server is None else self.server.id

    @property
    def server_name(self) -> str | None:
        """What people call the server that it tells of."""
        return None if self.server is None else self.server.alias or self.server.name

    @property
    def job_id(self) -> int | None:
        """The number of the job that it tells of."""
        return None if self.job is None else self.job.id

    @property
    def job_name(self) -> str | None:
        """The name of the job that it tells of."""
        return None if self.job is None else self.job.name


def find_deliveries(
    *,
    state: str | None = None,
    channel_id: int | None = None,
    job_id: int | None = None,
    before_id: int | None = None,
    visible: frozenset[str] | None,
    limit: int,
    now: datetime,
) -> list[PastDelivery]:
    """The deliveries that match, newest first; with `before_id` only those that are older than it.

    Only those about jobs of the servers in `visible`; None means all.
    """
    wanted = (
        select(Delivery, Channel, Job, Server)
        .join(Channel, Channel.id == Delivery.channel_id)
        .outerjoin(Job, Job.id == Delivery.job_id)
        .outerjoin(Server, Server.id == Job.server_id)
        .order_by(Delivery.id.desc())
        .limit(limit)
    )
    if state is not None:
        wanted = wanted.where(Delivery.state == state)
    if channel_id is not None:
        wanted = wanted.where(Delivery.channel_id == channel_id)
    if job_id is not None:
        wanted = wanted.where(Delivery.job_id == job_id)
    if before_id is not None:
        wanted = wanted.where(Delivery.id < before_id)
    if visible is not None:
        wanted = wanted.where(Job.server_id.in_(visible))
    quiet = mutes.quiet_channels(now)
    return [
        PastDelivery(*row, quiet_until=_quiet_until(row.Delivery, quiet)) for row in db.session.execute(wanted).all()
    ]


def _quiet_until(delivery: Delivery, quiet: Mapping[int, Quiet]) -> datetime | None:
    found = quiet.get(delivery.channel_id)
    holds_back = found and delivery.state == DeliveryState.QUEUED and found.holds_back(delivery.urgency)
    return found.ends_at if found and holds_back else None


def retry_delivery(delivery_id: int, *, actor: Actor, now: datetime) -> None:
    """Have a message that waits, or was given up, tried at once, with all its further tries before it again.

    Quiet hours hold it back no more: somebody is awake, and asks for it.

    Raises NotFound, and Conflict when it is being sent or has got through.
    """
    with writing() as session:
        delivery = session.get(Delivery, delivery_id, with_for_update=True, populate_existing=True)
        if delivery is None:
            raise NotFound("Delivery not found")
        if delivery.state not in (DeliveryState.FAILED, DeliveryState.QUEUED):
            raise Conflict(f"This notification is {delivery.state}; only waiting or failed ones can be sent again")
        delivery.state, delivery.attempts, delivery.next_attempt_at = DeliveryState.QUEUED, 0, now
        delivery.finished_at, delivery.urgency = None, Urgency.AT_ONCE
        place = {"target_type": "delivery", "target_id": str(delivery_id)}
        record_entry("delivery_retried", "system", now=now, actor=actor, details={"event": delivery.event}, **place)
    queued.send()
