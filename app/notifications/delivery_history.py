"""History of deliveries, and retries on request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.audit.log import Actor, record_entry
from app.backups.models import Job, Server
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.notifications import channels
from app.notifications.channels import ActiveQuietHours
from app.notifications.models import Channel, Delivery, DeliveryState, Urgency
from app.notifications.outbox import queued


@dataclass(frozen=True, slots=True)
class PastDelivery:
    """A delivery with its channel and, unless deleted, its job."""

    delivery: Delivery
    channel: Channel
    job: Job | None
    server: Server | None
    # End of the quiet hours that hold it now.
    quiet_until: datetime | None = None

    @property
    def next_attempt_at(self) -> datetime:
        """Return the time of the next attempt, for a waiting delivery."""
        return max(self.delivery.next_attempt_at, self.quiet_until or self.delivery.next_attempt_at)

    @property
    def title(self) -> str:
        """Return the first line of the message."""
        return str(self.delivery.payload.get("title", ""))

    @property
    def server_id(self) -> str | None:
        """Return the id of the server it is about."""
        return None if self.server is None else self.server.id

    @property
    def server_name(self) -> str | None:
        """Return the display name of the server it is about."""
        return None if self.server is None else self.server.alias or self.server.name

    @property
    def job_id(self) -> int | None:
        """Return the number of the job it is about."""
        return None if self.job is None else self.job.id

    @property
    def job_name(self) -> str | None:
        """Return the name of the job it is about."""
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
    """Return matching deliveries, newest first; with `before_id` only older ones.

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
    quiet = channels.quiet_channels(now)
    return [
        PastDelivery(*row, quiet_until=_quiet_until(row.Delivery, quiet)) for row in db.session.execute(wanted).all()
    ]


def _quiet_until(delivery: Delivery, quiet: Mapping[int, ActiveQuietHours]) -> datetime | None:
    found = quiet.get(delivery.channel_id)
    holds = found and delivery.state == DeliveryState.QUEUED and found.holds(delivery.urgency)
    return found.ends_at if found and holds else None


def retry_delivery(delivery_id: int, *, actor: Actor, now: datetime) -> None:
    """Retry a waiting or failed delivery now, with all attempts available again.

    Ignores quiet hours, since a person requested it. Raises Refused (404), and Refused (409) if it is being sent or was
    delivered.
    """
    with writing() as session:
        delivery = session.get(Delivery, delivery_id, with_for_update=True, populate_existing=True)
        if delivery is None:
            raise Refused("delivery_not_found")
        if delivery.state not in (DeliveryState.FAILED, DeliveryState.QUEUED):
            raise Refused("delivery_not_repeatable", state=delivery.state)
        delivery.state, delivery.attempts, delivery.next_attempt_at = DeliveryState.QUEUED, 0, now
        delivery.finished_at, delivery.urgency = None, Urgency.AT_ONCE
        target = {"target_type": "delivery", "target_id": str(delivery_id)}
        record_entry("delivery_retried", "system", now=now, actor=actor, details={"event": delivery.event}, **target)
    queued.send()
