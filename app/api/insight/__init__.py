"""What the figures of the jobs tell beyond their status."""

from app.api.insight.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(
    name="insight", blueprint=bp, guard=Guard.LOGIN, summary="What is unusual, and when destinations will be full"
)
