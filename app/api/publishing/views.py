"""Views of the publishing group."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.client import actor, json_body
from app.api.publishing.schemas import BadgeIn, BadgeOut, BadgesOut, MetricsIn, MetricsOut
from app.contracts import described
from app.services import badges, clock, metrics

bp = Blueprint("publishing", __name__)


@bp.get("/badges")
@described({200: BadgesOut})
def index() -> ResponseReturnValue:
    """All badges, oldest first."""
    return {"badges": BadgeOut().dump(badges.list_badges(), many=True)}


@bp.post("/badges")
@described({201: BadgeOut}, body=BadgeIn, errors=(404, 409))
def create() -> ResponseReturnValue:
    """Make a badge of all servers, of one, or of one of its jobs."""
    wanted = BadgeIn().load(json_body())
    return BadgeOut().dump(badges.create_badge(**wanted, actor=actor(), now=clock.now())), 201


@bp.delete("/badges/<slug>")
@described({200: {"message": fields.String()}})
def delete(slug: str) -> ResponseReturnValue:
    """Take a badge away."""
    badges.delete_badge(slug, actor=actor(), now=clock.now())
    return {"message": "Badge deleted"}


@bp.get("/metrics-settings")
@described({200: MetricsOut})
def show_metrics() -> ResponseReturnValue:
    """Whether metrics are given out, and whether only for a key."""
    return {"enabled": metrics.are_enabled(), "requiresKey": metrics.need_key()}


@bp.patch("/metrics-settings")
@described({200: MetricsOut}, body=MetricsIn)
def save_metrics() -> ResponseReturnValue:
    """Choose whether metrics are given out, and whether only for a key."""
    metrics.configure(**MetricsIn().load(json_body()), actor=actor(), now=clock.now())
    return show_metrics()
