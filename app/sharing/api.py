"""API of the badges, and of the settings of badges and metrics."""

from types import SimpleNamespace

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from marshmallow import RAISE, Schema, fields, validate

from app import runtime
from app.audit.log import read_group
from app.plugin import Access, ApiGroup, Content, described
from app.sharing import badges, metrics
from app.sharing.badges import LONGEST_LABEL, draw
from app.web.forms import fields_out
from app.web.guards import limit_rate
from app.web.http import Out, actor, client_address, json_body

# The image of a badge

badges_bp = Blueprint("badges", __name__)

SVG = "image/svg+xml"
HEADERS = {
    "Cache-Control": "max-age=60",
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


@badges_bp.get("/badge/<slug>.svg")
@described({200: Content(SVG), 304: None, 404: Content(SVG)}, errors=(429,))
def show(slug: str) -> ResponseReturnValue:
    """Get a badge as SVG. An unknown badge is grey, with status 404, so that pages show no broken image."""
    now = runtime.now()
    limit_rate("read", client_address(), now)
    found = badges.picture(slug, now)
    answer = Response(found or draw("backups", "unknown"), 200 if found else 404, headers=HEADERS, mimetype=SVG)
    answer.add_etag()
    return answer.make_conditional(request) if found else answer


badges_group = ApiGroup(
    name="badges",
    blueprint=badges_bp,
    access=Access.PUBLIC,
    csrf=False,
    url_prefix="",
    summary="SVG badges",
)


# Schemas of the settings


class BadgeIn(Schema):
    """A badge to create for all servers, one server or one job. Without a slug, a secret one is generated."""

    class Meta:
        unknown = RAISE

    slug = fields.String(load_default=None, allow_none=True)
    label = fields.String(load_default=None, allow_none=True, validate=validate.Length(1, LONGEST_LABEL))
    server_id = fields.String(data_key="serverId", load_default=None, allow_none=True)
    job_name = fields.String(data_key="backupName", load_default=None, allow_none=True)


class BadgeOut(Out):
    """A badge; its image is at `/badge/<slug>.svg`."""

    slug = fields.String()
    label = fields.String()
    server_id = fields.String(data_key="serverId", allow_none=True)
    job_name = fields.String(data_key="backupName", allow_none=True)


class BadgesOut(Out):
    """List all badges, oldest first."""

    badges = fields.List(fields.Nested(BadgeOut))


class MetricsIn(Schema):
    """Whether the metrics endpoint is enabled, and whether it requires a key of scope `read`."""

    class Meta:
        unknown = RAISE

    is_enabled = fields.Boolean(required=True, data_key="enabled")
    needs_key = fields.Boolean(load_default=False, data_key="requiresKey")


class MetricsOut(Out):
    """Whether the metrics endpoint is enabled, and whether it requires a key of scope `read`."""

    class Meta:
        include = fields_out(metrics.METRICS)


# Views of the group `publishing`

publishing_bp = Blueprint("publishing", __name__)


@publishing_bp.get("/badges")
@described({200: BadgesOut})
def index() -> ResponseReturnValue:
    """List all badges, oldest first."""
    return {"badges": BadgeOut().dump(badges.list_badges(), many=True)}


@publishing_bp.post("/badges")
@described({201: BadgeOut}, body=BadgeIn, errors=(404, 409))
def create() -> ResponseReturnValue:
    """Create a badge for all servers, one server or one job."""
    wanted = BadgeIn().load(json_body())
    return BadgeOut().dump(badges.create_badge(**wanted, actor=actor(), now=runtime.now())), 201


@publishing_bp.delete("/badges/<slug>")
@described({200: {"message": fields.String()}})
def delete(slug: str) -> ResponseReturnValue:
    """Delete a badge."""
    badges.delete_badge(slug, actor=actor(), now=runtime.now())
    return {"message": "Badge deleted"}


@publishing_bp.get("/metrics-settings")
@described({200: MetricsOut})
def show_metrics() -> ResponseReturnValue:
    """Get whether the metrics endpoint is enabled, and whether it requires an API key."""
    return MetricsOut().dump(SimpleNamespace(**read_group(metrics.METRICS)))


@publishing_bp.patch("/metrics-settings")
@described({200: MetricsOut}, body=MetricsIn)
def save_metrics() -> ResponseReturnValue:
    """Set whether the metrics endpoint is enabled, and whether it requires an API key."""
    metrics.configure(**MetricsIn().load(json_body()), actor=actor(), now=runtime.now())
    return show_metrics()


# Settings of badges and metrics

publishing_group = ApiGroup(
    name="publishing", blueprint=publishing_bp, access=Access.ADMIN, summary="Settings of badges and metrics"
)
