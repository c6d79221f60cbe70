"""API of deliveries: pending, sent and failed notifications."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import RAISE, Schema, fields, validate

from app import runtime
from app.accounts.models import ALL_SERVERS
from app.notifications import channels, delivery_history
from app.notifications.delivery_history import PastDelivery
from app.notifications.models import DeliveryState
from app.plugin import Access, ApiGroup, described
from app.web.http import IsoInstant, Out, actor

# Schemas

USUAL_PAGE, LARGEST_PAGE = 100, 1000
LARGEST_ID = 2**63 - 1
IDS = validate.Range(1, LARGEST_ID)


class DeliveryQuery(Schema):
    """Filters of deliveries, newest first; `before` is the id of the last delivery of the previous page."""

    class Meta:
        unknown = RAISE

    state = fields.String(load_default=None, validate=validate.OneOf([state.value for state in DeliveryState]))
    channel_id = fields.Integer(data_key="channel", load_default=None, validate=IDS)
    job_id = fields.Integer(data_key="job", load_default=None, validate=IDS)
    before_id = fields.Integer(data_key="before", load_default=None, validate=IDS)
    limit = fields.Integer(load_default=USUAL_PAGE, validate=validate.Range(1, LARGEST_PAGE))


class DeliveryOut(Out):
    """A notification for one destination; `target` is empty for the channel's own. Server and job may be deleted."""

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
    """A page of deliveries; `nextBefore` is for the next page, null on the last page."""

    deliveries = fields.List(fields.Nested(DeliveryOut))
    next_before = fields.Integer(data_key="nextBefore", allow_none=True)


class FailingChannelOut(Out):
    """A channel whose latest delivery failed, since when, and the number of waiting notifications."""

    channel_id = fields.Integer(data_key="channelId")
    kind = fields.String(data_key="channelKind")
    name = fields.String(data_key="channelName")
    error = fields.String()
    since_at = IsoInstant(data_key="since")
    waiting = fields.Integer()


_delivery_out = DeliveryOut()


def dump_deliveries(found: Sequence[PastDelivery], limit: int) -> dict[str, Any]:
    """Return a page of deliveries."""
    next_before = found[-1].delivery.id if len(found) == limit else None
    return {"deliveries": _delivery_out.dump(found, many=True), "nextBefore": next_before}


class FailingChannelsOut(Out):
    """Channels with failing delivery."""

    channels = fields.List(fields.Nested(FailingChannelOut))


# Views

bp = Blueprint("deliveries", __name__, url_prefix="/deliveries")


@bp.get("")
@described({200: DeliveriesOut}, query=DeliveryQuery)
def index() -> ResponseReturnValue:
    """List matching deliveries, newest first, in pages."""
    query = DeliveryQuery().load(request.args)
    found = delivery_history.find_deliveries(**query, visible=ALL_SERVERS, now=runtime.now())
    return dump_deliveries(found, query["limit"])


@bp.get("/failing")
@described({200: FailingChannelsOut})
def failing() -> ResponseReturnValue:
    """List channels whose latest delivery failed, with the reason."""
    return {"channels": FailingChannelOut().dump(channels.failing_channels(), many=True)}


@bp.post("/<int:delivery_id>/retry")
@described({202: {"message": fields.String()}}, errors=(409,))
def retry(delivery_id: int) -> ResponseReturnValue:
    """Retry a delivery now. 409 if it is being sent or was delivered."""
    delivery_history.retry_delivery(delivery_id, actor=actor(), now=runtime.now())
    return {"message": "The message is tried again"}, 202


group = ApiGroup(name="deliveries", blueprint=bp, access=Access.ADMIN, summary="Notification deliveries")
