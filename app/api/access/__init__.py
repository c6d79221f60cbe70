"""From which networks one may come in."""

from app.api.access.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="access", blueprint=bp, guard=Guard.ADMIN, summary="Networks that may come in")
