"""Wire forms of deliveries."""

from collections.abc import Sequence
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from app.api.wire import IsoInstant, Out
from app.models import DeliveryState
from app.services.delivery_history import PastDelivery

USUAL_PAGE, LARGEST_PAGE = 100, 1000
LARGEST_ID = 2**63 - 1
IDS = validate.Range(1, LARGEST_ID)


class DeliveryQuery(Schema):
    """Which deliveries to list: newest first, `before` the id of the last one of the page before."""

    class Meta:
        unknown = RAISE

    state = fields.String(load_default=None, validate=validate.OneOf([state.value for state in DeliveryState]))
    channel_id = fields.Integer(data_key="channel", load_default=None, validate=IDS)
    job_id = fields.Integer(data_key="job", load_default=None, validate=IDS)
    before_id = fields.Integer(data_key="before", load_default=None, validate=IDS)
    limit = fields.Integer(load_default=USUAL_PAGE, validate=validate.Range(1, LARGEST_PAGE))


class DeliveryOut(Out):
    """One message for one destination; `target` is empty for the channel's own. Server and job may be gone."""

    id = fields.Integer(attribute="delivery.id")
    state = fields.String(attribute="delivery.state")
    event = fields.String(attribute="delivery.event")
    title = fields.String()
    channel_id = fields.Integer(data_key="channelId", attribute="channel.id")
    kind = fields.String(data_key="channelKind", attribute="channel.kind")
    channel_name = fields.String(data_key="channelName", attribute="channel.name")
    target = fields.String(attribute="delivery.target")
    server_id = fields.String(data_key="serverId", allow_none=True)
    server_name = fields.String(data_key="serverName", allow_none=True)
    job_id = fields.Integer(data_key="jobId", allow_none=True)
    job_name = fields.String(data_key="backupName", allow_none=True)
    attempts = fields.Integer(attribute="delivery.attempts")
    last_error = fields.String(data_key="lastError", attribute="delivery.last_error", allow_none=True)
    created_at = IsoInstant(data_key="createdAt", attribute="delivery.created_at")
    next_attempt_at = IsoInstant(data_key="nextAttemptAt", attribute="next_attempt_at")
    finished_at = IsoInstant(data_key="finishedAt", attribute="delivery.finished_at", allow_none=True)


class DeliveriesOut(Out):
    """A page of deliveries; `nextBefore` leads to the page after, null when this one is the last."""

    deliveries = fields.List(fields.Nested(DeliveryOut))
    next_before = fields.Integer(data_key="nextBefore", allow_none=True)


class TroubleOut(Out):
    """A channel whose newest try failed, since when nothing gets through, and how many messages wait for it."""

    channel_id = fields.Integer(data_key="channelId")
    kind = fields.String(data_key="channelKind")
    name = fields.String(data_key="channelName")
    error = fields.String()
    since_at = IsoInstant(data_key="since")
    waiting = fields.Integer()


_delivery_out = DeliveryOut()


def dump_deliveries(found: Sequence[PastDelivery], limit: int) -> dict[str, Any]:
    """A page of deliveries."""
    next_before = found[-1].delivery.id if len(found) == limit else None
    return {"deliveries": _delivery_out.dump(found, many=True), "nextBefore": next_before}


class TroublesOut(Out):
    """The channels that fail."""

    channels = fields.List(fields.Nested(TroubleOut))
