"""Keys with which programs get in."""

from app.api.keys.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="keys", blueprint=bp, guard=Guard.ADMIN, summary="API keys for programs")
