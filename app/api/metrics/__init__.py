"""Metrics for Prometheus; switched on in the settings."""

from app.api.metrics.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(
    name="metrics", blueprint=bp, guard=Guard.OPEN, csrf=False, url_prefix="", summary="Metrics for Prometheus"
)
