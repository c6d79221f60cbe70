"""What decides whether and when people are told: mutes, quiet hours of channels, limits of alarms."""

from app.api.alarms.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="alarms", blueprint=bp, guard=Guard.ADMIN, summary="Mutes, quiet hours and alarms")
