"""Tags of servers and jobs."""

from app.api.tags.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="tags", blueprint=bp, guard=Guard.LOGIN, summary="Tags of servers and jobs")
