"""Views of the deliveries group."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.client import actor
from app.api.deliveries.schemas import DeliveriesOut, DeliveryQuery, TroubleOut, TroublesOut, dump_deliveries
from app.contracts import described
from app.services import channel_health, clock, delivery_history
from app.services.visibility import ALL_SERVERS

bp = Blueprint("deliveries", __name__, url_prefix="/deliveries")


@bp.get("")
@described({200: DeliveriesOut}, query=DeliveryQuery)
def index() -> ResponseReturnValue:
    """Messages that match, newest first, page by page."""
    query = DeliveryQuery().load(request.args)
    found = delivery_history.find_deliveries(**query, visible=ALL_SERVERS, now=clock.now())
    return dump_deliveries(found, query["limit"])


@bp.get("/failing")
@described({200: TroublesOut})
def failing() -> ResponseReturnValue:
    """The channels whose newest try did not get through, with the reason."""
    return {"channels": TroubleOut().dump(channel_health.channel_troubles(), many=True)}


@bp.post("/<int:delivery_id>/retry")
@described({202: {"message": fields.String()}}, errors=(409,))
def retry(delivery_id: int) -> ResponseReturnValue:
    """Try a message again at once. 409 when it is being sent or has got through."""
    delivery_history.retry_delivery(delivery_id, actor=actor(), now=clock.now())
    return {"message": "The message is tried again"}, 202
